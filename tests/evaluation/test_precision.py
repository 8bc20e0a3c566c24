"""The search for the fewest layers in float."""

from __future__ import annotations

import pytest

from fwsvd_export.evaluation.difference import Difference
from fwsvd_export.evaluation.precision import fewest_in_float, in_order_of_worth
from fwsvd_export.evaluation.target import Target
from tests.evaluation.certain import certain

UNITS = [f"unit {index}" for index in range(20)]


def test_worth_is_the_squared_change_per_weight() -> None:
    sensitivities = {"table": 0.3, "layer": 0.2, "head": 0.01}
    assert in_order_of_worth(sensitivities, {"table": 1000, "layer": 100, "head": 1}) == ["layer", "head", "table"]


@pytest.mark.parametrize("enough", [1, 2, 7, 18, 19])
def test_the_fewest_that_are_enough_are_found(enough: int) -> None:
    tried: list[tuple[str, ...]] = []

    def compare(kept_float: tuple[str, ...]) -> tuple[float, Difference]:
        tried.append(kept_float)
        value = 0.9 if len(kept_float) >= enough else 0.8
        return value, certain(value, 1.0)

    mixed = fewest_in_float(UNITS, compare, Target(0.1))
    assert mixed.kept
    assert mixed.kept_float == tuple(UNITS[:enough])
    assert [trial.kept_float for trial in mixed.trials] == [len(kept) for kept in tried]
    assert all(trial.kept == (trial.value >= 0.9) for trial in mixed.trials)
    assert len(tried) == len(set(tried)) <= 6


def test_at_least_one_unit_must_be_quantised() -> None:
    mixed = fewest_in_float(UNITS, lambda kept: (0.8, certain(0.8, 1.0)), Target(0.1))
    assert (mixed.kept, mixed.kept_float) == (False, ())
    assert [trial.kept_float for trial in mixed.trials] == [19]


def test_a_single_unit_leaves_nothing_to_mix() -> None:
    mixed = fewest_in_float(UNITS[:1], lambda kept: (1.0, certain(1.0, 1.0)), Target(0.1))
    assert (mixed.kept, mixed.trials) == (False, ())


@pytest.mark.parametrize(("low", "kept"), [(-0.09, True), (-0.11, False)])
def test_the_lower_end_of_the_interval_decides(low: float, kept: bool) -> None:
    difference = Difference("float", -0.01, low, 0.0, 0.95, examples=100, dense=1.0, changed=9)
    mixed = fewest_in_float(UNITS, lambda kept_float: (0.99, difference), Target(0.1))
    assert mixed.kept is kept
    assert {trial.difference.low for trial in mixed.trials} == {low}
