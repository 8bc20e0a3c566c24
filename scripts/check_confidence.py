r"""Whether an accuracy target with a confidence holds on data that nobody has seen: many searches of --max-drop.

    python scripts/check_confidence.py --models MODELS --data DATA
    python scripts/check_confidence.py --models MODELS --data DATA --max-drops 0.005,0.01 --validation-rows 500,1500

MODELS holds one folder per task, DATA one folder per task with train.jsonl and validation.jsonl. Statistics are
collected once, on some rows of train.jsonl. All rows of validation.jsonl and further ones of train.jsonl, none with the
texts of calibration, make a pool: each run draws its validation rows from it, searches the smallest model within the
target, and asks whether that model keeps to it on the rows of the pool that are left. A run counts as kept when the
dense model's metric there is at most the drop above the compressed one's.

The rows that are left are a sample, too: a drop that is within the target on all texts may be beyond it on them. Rows
that the dense model was trained on may be in the pool; a run treats them like all others. Models, and what they say of
the pool, are made once per ratio; --work keeps what they say for another call with other targets. Prints one JSON
object last, with the same for the rule without a confidence, where the value alone decides.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from replayed import Replayed
from safetensors.torch import load_file, save_file

from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.checkpoints.tokenizer import load_tokenizer
from fwsvd_export.compression.build import Compressed
from fwsvd_export.compression.inputs import Inputs
from fwsvd_export.compression.prepare import Prepared, prepare
from fwsvd_export.data.batches import Batches
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import Task, task_named
from fwsvd_export.evaluation.difference import Difference
from fwsvd_export.evaluation.forward import Forward
from fwsvd_export.evaluation.paired import Scored, paired_difference, scored
from fwsvd_export.evaluation.ratio import TargetSearch, smallest_within
from fwsvd_export.evaluation.target import Target
from fwsvd_export.fisher import collect_statistics
from fwsvd_export.records import Budget, RankRequest
from fwsvd_export.solvers.table import SOLVERS

Judge = Callable[[Any], tuple[float, Difference]]


def main() -> None:
    """Runs the searches."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--task", default="sst2", help="With a prediction per text.")
    parser.add_argument("--method", default="kfac", help="With a closed form.")
    parser.add_argument("--calibration-rows", type=int, default=1024)
    parser.add_argument("--train-rows", type=int, default=4000, help="Further rows of train.jsonl for the pool.")
    parser.add_argument("--validation-rows", default="1500", help="Drawn from the pool in each run; several by commas.")
    parser.add_argument("--max-drops", default="0.01", help="Several by commas.")
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--no-reconstruct", action="store_true")
    parser.add_argument("--work", type=Path, help="Folder of one pool and method, for what models say of its rows.")
    arguments = parser.parse_args()
    begin = time.perf_counter()
    pool = Pool(arguments)
    results = [
        {
            "max_drop": float(max_drop),
            "validation_rows": int(rows),
            "fresh_rows": len(pool.labels) - int(rows),
            **{
                name: outcome_of(pool, Target(float(max_drop), arguments.confidence), int(rows), arguments.runs, rule)
                for name, rule in (("with_confidence", interval), ("without", value_alone))
            },
        }
        for max_drop in arguments.max_drops.split(",")
        for rows in arguments.validation_rows.split(",")
    ]
    print(
        json.dumps(
            {
                "task": arguments.task,
                "method": arguments.method,
                "reconstructed": not arguments.no_reconstruct,
                "calibration_rows": arguments.calibration_rows,
                "pool_rows": len(pool.labels),
                "confidence": arguments.confidence,
                "runs": arguments.runs,
                "drop_in_pool": {f"{ratio:g}": round(pool.drop(ratio), 5) for ratio in sorted(pool.made)},
                "results": results,
                "seconds": round(time.perf_counter() - begin),
            }
        )
    )


