"""The iterative methods as their papers state them, written for clarity: what ours is measured against.

Each starts from the plain truncated SVD, runs a fixed number of iterations and takes a full SVD (or one system at a
time) in every one of them. Formulas: em, Srebro & Jaakkola 2003, section 3; nesterov and anderson, Tuzhilina & Hastie
2021 (arXiv 2109.11057), sections 4.1 and 4.2; als, Gabriel & Zamir 1979. A ridge of a hundred-millionth of the diagonal
keeps the small systems from being singular.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

ITERATIONS = 30
DEPTH = 3
RIDGE = 1e-8

Published = Callable[[Tensor, Tensor, int], Iterator[Tensor]]


def truncated(matrix: Tensor, rank: int) -> Tensor:
    """The nearest matrix of the rank, by a full SVD."""
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    return (left[:, :rank] * values[:rank]) @ right[:rank]


def em(weight: Tensor, elements: Tensor, rank: int) -> Iterator[Tensor]:
    """X <- SVD_r(F∘W + (1 - F)∘X)."""
    share = elements / elements.max()
    current = truncated(weight, rank)
    while True:
        yield current
        current = truncated(share * weight + (1 - share) * current, rank)


def nesterov(weight: Tensor, elements: Tensor, rank: int) -> Iterator[Tensor]:
    """Em at the extrapolated point."""
    share = elements / elements.max()
    before = current = truncated(weight, rank)
    for count in range(1, ITERATIONS + 2):
        yield current
        point = current + (count - 1) / (count + 2) * (current - before)
        before, current = current, truncated(share * weight + (1 - share) * point, rank)


def anderson(weight: Tensor, elements: Tensor, rank: int) -> Iterator[Tensor]:
    """Em's fill-ins combined over the last three differences."""
    share = elements / elements.max()
    source = truncated(weight, rank)
    current, fills, changes = source, [], []
    while True:
        yield current
        fills.append(share * weight + (1 - share) * current)
        changes.append(fills[-1] - source)
        fills, changes = fills[-DEPTH - 1 :], changes[-DEPTH - 1 :]
        source = fills[-1]
        if len(fills) > 1:
            steps = torch.stack([new - old for old, new in pairwise(changes)]).flatten(1)
            system = steps @ steps.T
            system += RIDGE * system.trace() * torch.eye(len(steps))
            shares = torch.linalg.solve(system, steps @ changes[-1].flatten())
            for number, factor in enumerate(shares):
                source = source - factor * (fills[number + 1] - fills[number])
        current = truncated(source, rank)


def als(weight: Tensor, elements: Tensor, rank: int) -> Iterator[Tensor]:
    """One weighted least-squares problem for every row, then for every column."""
    left, values, right = torch.linalg.svd(weight, full_matrices=False)
    up, down = left[:, :rank] * values[:rank], right[:rank]
    while True:
        yield up @ down
        up = torch.stack([solved(down, *row) for row in zip(elements, weight, strict=True)])
        down = torch.stack([solved(up.T, *column) for column in zip(elements.T, weight.T, strict=True)], 1)


def solved(other: Tensor, weights: Tensor, target: Tensor) -> Tensor:
    """The least-squares coefficients (r) of a target (q) in the rows of other (r, q)."""
    weighted = other * weights
    system = weighted @ other.T
    system += RIDGE * system.trace() * torch.eye(len(system))
    return torch.linalg.solve(system, weighted @ target)


PUBLISHED: dict[str, Published] = {"em": em, "nesterov": nesterov, "anderson": anderson, "als": als}


def clocked(name: str, weight: Tensor, elements: Tensor, rank: int) -> list[tuple[float, float]]:
    """(seconds, share of the weighted energy left) at the start and after each iteration."""
    energy = (elements * weight.square()).sum()
    points = []
    begin = time.perf_counter()
    iterates = PUBLISHED[name](weight, elements, rank)
    for _ in range(ITERATIONS + 1):
        current = next(iterates)
        taken = time.perf_counter() - begin
        points.append((taken, float((elements * (weight - current).square()).sum() / energy)))
        begin += time.perf_counter() - begin - taken  # measuring the loss is not the method's time
    return points
