"""The iterative methods through the command line: what they write, what they tell, what they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from safetensors.torch import load_file

from fwsvd_export.architectures.registry import FAMILIES
from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.fisher.files import load_statistics
from fwsvd_export.solvers.solver import Iterative
from fwsvd_export.solvers.table import SOLVERS
from fwsvd_export.workflows import fisher as workflow

Run = Callable[..., Result]
Refused = Callable[..., str]

METHODS = [name for name, solver in SOLVERS.items() if isinstance(solver, Iterative)]
CODE = set(FAMILIES["bert"].code_files)
TOKEN_IDS = torch.tensor([[2, 5, 7, 9, 3], [2, 24, 8, 3, 0]])
RANK = 18  # the square layers stay dense


@dataclass(frozen=True)
class Made:
    """A folder that compress wrote."""

    method: str
    folder: Path
    record: dict[str, Any]
    weights: bytes
    stderr: str


@pytest.fixture(scope="module")
def make(
    tiny_folder: Path, statistics_file: Path, run: Run, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Made]:
    """A function that compresses the two-class model: make("als", "tolerance=0", rank=6)."""

    def make(method: str, *options: str, rank: int = 6, quiet: bool = False) -> Made:
        folder = tmp_path_factory.mktemp(method) / "small"
        given = [word for option in options for word in ("--solver-option", option)]
        words = ["compress", tiny_folder, folder, "--fisher", statistics_file, "--method", method, "--rank", rank]
        result = run(*(["-q"] if quiet else []), *words, *given)
        assert result.exit_code == 0, result.output
        record = json.loads((folder / "compression.json").read_text())
        return Made(method, folder, record, (folder / "model.safetensors").read_bytes(), result.stderr)

    return make


@pytest.fixture(scope="module", params=METHODS)
def made(request: pytest.FixtureRequest, make: Callable[..., Made]) -> Made:
    return make(request.param, rank=RANK)


def test_the_folder_is_complete_and_the_model_in_it_answers(made: Made, tiny_folder: Path) -> None:
    expected = {path.name for path in tiny_folder.iterdir()} | CODE | {"README.md", "compression.json"}
    assert {path.name for path in made.folder.iterdir()} == expected
    assert made.method in (made.folder / "README.md").read_text()
    model = load_checkpoint(str(made.folder)).model
    assert type(model).__name__ == "LowRankBertForSequenceClassification"
    with torch.no_grad():
        logits = model(TOKEN_IDS).logits
    assert logits.shape == (2, 2)
    assert bool(logits.isfinite().all())


def test_the_record_holds_every_option_and_what_happened_in_each_layer(made: Made) -> None:
    solver = SOLVERS[made.method]
    assert isinstance(solver, Iterative)
    assert made.record["method"] == made.method
    assert made.record["asked"]["solver_options"] == asdict(solver.options())
    statuses = {layer["name"]: layer["status"] for layer in made.record["layers"] if not layer["kept_dense"]}
    assert len(statuses) == 4
    stopped = [f"{name}: {status}" for name, status in statuses.items() if status.startswith("stopped after ")]
    assert all(status.startswith(("stopped after ", "converged after ")) for status in statuses.values())
    hinted = [line for line in made.stderr.splitlines() if "stopped after " in line]
    assert len(hinted) == bool(stopped)
    if stopped:
        more = len(stopped) - 1
        likewise = f" (likewise {more} more layer{'s' * (more > 1)})" if more else ""
        assert hinted == [f"{stopped[0]}{likewise}"]


def test_the_predicted_loss_is_that_of_the_written_factors(
    made: Made, tiny_folder: Path, statistics_file: Path
) -> None:
    dense, small = (load_file(folder / "model.safetensors") for folder in (tiny_folder, made.folder))
    statistics = load_statistics(statistics_file)
    for layer in made.record["layers"]:
        name = f"bert.{layer['name']}"
        if layer["kept_dense"]:
            assert (layer["predicted_loss"], layer["status"]) == (0, "dense")
            continue
        product = small[f"{name}.up.weight"].double() @ small[f"{name}.down.weight"].double()
        element = statistics.layers[layer["name"]].element
        assert element is not None
        error = (dense[f"{name}.weight"].double() - product).square()
        left = float((element.double() / statistics.examples * error).sum() / 2)
        assert left > 0
        assert layer["predicted_loss"] == pytest.approx(left, rel=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_command_gives_the_same_bytes_and_another_start_others(method: str, make: Callable[..., Made]) -> None:
    default, again, other = make(method), make(method), make(method, "start=svd")
    assert default.weights == again.weights
    assert default.weights != other.weights
    assert default.record["asked"]["solver_options"]["start"] == "rank-one"
    assert other.record["asked"]["solver_options"]["start"] == "svd"


@pytest.mark.parametrize("method", METHODS)
def test_too_few_iterations_end_with_what_to_raise(method: str, make: Callable[..., Made]) -> None:
    short, quiet = (make(method, "max_iterations=1", quiet=quiet) for quiet in (False, True))
    advice = "before the loss had settled: raise max_iterations above 1"
    hints = [f"{layer['name']}: {layer['status']}" for layer in short.record["layers"]]
    assert all(hint.endswith(advice) and "after 1 iteration, " in hint for hint in hints)
    assert short.stderr.splitlines()[-1] == f"{hints[0]} (likewise {len(hints) - 1} more layers)"
    assert quiet.stderr == ""
    assert quiet.weights == short.weights


def test_nothing_is_advised_where_every_layer_converged(make: Callable[..., Made]) -> None:
    settled = make("als", "tolerance=0.5")
    assert all(layer["status"].startswith("converged after ") for layer in settled.record["layers"])
    assert "max_iterations" not in settled.stderr


def test_names_are_written_with_dashes_or_underscores_and_options_repeat(make: Callable[..., Made]) -> None:
    dashed = make("anderson", "max-iterations=5", " depth = 2 ")
    assert dashed.record["asked"]["solver_options"]["max_iterations"] == 5
    assert dashed.record["asked"]["solver_options"]["depth"] == 2
    assert dashed.weights == make("anderson", "max_iterations=5", "depth=2").weights


def test_progress_shows_the_loss_so_far(make: Callable[..., Made]) -> None:
    shown = make("als", "max_iterations=2")
    total = sum(layer["predicted_loss"] for layer in shown.record["layers"])
    line = next(line for line in shown.stderr.splitlines() if line.startswith("solving layers"))
    assert "12/12" in line
    assert line.rstrip().endswith(f"loss so far {total:.3g}")


@pytest.mark.parametrize("method", ["em", "als"])
def test_task_data_is_enough_and_only_what_the_method_needs_is_collected(
    method: str,
    tiny_folder: Path,
    data_file: Path,
    tmp_path: Path,
    make: Callable[..., Made],
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    collected, collect = [], workflow.collect_statistics

    def noted(*arguments: Any, **options: Any) -> Any:
        collected.append(options["collect"])
        return collect(*arguments, **options)

    monkeypatch.setattr(workflow, "collect_statistics", noted)
    data = ["--task", "sst2", "--data", data_file, "--rank", 6, "--solver-option", "max_iterations=3"]
    result = run("compress", tiny_folder, tmp_path / "small", "--method", method, *data)
    assert result.exit_code == 0, result.output
    assert collected == [("element",)]
    mine = load_file(tmp_path / "small" / "model.safetensors")
    for name, tensor in load_file(make(method, "max_iterations=3").folder / "model.safetensors").items():
        torch.testing.assert_close(mine[name], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("method", "option", "code", "words"),
    [
        ("als", "start", 2, "'start' has no value; write start=VALUE"),
        ("em", "depth=3", 1, "solver option depth: method em knows start, max_iterations, tolerance"),
        (
            "anderson",
            "sweeps=3",
            1,
            "solver option sweeps: method anderson knows start, max_iterations, tolerance, depth, regularisation",
        ),
        ("als", "=3", 1, "method als knows start, max_iterations, tolerance, warm_up, damping, relaxation"),
        ("em", "max_iterations=many", 1, "solver option max_iterations=many: a whole number is allowed"),
        ("em", "max_iterations=", 1, "solver option max_iterations=: a whole number is allowed"),
        ("em", "max_iterations=2.5", 1, "solver option max_iterations=2.5: a whole number is allowed"),
        ("nesterov", "tolerance=tight", 1, "solver option tolerance=tight: a number is allowed"),
        ("em", "max_iterations=0", 1, "max_iterations=0: a whole number of at least 1 is allowed"),
        ("em", "tolerance=1", 1, "tolerance=1: a number from 0 up to 1 is allowed"),
        ("em", "tolerance=nan", 1, "tolerance=nan: a number from 0 up to 1 is allowed"),
        ("em", "start=zero", 1, "start=zero: one of rank-one, row, svd is allowed"),
        ("anderson", "depth=21", 1, "depth=21: a whole number from 1 to 20 is allowed"),
        ("anderson", "regularisation=0", 1, "regularisation=0: a number above 0 and at most 1 is allowed"),
        ("als", "damping=-1", 1, "damping=-1: a number above 0 and at most 1 is allowed"),
        ("kfac", "start=svd", 1, "solver option start: method kfac is exact and takes no options"),
        ("svd", "max-iterations=3", 1, "solver option max_iterations: method svd is exact and takes no options"),
    ],
)
def test_solver_options_that_are_not_allowed(
    method: str,
    option: str,
    code: int,
    words: str,
    tiny_folder: Path,
    statistics_file: Path,
    tmp_path: Path,
    refused: Refused,
) -> None:
    arguments = ["--fisher", statistics_file, "--rank", 4, "--method", method, "--solver-option", option]
    assert words in refused("compress", tiny_folder, tmp_path / "out", *arguments, code=code)


def test_options_are_checked_before_the_model_is_loaded(tmp_path: Path, refused: Refused) -> None:
    arguments = ["--method", "em", "--rank", 4, "--solver-option", "depth=3"]
    assert "method em knows" in refused("compress", tmp_path / "no-model", tmp_path / "out", *arguments)
