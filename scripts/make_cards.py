r"""Compresses models, measures them beside their bases and writes their cards into a folder.

    python scripts/make_cards.py --models MODELS --data DATA -o model_cards
    python scripts/make_cards.py -o model_cards --render

MODELS holds one folder per task, DATA one folder per task with train.jsonl and validation.jsonl. Every step is a public
command. TASK.json gets everything that the card says, with all digits, TASK.md the card; --render writes the cards
again from the committed results alone. For latencies on a quiet machine run the steps apart, with one working folder:

    python scripts/make_cards.py --models MODELS --data DATA --work WORK -o model_cards --steps models
    python scripts/make_cards.py --models MODELS --data DATA --work WORK -o model_cards --steps latency,cards
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fwsvd_export.cli import group
from fwsvd_export.hub.card.write import render_card
from fwsvd_export.storage.json_files import write_json

RUNTIMES = ("torch", "onnxruntime", "onnxruntime-int8")
STEPS = ("models", "latency", "cards")


def main() -> None:
    """Makes the cards, or renders them again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--tasks", default="sst2,stsb,cola")
    parser.add_argument("--ratio", default="0.25")
    parser.add_argument("--max-samples", default="2048")
    parser.add_argument("--work", type=Path, help="New folder for the models (a temporary one).")
    parser.add_argument("--steps", default=",".join(STEPS), help=f"Of {', '.join(STEPS)}.")
    parser.add_argument("--render", action="store_true", help="Only write the cards from the results that are there.")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    tasks, output = arguments.tasks.split(","), arguments.output.absolute()
    output.mkdir(parents=True, exist_ok=True)
    if not arguments.render:
        if arguments.models is None or arguments.data is None:
            parser.error("give --models and --data, or --render")
        with tempfile.TemporaryDirectory(prefix="fwsvd-export-cards-") as scratch:
            make(tasks, arguments, (arguments.work or Path(scratch)).absolute(), output)
            os.chdir(output)  # a folder that is in use cannot be removed everywhere
    written = [name for name in tasks if (output / f"{name}.json").is_file()]
    for name in written:
        (output / f"{name}.md").write_text(card_of(output / f"{name}.json"), encoding="utf-8")
    print(json.dumps({"cards": [f"{name}.md" for name in written]}))


def make(tasks: Sequence[str], arguments: argparse.Namespace, work: Path, output: Path) -> None:
    """Runs the steps in a working folder in which every name is short: names are all that a card tells."""
    work.mkdir(exist_ok=True)
    places = {"data": arguments.data.absolute(), **{name: (arguments.models / name).absolute() for name in tasks}}
    for name, place in places.items():
        if not (work / name).exists():
            (work / name).symlink_to(place)
    steps = arguments.steps.split(",")
    os.chdir(work)
    for name in tasks if "models" in steps else ():
        compress_and_score(name, arguments.ratio, arguments.max_samples)
    for name in tasks if "latency" in steps else ():
        run("bench", name, f"{name}-small", "-o", f"{name}-bench", "--rounds", "4", "--overwrite")
    for name in tasks if "cards" in steps else ():
        files = [f"{name}-bench/results.json", *(f"{score}.json" for score in scores_of(name))]
        options = [word for file in files for word in ("--results", file)]
        facts = json.loads(run("card", f"{name}-small", *options, "--json"))
        write_json(output / f"{name}.json", {key: value for key, value in facts.items() if key != "card"})


def compress_and_score(name: str, ratio: str, max_samples: str) -> None:
    """The compressed model, ONNX of both, and the metric of both under every runtime."""
    small, train = f"{name}-small", ["--task", name, "--data", f"data/{name}/train.jsonl"]
    # The bases' weights are stored in half precision: so are the compressed ones, or the sizes could not be compared
    options = [*train, "--max-samples", max_samples, "--ratio", ratio, "--dtype", "float16"]
    run("compress", name, small, *options)
    run("onnx", name, "-o", f"{name}-dense", "--int8")
    run("onnx", small, "--int8")
    for score, (model, runtime) in scores_of(name).items():
        place = ["--onnx", f"{name}-dense"] if model == name and runtime != "torch" else []
        validation = ["--task", name, "--data", f"data/{name}/validation.jsonl"]
        answer = run("evaluate", model, *validation, "--runtime", runtime, *place, "--json")
        Path(f"{score}.json").write_text(answer, encoding="utf-8")


def scores_of(name: str) -> dict[str, tuple[str, str]]:
    """File name -> model and runtime, of every score of a task."""
    return {f"{model}-{runtime}": (model, runtime) for model in (name, f"{name}-small") for runtime in RUNTIMES}


def card_of(results: Path) -> str:
    """The card that a results file gives."""
    facts: dict[str, Any] = json.loads(results.read_text(encoding="utf-8"))
    return render_card(facts)


def run(*words: str) -> str:
    """What a command prints."""
    print(" ".join(("fwsvd-export", *words)), file=sys.stderr, flush=True)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = group.main(list(words), "fwsvd-export", standalone_mode=False)
    if code:
        raise SystemExit(f"{words[0]} ended with {code}")
    return printed.getvalue()


if __name__ == "__main__":
    main()
