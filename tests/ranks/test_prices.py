"""What competing components cost: weights, operations, or times that a clock measured."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fwsvd_export.ranks import prices
from fwsvd_export.ranks.cost import factor_weights, grows, planned_weights
from fwsvd_export.ranks.greedy import plan_greedy
from fwsvd_export.ranks.prices import MeasuredTimes, latency_price, measure, measure_activation, operations, price_of
from fwsvd_export.records import Budget, LayerSpec, RankLimits

CPU = torch.device("cpu")
LAYERS = [
    LayerSpec("square", 24, 24, "query", "a"),
    LayerSpec("wide", 48, 24, "intermediate", "b"),
    LayerSpec("tall", 24, 48, "output", "c"),
]
DENSE_WEIGHTS = sum(layer.weights for layer in LAYERS)
LOSSES = {
    layer.name: torch.tensor([scale * (24 - rank) ** 2 for rank in range(25)], dtype=torch.float64)
    for layer, scale in zip(LAYERS, (1.0, 1.5, 2.0), strict=True)
}
Ranks = dict[str, int | None]


def plan(price: prices.Price | None, ratio: float = 0.4) -> Ranks:
    return plan_greedy(LAYERS, Budget(ratio=ratio), 0, RankLimits(), LOSSES, price).ranks


def times_of(dense: float, *seconds: float) -> MeasuredTimes:
    """Seconds at ranks 1, 9, 17 and so on, and dense."""
    return MeasuredTimes(tuple(range(1, 8 * len(seconds), 8)), seconds, dense)


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.55, 0.8, 1.0])
def test_operations_give_the_plan_of_weights(ratio: float) -> None:
    assert price_of("params", LAYERS, CPU) is None
    price = price_of("flops", LAYERS, CPU)
    assert price is operations
    assert plan(price, ratio) == plan(None, ratio)


def test_every_weight_is_two_operations() -> None:
    assert operations(LAYERS[1], 5) == 2 * 5 * (48 + 24)
    assert operations(LAYERS[1], None) == 2 * 48 * 24


def test_ranks_go_to_the_shape_that_is_fast() -> None:
    even = {(layer.out_features, layer.in_features): times_of(4.0, 1.0, 2.0, 3.0) for layer in LAYERS}
    slow = {(48, 24): times_of(400.0, 100.0, 200.0, 300.0)}
    fair, shifted = (plan(latency_price(table)) for table in (even, even | slow))
    assert _rank(shifted, "wide") < _rank(fair, "wide")
    assert _rank(shifted, "tall") > _rank(fair, "tall")
    assert planned_weights(LAYERS, shifted) <= 0.4 * DENSE_WEIGHTS


def _rank(ranks: Ranks, name: str) -> int:
    rank = ranks[name]
    return 25 if rank is None else rank


@settings(max_examples=60)
@given(data=st.data(), ratio=st.floats(0.08, 1.0))
def test_measured_prices_never_break_the_budget(data: st.DataObject, ratio: float) -> None:
    seconds = st.floats(1e-7, 1e-2)
    table = {
        (layer.out_features, layer.in_features): times_of(
            data.draw(seconds), *sorted(data.draw(st.tuples(seconds, seconds, seconds)))
        )
        for layer in LAYERS
    }
    assert planned_weights(LAYERS, plan(latency_price(table), ratio)) <= ratio * DENSE_WEIGHTS


@pytest.mark.parametrize(
    "price",
    [
        lambda layer, rank: 1e-6,
        lambda layer, rank: 1e-3 if rank is None else 1.0 / rank,
        lambda layer, rank: 1e-9 if rank is None else 1.0,
    ],
    ids=["equal", "falling", "fast-when-dense"],
)
@pytest.mark.parametrize("ratio", [0.1, 0.4, 0.9, 1.0])
def test_prices_that_do_not_rise_still_give_a_plan(price: prices.Price, ratio: float) -> None:
    ranks = plan(price, ratio)
    left = int(ratio * DENSE_WEIGHTS) - planned_weights(LAYERS, ranks)
    assert left >= 0
    assert all(rank is None or rank >= 1 for rank in ranks.values())
    if ratio == 1.0:
        assert set(ranks.values()) == {None}
    else:  # nothing that still fits is left unused
        for layer in LAYERS:
            rank = ranks[layer.name]
            assert rank is None or grows(layer, rank + 1) or factor_weights(layer, 1) > left


def test_times_are_interpolated_between_the_measured_ranks() -> None:
    times = MeasuredTimes((2, 8, 12), (1.0, 4.0, 5.0), 6.0)
    assert [times.at(rank) for rank in (2, 8, 12)] == [1.0, 4.0, 5.0]
    assert times.at(1) == pytest.approx(0.5)
    assert times.at(5) == pytest.approx(2.5)
    assert times.at(11) == pytest.approx(4.75)
    assert times.at(30) == 5.0


@given(
    steps=st.lists(st.tuples(st.integers(1, 9), st.floats(0, 1)), min_size=1, max_size=8),
)
def test_a_larger_rank_never_takes_less(steps: list[tuple[int, float]]) -> None:
    ranks = [sum(step for step, _ in steps[: end + 1]) for end in range(len(steps))]
    seconds = [sum(rise for _, rise in steps[: end + 1]) for end in range(len(steps))]
    times = MeasuredTimes(tuple(ranks), tuple(seconds), 1.0)
    found = [times.at(rank) for rank in range(1, ranks[-1] + 4)]
    assert all(low <= high + 1e-12 for low, high in pairwise(found))


class Clock:
    """Stands still but for the products done since it was last read, each of which takes its multiplications."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds_of: Callable[[int], float] = float) -> None:
        self.now, self.products = 0.0, 0
        product = torch.Tensor.__matmul__

        def counted(left: Tensor, right: Tensor) -> Tensor:
            self.products += 1
            self.now += seconds_of(left.shape[0] * left.shape[1] * right.shape[1])
            return product(left, right)

        monkeypatch.setattr(torch.Tensor, "__matmul__", counted)

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("shape", [(64, 64), (96, 32), (32, 96)])
def test_a_measurement_takes_every_size_as_often_and_gives_the_time_of_one_pass(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    times = measure(shape, CPU, clock)
    layer = LayerSpec("", *shape, "", "")
    tokens = prices.MEASURED_TOKENS
    assert times.ranks[:2] == (1, 8)
    assert all(low < high and not grows(layer, high) for low, high in pairwise(times.ranks))
    assert times.dense == pytest.approx(tokens * layer.weights)
    assert times.seconds == pytest.approx([tokens * factor_weights(layer, rank) for rank in times.ranks])
    passes = prices._ROUNDS * prices._REPEATS
    assert clock.products == passes * (2 * len(times.ranks) + 1)


def test_one_slow_moment_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = measure((48, 48), CPU, Clock(monkeypatch))
    monkeypatch.undo()
    calls = iter(range(10**9))
    disturbed = Clock(monkeypatch, lambda work: work * (1000 if next(calls) < 40 else 1))
    assert measure((48, 48), CPU, disturbed) == quiet


def test_a_gain_of_a_larger_rank_is_taken_for_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    times = measure((64, 64), CPU, Clock(monkeypatch, lambda work: 1e9 / work))
    assert len(times.ranks) > 3
    assert list(times.seconds) == [times.seconds[0]] * len(times.ranks)
    assert times.dense < times.seconds[0]


def test_latency_measures_every_shape_once(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []

    def made_up(shape: tuple[int, int], device: torch.device) -> MeasuredTimes:
        measured.append((shape, device))
        return MeasuredTimes((1, 9), (1.0, 9.0), 100.0 + shape[0])

    monkeypatch.setattr(prices, "measure", made_up)
    monkeypatch.setattr(prices, "measure_activation", lambda neurons, device: 0.0)
    price = price_of("latency", [*LAYERS, LayerSpec("again", 24, 24, "key", "a")], CPU)
    assert sorted(measured) == [((24, 24), CPU), ((24, 48), CPU), ((48, 24), CPU)]
    assert price is not None
    assert (price(LAYERS[1], None), price(LAYERS[0], None), price(LAYERS[0], 5)) == (148.0, 124.0, 5.0)


def test_neurons_pay_for_their_activation_whatever_the_rank() -> None:
    table = {(16, 4): MeasuredTimes((1, 2), (1.0, 2.0), 3.0), (4, 16): MeasuredTimes((1, 2), (1.0, 2.0), 3.0)}
    price = latency_price(table, activation=0.5)
    inner, outer = LayerSpec("inner", 16, 4, "intermediate", "x"), LayerSpec("outer", 4, 16, "output", "y")
    assert [price(inner, rank) for rank in (1, 2, None)] == [9.0, 10.0, 11.0]
    assert [price(outer, rank) for rank in (1, 2, None)] == [1.0, 2.0, 3.0]


def test_an_activation_is_measured_by_the_clock() -> None:
    ticks = iter(range(1000))
    seconds = measure_activation(8, torch.device("cpu"), clock=lambda: float(next(ticks)))
    assert seconds == pytest.approx(1 / prices._REPEATS / 8)
