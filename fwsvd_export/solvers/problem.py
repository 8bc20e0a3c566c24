"""The element-weighted problem of layers of one shape and rank, stacked and scaled so that iterations are quick.

min over U (m, r), V (r, n) of sum_ij F_ij (W - U V)_ij². With positive row and column scales a and b it is the same
problem for the scaled matrices W' = diag(√a) W diag(√b), F' = F / (a b^T). The scales are the sums of F over rows and
columns, which makes F' about one everywhere when F is close to a product; that is where the weights' many orders of
magnitude go, and why first-order steps move at all (measured in docs/log.md). Tall matrices are transposed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fwsvd_export.errors import WeightError
from fwsvd_export.linalg.decomposition import check_finite, check_rank
from fwsvd_export.linalg.weighting import ROW_DAMPING
from fwsvd_export.records import Factors


@dataclass(frozen=True)
class LayerProblem:
    """One layer: its weight (out, in), element weights (out, in) >= 0, the rank, the layer's name for messages."""

    weight: Tensor
    elements: Tensor
    rank: int
    layer: str

    def __post_init__(self) -> None:
        check_rank(self.rank, min(self.weight.shape), self.layer)

    @property
    def tall(self) -> bool:
        """Whether the weight has more rows than columns: it is solved transposed."""
        return self.weight.shape[0] > self.weight.shape[1]


@dataclass(frozen=True)
class Scaled:
    """A stack of B problems of one shape m <= n and rank, float32; losses are shares of the weighted energy of W.

    Attributes:
        target: W' (B, m, n).
        weights: F' (B, m, n).
        left: √a (B, m) float64, with the unit of the target in it.
        right: √b (B, n) float64.
        energy: (B) float64, what a loss of 1 stands for: half of sum_ij F_ij W_ij².
        rank: of the factors.
    """

    target: Tensor
    weights: Tensor
    left: Tensor
    right: Tensor
    energy: Tensor
    rank: int

    def loss(self, residual: Tensor, pull: Tensor) -> Tensor:
        """(B) float64 from the residual W' - X' (B, m, n) and the weights times it."""
        product: Tensor = torch.linalg.vecdot(residual.flatten(1), pull.flatten(1))
        return product.double()

    def kept(self, index: Tensor) -> Scaled:
        """The problems of the given positions."""
        return Scaled(
            self.target[index], self.weights[index], self.left[index], self.right[index], self.energy[index], self.rank
        )


@dataclass(frozen=True)
class Iterate:
    """Where the iteration stands: X' = up @ down.

    Attributes:
        up: (B, m, rank).
        down: (B, rank, n).
        residual: W' - X' (B, m, n).
        pull: F' ∘ residual (B, m, n), minus half of the gradient.
        loss: (B) float64.
    """

    up: Tensor
    down: Tensor
    residual: Tensor
    pull: Tensor
    loss: Tensor

    def kept(self, index: Tensor) -> Iterate:
        """The problems of the given positions."""
        return Iterate(self.up[index], self.down[index], self.residual[index], self.pull[index], self.loss[index])

    def where_better(self, candidate: Iterate, better: Tensor) -> Iterate:
        """The candidate for the problems in ``better`` (B), this iterate for the others."""
        if bool(better.all()):
            return candidate
        if not bool(better.any()):
            return self
        wide = better[:, None, None]
        return Iterate(
            torch.where(wide, candidate.up, self.up),
            torch.where(wide, candidate.down, self.down),
            torch.where(wide, candidate.residual, self.residual),
            torch.where(wide, candidate.pull, self.pull),
            torch.where(better, candidate.loss, self.loss),
        )


def iterate_at(problem: Scaled, up: Tensor, down: Tensor) -> Iterate:
    """The iterate of given factors, up (B, m, r) and down (B, r, n)."""
    residual = torch.baddbmm(problem.target, up, down, alpha=-1)
    pull = problem.weights * residual
    return Iterate(up, down, residual, pull, problem.loss(residual, pull))


def scaled(layers: Sequence[LayerProblem]) -> Scaled:
    """Stacks layers of one shape (up to transposition) and rank.

    Raises:
        WeightError: weights or element weights that are not finite, or negative element weights.
    """
    parts = [_scaled_one(layer) for layer in layers]
    target, weights, left, right, energy = (torch.stack(part) for part in zip(*parts, strict=True))
    return Scaled(target, weights, left, right, energy, layers[0].rank)


def unscaled(problem: Scaled, iterate: Iterate, index: int, layer: LayerProblem) -> Factors:
    """The factors of one problem in the layer's own coordinates, columns and rows balanced, float32."""
    up = iterate.up[index].double() / problem.left[index][:, None]
    down = iterate.down[index].double() / problem.right[index]
    return balanced(down.T, up.T) if layer.tall else balanced(up, down)


def balanced(up: Tensor, down: Tensor) -> Factors:
    """float32 factors whose columns of ``up`` are as long as their rows of ``down``; float64 in."""
    tiny = torch.finfo(torch.float32).tiny
    up_norms, down_norms = up.norm(dim=0).clamp_min(tiny), down.norm(dim=1).clamp_min(tiny)
    ratio = (down_norms / up_norms).sqrt()
    return Factors(down=(down / ratio[:, None]).float().contiguous(), up=(up * ratio).float().contiguous())


def _scaled_one(layer: LayerProblem) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    check_finite("weights", layer.weight, layer.layer)
    check_finite("statistics", layer.elements, layer.layer)
    if bool((layer.elements < 0).any()):
        raise WeightError(
            f"{layer.layer}: its element weights hold negative values; only zero and above can be weights"
        )
    weight, elements = layer.weight.double(), layer.elements.double()
    if layer.tall:
        weight, elements = weight.T.contiguous(), elements.T.contiguous()
    rows, columns = elements.sum(1), elements.sum(0)
    rows = rows.clamp_min(ROW_DAMPING * rows.mean())
    columns = columns.clamp_min(ROW_DAMPING * columns.mean()) / elements.sum()
    left, right = rows.sqrt(), columns.sqrt()
    energy = (elements * weight.square()).sum()
    unit = energy.rsqrt() if bool(energy > 0) else torch.ones_like(energy)
    target = (unit * left)[:, None] * weight * right
    weights = elements / rows[:, None] / columns
    return target.float(), weights.float(), unit * left, right, energy / 2
