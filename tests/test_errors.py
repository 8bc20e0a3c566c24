"""What a sentence may quote, and what counts as a failure."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from fwsvd_export.cli import group
from fwsvd_export.errors import first_line, is_failure, shown

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


def test_the_first_line_of_a_message_is_printable_and_not_long() -> None:
    assert first_line(ValueError("no\nway")) == "no"
    assert first_line(ValueError("a\x07b\u202e")) == "a\\x07b\\u202e"
    assert first_line(ValueError("x" * 1000)) == "x" * 299 + "…"
    assert first_line(ValueError(" ")) == "ValueError"


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
