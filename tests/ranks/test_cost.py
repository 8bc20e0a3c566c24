"""What a layer costs at a rank."""

from __future__ import annotations

import pytest

from fwsvd_export.ranks.cost import factor_weights, grows
from fwsvd_export.records import LayerSpec


def layers_of(shapes: list[tuple[int, int]]) -> list[LayerSpec]:
    return [LayerSpec(f"layer.{index}", *shape, "output", f"input.{index}") for index, shape in enumerate(shapes)]


@pytest.mark.parametrize(("rank", "expected"), [(15, False), (16, True), (17, True)])
def test_factors_grow_from_the_break_even_rank_on(rank: int, expected: bool) -> None:
    (layer,) = layers_of([(32, 32)])
    assert factor_weights(layer, rank) == 64 * rank
    assert grows(layer, rank) is expected
