"""What a layer costs at a rank when components compete for the budget: weights, operations, or measured time.

The budget itself is one of weights, whatever the price. A layer's operations per token are twice its weights, so for
these layers ``flops`` gives the plan of ``params``; ``latency`` differs, because two thin products take longer than
their share of one, and small layers longer than their share of large ones. What an activation takes is part of the
price of the layer before it: fewer neurons save it, a lower rank does not.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import torch

from fwsvd_export.ranks.cost import factor_weights, grows
from fwsvd_export.records import LayerSpec

Price = Callable[[LayerSpec, int | None], float]
Shape = tuple[int, int]

MEASURED_TOKENS = 128  # that pass through the layer at once, as in one sentence pair
_FIRST_RANK = 8
_RANK_STEP = 1.5  # from one measured rank to the next; between them the time is interpolated
_ROUNDS = 15  # all sizes in turn, so that a busy moment of the machine hits them alike; the median counts
_REPEATS = 5  # of one product in a round: a single one is near the clock's resolution


@dataclass(frozen=True)
class MeasuredTimes:
    """Seconds of one layer shape: at rising ranks, and dense."""

    ranks: tuple[int, ...]
    seconds: tuple[float, ...]
    dense: float

    def at(self, rank: int) -> float:
        """Interpolated between the measured ranks; below the first in proportion."""
        place = bisect_left(self.ranks, rank)
        if place == len(self.ranks):
            return self.seconds[-1]
        low, start = (self.ranks[place - 1], self.seconds[place - 1]) if place else (0, 0.0)
        share = (rank - low) / (self.ranks[place] - low)
        return start + share * (self.seconds[place] - start)


def price_of(cost: str, layers: Sequence[LayerSpec], device: torch.device) -> Price | None:
    """The price that ``--cost`` names; None is the number of weights.

    Args:
        cost: params, flops or latency.
        layers: whose shapes are measured for "latency".
        device: where they are measured.

    """
    if cost == "latency":
        shapes = sorted({(layer.out_features, layer.in_features) for layer in layers})
        neurons = max((layer.out_features for layer in layers if layer.role == "intermediate"), default=0)
        table = {shape: measure(shape, device) for shape in shapes}
        return latency_price(table, measure_activation(neurons, device) if neurons else 0.0)
    return operations if cost == "flops" else None


def operations(layer: LayerSpec, rank: int | None) -> float:
    """Floating-point operations per token, two for each weight."""
    return 2.0 * (layer.weights if rank is None else factor_weights(layer, rank))


def latency_price(table: Mapping[Shape, MeasuredTimes], activation: float = 0.0) -> Price:
    """Seconds by a measured table.

    Args:
        table: of the products of every shape (out, in).
        activation: seconds for every neuron behind a layer before an activation; factors save nothing of it.
    """

    def price(layer: LayerSpec, rank: int | None) -> float:
        times = table[layer.out_features, layer.in_features]
        behind = activation * layer.out_features if layer.role == "intermediate" else 0.0
        return behind + (times.dense if rank is None else times.at(rank))

    return price


def measure(shape: Shape, device: torch.device, clock: Callable[[], float] = time.perf_counter) -> MeasuredTimes:
    """Times the products of one shape (out, in) on this machine, for ``MEASURED_TOKENS`` tokens.

    Times are made to rise with the rank: what looks like a gain of a larger rank is noise.

    Args:
        shape: of the dense weight.
        device: where.
        clock: seconds.
    """
    layer = LayerSpec("measured", *shape, "", "")
    ranks = _measured_ranks(layer)
    inputs = torch.randn(MEASURED_TOKENS, shape[1], device=device)
    sizes = [[torch.randn(rank, shape[1], device=device), torch.randn(shape[0], rank, device=device)] for rank in ranks]
    sizes.append([torch.randn(shape, device=device)])
    found: list[list[float]] = [[] for _ in sizes]
    for _ in range(_ROUNDS):
        for factors, seconds in zip(sizes, found, strict=True):
            seconds.append(_timed(inputs, factors, clock))
    *low_rank, dense = (median(seconds) for seconds in found)
    rising = [max(low_rank[: place + 1]) for place in range(len(low_rank))]
    return MeasuredTimes(ranks, tuple(rising), dense)


@torch.no_grad()
def measure_activation(neurons: int, device: torch.device, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds that Gelu takes for one neuron, for ``MEASURED_TOKENS`` tokens.

    Args:
        neurons: that are measured side by side.
        device: where.
        clock: seconds.
    """
    values, found = torch.randn(MEASURED_TOKENS, neurons, device=device), []
    for _ in range(_ROUNDS):
        _wait(values)
        start = clock()
        for _ in range(_REPEATS):
            torch.nn.functional.gelu(values)
        _wait(values)
        found.append((clock() - start) / _REPEATS)
    return median(found) / neurons


def _measured_ranks(layer: LayerSpec) -> tuple[int, ...]:
    ranks, rank = [1], float(_FIRST_RANK)
    while not grows(layer, int(rank)):
        ranks.append(int(rank))
        rank *= _RANK_STEP
    return tuple(ranks)


@torch.no_grad()
def _timed(inputs: torch.Tensor, factors: Sequence[torch.Tensor], clock: Callable[[], float]) -> float:
    """Seconds of one pass through the factors."""
    _wait(inputs)
    start = clock()
    for _ in range(_REPEATS):
        outputs = inputs
        for factor in factors:
            outputs = outputs @ factor.T
    _wait(inputs)
    return (clock() - start) / _REPEATS


def _wait(tensor: torch.Tensor) -> None:
    """Until a GPU has done what it was given."""
    if tensor.device.type == "cuda":
        torch.cuda.synchronize(tensor.device)
