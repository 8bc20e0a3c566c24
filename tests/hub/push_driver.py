"""Runs many pushes in one process, through the public command, against the double of the Hub.

python push_driver.py PLAN REPORT. The plan's steps have "words", "faults" for the double and "environment". A step
with "fresh" loads the model in a fresh process, which takes long; all others leave that out, and do not wait between
requests that the Hub's client repeats.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from pathlib import Path
from typing import Any
from unittest.mock import patch

from click.testing import CliRunner

from fwsvd_export.cli import group


def ask(path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(os.environ["HF_ENDPOINT"] + path, data=data)) as answer:
        return json.loads(answer.read())


def invoke(step: dict[str, Any]) -> Any:
    return CliRunner().invoke(group, step["words"], prog_name="fwsvd-export", env=step.get("environment"))


def run(step: dict[str, Any]) -> dict[str, Any]:
    ask("/_faults", step.get("faults", []))
    before = len(ask("/_state")["requests"])
    if step.get("fresh"):
        result = invoke(step)
    else:
        with patch("fwsvd_export.hub.verify.folder.check_loading", return_value=()), patch("time.sleep"):
            result = invoke(step)
    state = ask("/_state")
    return {
        "code": result.exit_code,
        "stdout": result.stdout,
        "stderr": result.stderr,
        "requests": state["requests"][before:],
        "repositories": state["repositories"],
    }


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    results = {name: run(step) for name, step in plan.items()}
    report = {"results": results, "loaded": sorted({"torch", "transformers"} & set(sys.modules))}
    Path(sys.argv[2]).write_text(json.dumps(report))


if __name__ == "__main__":
    main()
