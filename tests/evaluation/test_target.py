"""An accuracy target: which drops it allows, and what is known of losses that were not seen."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from scipy.stats import binom

from fwsvd_export.errors import DataError, RankError
from fwsvd_export.evaluation.difference import Difference
from fwsvd_export.evaluation.target import Target, check_max_drop, examples_needed


def difference(value: float, low: float, changed: int | None = 10, examples: int = 100) -> Difference:
    return Difference("dense", value, low, value, 0.95, examples, dense=0.9, changed=changed)


@pytest.mark.parametrize("max_drop", [0, 0.01, 1])
def test_no_drop_and_any_drop_are_targets(max_drop: float) -> None:
    check_max_drop(max_drop)
    Target(max_drop)


@pytest.mark.parametrize("max_drop", [-0.01, float("-inf"), float("nan")])
def test_a_rise_and_what_is_no_number_are_refused(max_drop: float) -> None:
    for check in (check_max_drop, Target):
        with pytest.raises(RankError, match=f"max-drop {max_drop:g}: .*at least 0"):
            check(max_drop)


@pytest.mark.parametrize("confidence", [0.5, 1, 1.2, -0.95, float("nan"), True])
def test_a_confidence_that_no_interval_has_is_refused(confidence: float) -> None:
    with pytest.raises(DataError, match=r"confidence (0\.5|1|1\.2|-0\.95|nan|True): a number above 0\.5 and below 1"):
        Target(0.01, confidence)


@pytest.mark.parametrize(("low", "met"), [(0.0, True), (-0.05, True), (19 / 20 - 1, True), (-0.0501, False)])
def test_the_lower_end_decides_up_to_rounding(low: float, met: bool) -> None:
    assert Target(0.05).met(difference(0.0, low)) is met


@pytest.mark.parametrize("examples", [5, 100, 2000])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_of_a_share_that_was_not_seen_not_to_see_it_is_as_rare_as_asked(examples: int, confidence: float) -> None:
    bounded = Target(0, confidence).bounded(difference(0.0, 0.0, changed=0, examples=examples))
    assert binom.pmf(0, examples, -bounded.low) == pytest.approx((1 - confidence) / 2)


def test_an_interval_that_knows_of_losses_stays_as_it_is() -> None:
    seen = difference(-0.02, -0.07)
    assert Target(0).bounded(seen) == seen


@pytest.mark.parametrize("changed", [0, 99, 100])
def test_where_numbers_are_predicted_nothing_is_unseen(changed: int) -> None:
    seen = replace(difference(-0.001, -0.002, changed=changed), largest_cost=0.0)
    assert Target(0).bounded(seen) == seen


def test_an_answer_that_costs_more_is_bounded_by_more() -> None:
    one, five = (replace(difference(0.0, 0.0, changed=0), largest_cost=cost) for cost in (1.0, 5.0))
    assert Target(0).bounded(five).low == pytest.approx(5 * Target(0).bounded(one).low)


def test_wins_do_not_hide_losses_that_were_not_seen() -> None:
    assert Target(0).bounded(difference(0.03, 0.01)).low == pytest.approx(0.03 - 0.0362, abs=1e-4)


@pytest.mark.parametrize(("value", "low", "needed"), [(-0.005, -0.015, 400), (0.0, -0.02, 400), (0.01, 0.0, 100)])
def test_an_interval_narrows_with_the_root_of_the_number_of_examples(value: float, low: float, needed: int) -> None:
    found = examples_needed(value, low, max_drop=0.01, examples=100)
    assert found in (needed, needed + 1)
    width = (value - low) / math.sqrt(needed / 100)
    assert value - width >= -0.01 - 1e-12


@pytest.mark.parametrize("value", [-0.01, -0.02])
def test_a_drop_that_is_too_large_in_itself_is_not_helped_by_examples(value: float) -> None:
    assert examples_needed(value, -0.03, max_drop=0.01, examples=100) is None
