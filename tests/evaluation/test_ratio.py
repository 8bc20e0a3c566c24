"""The search for the smallest model that keeps a promise, with a metric made up from the model's size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fwsvd_export.architectures.counts import linear_weights
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.checkpoints.weights import weights_sha256
from fwsvd_export.compression import prepare as preparing
from fwsvd_export.compression.inputs import Inputs
from fwsvd_export.compression.prepare import Prepared, prepare
from fwsvd_export.evaluation.difference import Difference
from fwsvd_export.evaluation.ratio import RESOLUTION, Compare, smallest_within
from fwsvd_export.evaluation.target import Target
from fwsvd_export.ranks import ALLOCATORS
from fwsvd_export.ranks.choices import smallest_ratio
from fwsvd_export.records import Budget, RankLimits, RankRequest
from fwsvd_export.solvers.solver import ClosedForm
from fwsvd_export.solvers.table import SOLVERS
from tests.evaluation.certain import certain

SIZE = RankRequest(Budget(rank=1))  # its budget is not looked at


@pytest.fixture
def prepared(tiny_model: Any) -> Prepared:
    """Without statistics: svd's losses are said to be comparable, so that greedy takes them."""
    svd = SOLVERS["svd"]
    assert isinstance(svd, ClosedForm)
    return prepare(Inputs(encoder_of(tiny_model), replace(svd, comparable=True), svd.options(), SIZE))


@pytest.fixture
def share(tiny_model: Any) -> Callable[[Any], float]:
    """The share of the linear weights that a model kept."""
    return lambda model: linear_weights(encoder_of(model)) / linear_weights(encoder_of(tiny_model))


@pytest.fixture
def by_share(share: Callable[[Any], float]) -> Compare:
    """The share as a metric; the dense model's is 1."""
    return lambda model: (share(model), certain(share(model), 1.0))


@pytest.mark.parametrize("allocate", ALLOCATORS)
@pytest.mark.parametrize("needed", [0.0, 0.11, 0.3, 0.62, 0.999, 1.0])
def test_a_metric_that_rises_with_the_size_gives_the_smallest_ratio_that_is_enough(
    needed: float, allocate: str, prepared: Prepared, share: Callable[[Any], float], by_share: Compare
) -> None:
    prepared = replace(prepared, inputs=replace(prepared.inputs, size=replace(SIZE, allocate=allocate)))
    found = smallest_within(prepared, by_share, Target(1 - needed))
    kept = {trial.ratio for trial in found.trials if trial.kept}
    missed = {trial.ratio for trial in found.trials if not trial.kept}
    assert found.kept
    assert share(found.compressed.model) >= needed - 1e-12
    below = max(missed, default=smallest_ratio(prepared.inputs.encoder.layers, prepared.inputs.size.limits))
    assert below < min(kept) <= below + RESOLUTION
    assert found.trials[0].ratio == 1.0
    expected = prepared.at(Budget(ratio=min(kept)))
    assert found.compressed.report.plan == expected.report.plan
    assert weights_sha256(found.compressed.model) == weights_sha256(expected.model)
    for trial in found.trials:
        assert trial.kept == (trial.value >= 1.0 - (1 - needed))
        assert trial.difference == certain(trial.value, 1.0)


def test_a_promise_that_the_largest_model_breaks_ends_after_one_trial(
    prepared: Prepared, share: Callable[[Any], float], by_share: Compare
) -> None:
    prepared = replace(prepared, inputs=replace(prepared.inputs, size=replace(SIZE, limits=RankLimits(largest=2))))
    found = smallest_within(prepared, by_share, Target(0.5))
    assert not found.kept
    (trial,) = found.trials
    assert (trial.ratio, trial.kept, trial.value) == (1.0, False, share(found.compressed.model))
    assert set(found.compressed.report.plan.ranks.values()) == {2}


def test_where_only_one_size_is_allowed_nothing_is_searched(prepared: Prepared, by_share: Compare) -> None:
    prepared = replace(
        prepared, inputs=replace(prepared.inputs, size=replace(SIZE, limits=RankLimits(keep_dense=("*",))))
    )
    found = smallest_within(prepared, by_share, Target(0))
    assert (found.kept, len(found.trials)) == (True, 1)
    assert set(found.compressed.report.plan.ranks.values()) == {None}


@pytest.mark.parametrize(("drop", "kept"), [(0.25, True), (0.125, False)])
def test_a_drop_of_exactly_the_promise_keeps_it(drop: float, kept: bool, prepared: Prepared) -> None:
    assert smallest_within(prepared, lambda model: (0.5, certain(0.5, 0.75)), Target(drop)).kept is kept


def unsure(value: float, low: float, changed: int) -> Difference:
    return Difference("dense", value, low, value, 0.95, examples=100, dense=1.0, changed=changed)


@pytest.mark.parametrize(("low", "kept"), [(-0.09, True), (-0.11, False)])
def test_the_lower_end_of_the_interval_decides(low: float, kept: bool, prepared: Prepared) -> None:
    limited = replace(prepared, inputs=replace(prepared.inputs, size=replace(SIZE, limits=RankLimits(largest=2))))
    found = smallest_within(limited, lambda model: (0.99, unsure(-0.01, low, changed=9)), Target(0.1))
    assert found.kept is kept
    assert found.trials[0].difference.low == low


@pytest.mark.parametrize(("max_drop", "kept"), [(0.037, True), (0.036, False)])
def test_a_model_that_changed_no_answer_may_change_as_many_as_were_not_seen(
    max_drop: float, kept: bool, prepared: Prepared
) -> None:
    limited = replace(prepared, inputs=replace(prepared.inputs, size=replace(SIZE, limits=RankLimits(largest=2))))
    found = smallest_within(limited, lambda model: (1.0, unsure(0.0, 0.0, changed=0)), Target(max_drop))
    assert found.kept is kept
    assert found.trials[0].difference.low == pytest.approx(-0.0362, abs=1e-4), "1 - 0.025^(1 / 100)"


def test_the_dense_model_itself_changes_nothing_that_was_not_seen(prepared: Prepared) -> None:
    """At ratio 1 no layer's factors would be smaller, so that none is factorised."""
    found = smallest_within(prepared, lambda model: (1.0, unsure(0.0, 0.0, changed=0)), Target(0))
    assert found.kept
    assert [trial.kept for trial in found.trials[:2]] == [True, False]
    assert found.trials[0].difference.low == 0
    assert not found.compressed.report.approximates


def test_no_trial_decomposes_again(prepared: Prepared, by_share: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(preparing, "decompose_layers")
    monkeypatch.delattr(preparing, "solve_layers")
    assert len(smallest_within(prepared, by_share, Target(0.5)).trials) > 5