class Pool:
    """The rows that runs draw from, and what models say of them.

    Attributes:
        labels: (rows).
        made: ratio -> the compressed model of that ratio, which answers with what the real one said.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.task: Task = task_named(arguments.task)
        checkpoint = load_checkpoint(str(arguments.models / arguments.task))
        encoder, tokenizer = checkpoint.encoder, load_tokenizer(checkpoint)
        files = [arguments.data / arguments.task / f"{name}.jsonl" for name in ("train", "validation")]
        taken = arguments.calibration_rows
        calibration = load_batches(DataRequest(self.task, files[0], max_samples=taken), tokenizer, encoder)
        seen, self._batches = calibration.token_ids, list[Batches]()
        further = DataRequest(self.task, files[0], max_samples=arguments.train_rows, seed=1, batch_size=64)
        for request in (further, DataRequest(self.task, files[1], batch_size=64)):
            self._batches.append(load_batches(request, tokenizer, encoder).without(seen))
            seen |= self._batches[-1].token_ids
        self.labels = torch.cat([batch["labels"] for batches in self._batches for batch in batches])
        solver = SOLVERS[arguments.method]
        collected = (solver.needs,) if solver.needs else ()
        statistics = collect_statistics(checkpoint.model, calibration, collect=collected) if collected else None
        fitted = None if arguments.no_reconstruct or arguments.method != "kfac" else calibration
        size = RankRequest(Budget(ratio=1.0))
        self._prepared: Prepared = prepare(Inputs(encoder, solver, solver.options(), size, statistics, fitted))
        self._config, self._work = checkpoint.model.config, arguments.work
        self.dense = self._replayed("dense", lambda: checkpoint.model)
        self.inputs = self._prepared.inputs  # which with ``at`` is what the search asks a prepared model for
        self.made: dict[float, Compressed] = {}

    def at(self, budget: Budget) -> Compressed:
        """The compressed model of a ratio, made once."""
        ratio = budget.ratio
        assert ratio is not None, "the search asks for ratios"
        if ratio not in self.made:
            begin = time.perf_counter()
            said = self._replayed(f"{ratio:g}", lambda: self._prepared.at(budget).model)
            self.made[ratio] = replace(self._prepared.solved(budget), model=said, solutions={})
            seconds = time.perf_counter() - begin
            print(f"ratio {ratio:g}: drop {self.drop(ratio):+.4f}, {seconds:.0f} s", file=sys.stderr, flush=True)
        return self.made[ratio]

    def scored(self, model: Any, rows: torch.Tensor) -> Scored:
        """What a model says of some rows."""
        return scored(model, [{"rows": rows, "labels": self.labels[rows]}], self.task)

    def drop(self, ratio: float) -> float:
        """How far a model is below the dense one on the whole pool."""
        return self.drop_on(self.made[ratio].model, torch.arange(len(self.labels)))

    def drop_on(self, model: Any, rows: torch.Tensor) -> float:
        """How far a model is below the dense one on some rows."""
        return self.scored(self.dense, rows).measurement.value - self.scored(model, rows).measurement.value

    def _replayed(self, name: str, make: Callable[[], Any]) -> Replayed:
        """A model that answers with what another one says of the pool, which is made where that is not known yet."""
        file = None if self._work is None else self._work / f"{name}.safetensors"
        if file is not None and file.is_file():
            return Replayed(load_file(file)["logits"], self._config)
        forward = Forward(make(), self.task)
        outputs = torch.cat([forward(batch)[0] for batches in self._batches for batch in batches])
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            save_file({"logits": outputs}, file)
        return Replayed(outputs, self._config)


@dataclass(frozen=True)
class Draw:
    """The validation rows of a run, and those that are left."""

    validation: torch.Tensor
    fresh: torch.Tensor


def interval(pool: Pool, draw: Draw, target: Target) -> Judge:
    """As compress compares: with the interval over the validation rows."""
    dense = pool.scored(pool.dense, draw.validation)

    def compare(model: Any) -> tuple[float, Difference]:
        ours = pool.scored(model, draw.validation)
        return ours.measurement.value, paired_difference(ours, dense, "dense", target.confidence)

    return compare


def value_alone(pool: Pool, draw: Draw, target: Target) -> Judge:
    """Without a confidence: the interval is the value."""
    dense = pool.scored(pool.dense, draw.validation).measurement

    def compare(model: Any) -> tuple[float, Difference]:
        value = pool.scored(model, draw.validation).measurement.value
        ends = [value - dense.value] * 3
        count = dense.examples
        return value, Difference("dense", *ends, target.confidence, count, dense.value, changed=count)

    return compare


def outcome_of(
    pool: Pool, target: Target, rows: int, runs: int, rule: Callable[[Pool, Draw, Target], Judge]
) -> dict[str, Any]:
    """How often the target was kept on the rows that are left, in so many runs under a rule."""
    kept, drops, ratios = 0, [], Counter[str]()
    for run in range(runs):
        order = torch.randperm(len(pool.labels), generator=torch.Generator().manual_seed(run))
        draw = Draw(order[:rows], order[rows:])
        found: TargetSearch = smallest_within(pool, rule(pool, draw, target), target)
        ratio = found.trials[-1].ratio if not found.kept else min(t.ratio for t in found.trials if t.kept)
        ratios[f"{ratio:g}" if found.kept else "missed"] += 1
        drops.append(pool.drop_on(found.compressed.model, draw.fresh) if found.kept else -math.inf)
        kept += drops[-1] <= target.max_drop
    share = kept / runs
    met = [drop for drop in drops if drop > -math.inf]
    return {
        "kept": kept,
        "share": share,
        "standard_error": round(math.sqrt(share * (1 - share) / runs), 4),
        "largest_drop": round(max(met), 5) if met else None,
        "mean_drop": round(sum(met) / len(met), 5) if met else None,
        "ratios": dict(sorted(ratios.items())),
    }


if __name__ == "__main__":
    main()
