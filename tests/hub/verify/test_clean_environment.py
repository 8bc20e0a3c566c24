"""What a process without the package says of checkpoints, and how it is kept apart."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fwsvd_export.architectures.registry import BERT
from fwsvd_export.hub.verify.clean_environment import auto_class_of
from tests.hub.verify.loading import said


def test_the_process_has_no_token_no_cache_and_no_network(
    program: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    (tmp_path / "modules" / "transformers_modules").mkdir(parents=True)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "modules"), str(tmp_path)]))
    seen = tmp_path / "seen.json"
    program(f"import json, os, sys; json.dump([dict(os.environ), sys.argv[1:]], open({str(seen)!r}, 'w'))\nprint('[]')")
    assert said(tmp_path) == []
    environment, arguments = json.loads(seen.read_text())
    assert not {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH"} & set(environment)
    assert (environment["HF_HUB_OFFLINE"], environment["HF_HOME"] == str(tmp_path)) == ("1", False)
    assert environment["PYTHONPATH"] == str(tmp_path), "another cache of models' code would hide its own"
    assert arguments == [str(tmp_path), "AutoModel"]


def test_what_the_process_says_is_printable_and_not_long(program: Callable[[str], None], tmp_path: Path) -> None:
    program("import json; print('noise'); print(json.dumps(['\\x1b[31m' + 'x' * 10**6]))")
    [problem] = said(tmp_path)
    assert problem.startswith("does not load in a process without fwsvd-export: \\x1b[31mxxx")
    assert len(problem) < 400


def test_a_process_that_dies_or_hangs_is_a_finding(program: Callable[[str], None], tmp_path: Path) -> None:
    program("import sys; sys.exit('no memory')")
    ending = "the process that loaded it ended with code 1: no memory"
    assert said(tmp_path) == [f"does not load in a process without fwsvd-export: {ending}"]
    program("import os; os._exit(9)")
    assert said(tmp_path)[0].endswith("ended with code 9: it said nothing")
    program("import time; time.sleep(60)")
    assert said(tmp_path, seconds=0.1) == ["the model was not loaded within 0.1 seconds"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"architectures": ["LowRankBertModel"], "auto_map": {"AutoModel": "modeling.LowRankBertModel"}}, "AutoModel"),
        ({"architectures": ["LowRankBertModel"], "auto_map": {"AutoModel": "modeling.Other"}}, None),
        ({"architectures": ["BertModel"], "auto_map": {"AutoModel": "modeling.BertModel"}}, None),
        ({"architectures": ["LowRankBertModel"], "auto_map": None}, None),
        ({"architectures": None, "auto_map": {}}, None),
        ({}, None),
    ],
)
def test_the_auto_class_of_a_configuration(settings: dict[str, Any], expected: str | None) -> None:
    assert auto_class_of(settings, BERT) == expected
