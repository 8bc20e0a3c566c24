"""What the second environment leaves out is there, and transformers takes no part in it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.environments import ANY_TRANSFORMERS, ROOT, is_for_any_transformers

MARKER = "any_transformers"
# Fixtures and functions with a model of transformers behind them
MODELS = {"tiny_model", "tiny_folder", "regression_folder", "make_head", "tiny_head", "tiny_config", "head_inputs"}
READERS = {"compress", "load_checkpoint", "run_compress", "AutoTokenizer", "BertTokenizerFast"}


def names_in(path: Path) -> set[str]:
    """Every name that a file uses, imports or takes as an argument."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.alias):
            found |= {node.name, node.name.partition(".")[0]}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).partition(".")[0])
    return found


@pytest.mark.parametrize("name", ANY_TRANSFORMERS)
def test_transformers_takes_no_part(name: str) -> None:
    place = ROOT / "tests" / name
    files = [place] if place.is_file() else sorted(place.rglob("*.py"))
    assert files, f"{name} does not exist; correct tests/environments.py"
    for file in files:
        used = names_in(file) & {"transformers", *MODELS, *READERS}
        assert not used, f"{file.name} uses {', '.join(sorted(used))}: it is tested with both versions of transformers"


@pytest.mark.parametrize("name", ["modeling/test_reload.py", "hub/test_push.py", "checkpoints/test_load.py"])
def test_models_are_seen(name: str) -> None:
    """Negative control: what reads and writes models is not taken for independent of transformers."""
    assert names_in(ROOT / "tests" / name) & {"transformers", *MODELS, *READERS}
    assert not is_for_any_transformers(ROOT / "tests" / name)


def test_tests_and_doctests_are_known_by_their_places() -> None:
    assert is_for_any_transformers(ROOT / "tests" / "solvers" / "test_als.py")
    assert is_for_any_transformers(ROOT / "fwsvd_export" / "linalg" / "decomposition.py")
    assert not is_for_any_transformers(ROOT / "fwsvd_export" / "modeling" / "configuration_lowrank_bert.py")
    assert not is_for_any_transformers(ROOT / "tests" / "storage" / "test_output.py")


def test_the_marker_is_on_those_tests_alone(request: pytest.FixtureRequest) -> None:
    for item in request.session.items:
        marked = item.get_closest_marker(MARKER) is not None
        assert marked == is_for_any_transformers(item.path), item.nodeid


def test_only_the_second_environment_leaves_them_out() -> None:
    rules = (ROOT / "Makefile").read_text(encoding="utf-8").split("\n\n")
    [newest] = [rule for rule in rules if "\ntest-newest:" in f"\n{rule}"]
    assert f'-m "not {MARKER}"' in newest
    assert sum(MARKER in rule for rule in rules) == 1
