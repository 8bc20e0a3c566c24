"""Numbers keep their value and their sign in words."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fwsvd_export.report.page import words


def number(text: str) -> float:
    return float(text.replace("−", "-"))


@given(st.floats(-1, 1))
def test_a_metric_is_its_value_to_the_last_digit(value: float) -> None:
    assert abs(number(words.score(value, 4)) - value) <= 0.5001e-4
    assert abs(number(words.signed(value, 4)) - value) <= 0.5001e-4


@given(st.floats(-1, 1))
def test_a_difference_has_a_sign_unless_it_is_nothing(value: float) -> None:
    text = words.signed(value)
    assert text[0] == ("+" if value > 0 else "−") or text == ".000"
    assert "-" not in text


def test_nothing_that_was_lost_is_called_a_gain() -> None:
    assert words.signed(-0.0004) == ".000"
    assert words.signed(0.0006) == "+.001"
    assert words.score(-0.05) == "−.050"


def test_shares_sizes_and_speeds() -> None:
    assert [words.percent(share) for share in (1.0, 0.2499, 0.0004)] == ["100 %", "25 %", "0 %"]
    assert words.millions(99_999) == "99,999"
    assert words.faster(0.0) == "as fast as dense"
    assert words.joined([]) == ""
    assert words.joined(["a", "b"]) == "a and b"
