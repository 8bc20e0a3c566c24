"""The search for the cheapest deployment, on metrics and costs that are known."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from fwsvd_export.evaluation.deployment import (
    Deployment,
    DeploymentTrial,
    Space,
    cheapest_within,
    efficient,
)
from fwsvd_export.evaluation.difference import Difference

RATIOS = (1.0, 0.75, 0.5, 0.3, 0.2, 0.1, 0.05)
SPACE = Space(RATIOS, (1.0, 0.5, 0.2), ("auto", "keep"), ("int8", "float"))
WEIGHTS = {"int8": 1.0, "float": 4.0}


def size_of(deployment: Deployment) -> float:
    return WEIGHTS[deployment.runtime] * (deployment.ratio + 0.5 * deployment.embeddings)


def measuring(
    drop_of: Callable[[Deployment], float], allowed: float, log: list[Deployment] | None = None
) -> Callable[[Deployment], DeploymentTrial]:
    """A measurement of what is known: the metric drops by so much."""

    def measure(deployment: Deployment) -> DeploymentTrial:
        drop = drop_of(deployment)
        if log is not None:
            log.append(deployment)
        seen = Difference("dense", -drop, -drop, -drop, 0.95, 300, dense=0.9)
        return DeploymentTrial(deployment, 0.9 - drop, seen, drop <= allowed, size_of(deployment), 1, 1.0)

    return measure


drops = st.floats(0, 0.05)


@given(linear=drops, words=drops, int8=st.floats(0, 0.02), widths=st.floats(-0.01, 0.01), allowed=st.floats(0, 0.1))
def test_what_is_found_meets_the_target_and_is_the_cheapest_that_was_tried(
    linear: float, words: float, int8: float, widths: float, allowed: float
) -> None:
    def drop_of(deployment: Deployment) -> float:
        small = linear * (1 / deployment.ratio - 1) + words * (1 / deployment.embeddings - 1)
        return small + int8 * (deployment.runtime == "int8") + widths * (deployment.widths == "keep")

    log: list[Deployment] = []
    found = cheapest_within(SPACE, measuring(drop_of, allowed, log), size_of)
    assert [trial.deployment for trial in found.trials] == log
    assert len(log) == len(set(log)) <= 20
    met = [trial for trial in found.trials if trial.kept]
    assert found.kept is bool(met)
    if met:
        assert found.best.cost == min(trial.cost for trial in met)
    else:
        assert found.best.value == max(trial.value for trial in found.trials)
    for place, later in enumerate(log):  # what is smaller than something that missed is not tried
        for trial in found.trials[:place]:
            earlier = trial.deployment
            alike = (earlier.runtime, earlier.widths) == (later.runtime, later.widths)
            assert trial.kept or not alike or later.ratio > earlier.ratio or later.embeddings > earlier.embeddings


@given(st.floats(0.0001, 0.01), st.integers(1, 20))
def test_no_more_is_tried_than_is_allowed(slope: float, most: int) -> None:
    log: list[Deployment] = []
    cheapest_within(SPACE, measuring(lambda tried: slope / tried.ratio, 0.02, log), size_of, most)
    assert len(log) <= most


def test_words_are_given_up_for_weights_where_that_is_cheaper() -> None:
    def drop_of(deployment: Deployment) -> float:
        return 0.001 / deployment.ratio  # word embeddings cost nothing

    found = cheapest_within(SPACE, measuring(drop_of, 0.01), size_of)
    assert found.best.deployment == Deployment(0.1, 0.2, "auto", "int8")


def test_another_runtime_is_searched_where_the_first_never_meets_the_target() -> None:
    def drop_of(deployment: Deployment) -> float:
        return 1.0 if deployment.runtime == "int8" else 0.001 / deployment.ratio

    found = cheapest_within(SPACE, measuring(drop_of, 0.006), size_of)
    assert found.best.deployment.runtime == "float"
    assert found.best.deployment.ratio == 0.2


def test_where_nothing_meets_the_target_the_nearest_is_the_answer() -> None:
    found = cheapest_within(SPACE, measuring(lambda tried: 1 / tried.ratio, 0.1), size_of)
    assert not found.kept
    assert found.best.deployment.ratio == 1.0


@given(st.lists(st.tuples(st.integers(0, 5).map(float), st.integers(0, 5).map(float)), min_size=1))
def test_efficient_points_are_those_that_no_other_beats(points: list[tuple[float, float]]) -> None:
    found = efficient(points)
    values, costs = [points[place][0] for place in found], [points[place][1] for place in found]
    assert values == sorted(set(values))
    assert costs == sorted(set(costs))
    for place, (value, cost) in enumerate(points):
        beaten = any(points[other][0] >= value and points[other][1] <= cost for other in found if other != place)
        assert beaten or place in found
