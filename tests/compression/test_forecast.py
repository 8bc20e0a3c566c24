"""Predicted losses of sizes that were not made: those that a compression to each of them reports."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fwsvd_export as fe
from fwsvd_export.compression.forecast import RATIOS, farthest_below, forecast
from fwsvd_export.compression.prepare import prepare
from fwsvd_export.errors import RankError
from fwsvd_export.records import Budget, RankLimits, RankRequest, Statistics
from tests.helpers import inputs_of


def test_every_size_is_what_a_compression_to_it_reports(tiny_model: Any, statistics: Statistics) -> None:
    size = RankRequest(Budget(ratio=0.3))
    assert statistics.sample is not None
    texts = statistics.sample.batches()
    found = forecast(prepare(inputs_of(tiny_model, "kfac", size, statistics, None, texts)))
    assert [size.asked for size in found.sizes].count(True) == 1
    assert len(found.sizes) > 4
    for size in found.sizes:
        ratio = min((0.3, *RATIOS), key=lambda ratio: abs(ratio - size.ratio))
        small = fe.compress(tiny_model, statistics=statistics, reconstruct=False, ratio=ratio)
        assert small.compression.parameters.total_compressed == size.parameters
        assert small.compression.parameters.linear_compressed / small.compression.parameters.linear_dense == size.ratio
        assert sum(layer.predicted_loss for layer in small.compression.layers) == pytest.approx(size.loss)
    losses = [size.loss for size in found.sizes]
    assert losses == sorted(losses), "a smaller size never costs less"
    assert found.guessing is not None
    assert found.of_guessing(found.sizes[-1]) == pytest.approx(losses[-1] / found.guessing.loss)


def test_methods_whose_losses_are_not_of_the_task_have_no_share_of_guessing(tiny_model: Any) -> None:
    found = forecast(prepare(inputs_of(tiny_model, "svd", RankRequest(Budget(rank=8)))))
    assert found.guessing is None
    assert found.of_guessing(found.sizes[0]) is None
    (asked,) = [size for size in found.sizes if size.asked]
    assert asked.ratio < 1


def test_limits_and_budgets_hold_as_in_a_compression(tiny_model: Any, statistics: Statistics) -> None:
    limits = RankLimits(keep_dense=("*.output.dense",))
    found = forecast(prepare(inputs_of(tiny_model, "kfac", RankRequest(Budget(ratio=0.9), limits=limits), statistics)))
    assert len(found.sizes) < len(RATIOS), "those below the layers that stay dense are left out"
    with pytest.raises(RankError, match="ask for a ratio of at least"):
        forecast(prepare(inputs_of(tiny_model, "kfac", RankRequest(Budget(ratio=0.1), limits=limits), statistics)))


@given(st.integers(2, 30), st.floats(1, 50))
def test_the_bend_of_two_straight_parts_is_where_they_meet(place: int, steepness: float) -> None:
    across = [float(number) for number in range(33)]
    falling = [
        (steepness + 1) * max(0.0, place - x) + (32 - max(float(place), x)) * 0.5 for x in across
    ]  # steep, then flat
    assert farthest_below(across, falling) == place


def test_a_straight_line_and_a_flat_one_have_a_bend_somewhere() -> None:
    assert 0 <= farthest_below([0.0, 1.0, 2.0], [2.0, 1.0, 0.0]) <= 2
    assert 0 <= farthest_below([0.0, 1.0, 2.0], [0.0, 0.0, 0.0]) <= 2
