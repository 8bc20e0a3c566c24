"""What a sentence may quote, and what counts as a failure."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from fwsvd_export.cli import group
from fwsvd_export.errors import is_failure, listed, message_of, shown

Panic = type("PanicException", (BaseException,), {})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        ("größe", "'größe'"),
        ("a\nb\x1b[31m", "'a\\nb\\x1b[31m'"),
        ("x" * 100, f"'{'x' * 78}…"),
        ([1] * 1000, "[" + "1, " * 26 + "…"),
    ],
)
def test_a_value_is_quoted_on_one_line_and_not_at_length(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_librarys_message_stands_on_one_line_is_printable_and_not_long() -> None:
    heading = "Error(s) in loading state_dict for Linear:\n\tsize mismatch for weight: copying a param"
    assert message_of(RuntimeError(heading)) == (
        "Error(s) in loading state_dict for Linear: size mismatch for weight: copying a param"
    )
    assert message_of(ValueError("a\x07b\u202e")) == "a\\x07b\\u202e"
    assert message_of(ValueError("x" * 1000)) == "x" * 299 + "…"
    assert message_of(ValueError(" \n")) == "ValueError"


def test_names_are_listed_up_to_a_number() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b, c"
    assert listed((f"n{number}" for number in range(2003)), 3) == "n0, n1, n2 and 2,000 more"
    assert listed(["a\x1b[31m", "x" * 1000]) == f"a\\x1b[31m, {'x' * 79}…"


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (ValueError(), True),
        (RecursionError(), True),
        (Panic(), True),
        (KeyboardInterrupt(), False),
        (SystemExit(), False),
    ],
)
def test_a_panic_is_a_failure_and_an_interrupt_is_none(error: BaseException, failure: bool) -> None:
    assert is_failure(error) is failure


def test_a_panic_of_a_library_ends_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def panic(*arguments: object, **options: object) -> None:
        raise Panic("index out of bounds")

    monkeypatch.setattr("fwsvd_export.workflows.inspect.load_checkpoint", panic)
    result = CliRunner().invoke(group, ["inspect", "model"])
    assert result.exit_code == 1
    assert result.stderr == "Error: PanicException: index out of bounds (not expected here; -v shows where)\n"
