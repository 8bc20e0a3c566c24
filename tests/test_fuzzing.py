"""A short run of the script that damages checkpoints, in this process, so that it keeps finding what it is made for."""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"
MUTATIONS = 60
SECONDS = 60


@pytest.fixture(scope="module")
def cases() -> Iterator[Any]:
    """The script's module of cases."""
    sys.path.insert(0, str(SCRIPTS))
    yield importlib.import_module("fuzz_cases")
    sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def scratch(cases: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    cases.make_models(folder / "models")
    return folder


def test_damaged_checkpoints_end_in_a_result_or_in_one_sentence(cases: Any, scratch: Path) -> None:
    results = [cases.run_case(scratch, 1, number, SECONDS) for number in range(MUTATIONS)]
    assert [result for result in results if result["failures"]] == []
    codes = Counter(result["exit_code"] for result in results)
    assert codes[0] > MUTATIONS / 10
    assert codes[1] > MUTATIONS / 3
    assert len({result["target"] for result in results}) > 5


def test_the_same_seed_gives_the_same_damage(cases: Any, scratch: Path) -> None:
    content = (scratch / "models" / "small" / "config.json").read_bytes()
    first, second = ([cases.mutate_json(Random(f"5 {n}"), content) for n in range(40)] for _ in range(2))
    assert first == second
    assert len({text for _, text in first}) > 30
    assert content not in {text for _, text in first}


def test_the_checks_see_a_command_that_fails_badly(cases: Any, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: what the script looks for is found when a command does it."""

    def write_elsewhere(*arguments: object, **options: object) -> None:
        (scratch / "models" / "outside").touch()
        (scratch / "canary").touch()
        raise ZeroDivisionError("of no kind of ours")

    monkeypatch.setattr(cases, "TARGETS", {"config": cases.TARGETS["config"]})
    monkeypatch.setattr("fwsvd_export.checkpoints.load.read_settings", write_elsewhere)
    result = cases.run_case(scratch, 1, 0, SECONDS)
    assert result["failures"] == ["tracebacks", "writes_outside", "code_was_run"]
    (scratch / "models" / "outside").unlink()
