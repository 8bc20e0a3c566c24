"""Square roots and truncated decompositions that do not break: float64, damped, on the smaller side."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fwsvd_export.errors import RankError, WeightError
from fwsvd_export.records import Decomposition, Factors


@dataclass(frozen=True)
class Weighting:
    """A positive semi-definite weighting of one side of a matrix, damped when it is used.

    Attributes:
        values: (n, n) symmetric, or (n) for a diagonal one.
        damping: multiple of the mean diagonal that is added to the diagonal.
    """

    values: Tensor
    damping: float

    def damped(self) -> Tensor:
        """``values`` in float64 with the damping added; (n, n) or (n)."""
        values = self.values.double()
        if values.ndim == 1:
            return values + self.damping * values.mean()
        values = (values + values.T) / 2
        values.diagonal().add_(self.damping * values.diagonal().mean())
        return values


@dataclass(frozen=True)
class Root:
    """R with R R^T = a damped weighting: R = vectors * scales, or diag(scales) when there are no vectors."""

    vectors: Tensor | None
    scales: Tensor

    def transposed_times(self, matrix: Tensor) -> Tensor:
        """R^T matrix; (n, m) to (n, m)."""
        turned = matrix if self.vectors is None else self.vectors.T @ matrix
        return self.scales[:, None] * turned

    def inverse_transposed_times(self, matrix: Tensor) -> Tensor:
        """R^-T matrix; (n, m) to (n, m)."""
        scaled = matrix / self.scales[:, None]
        return scaled if self.vectors is None else self.vectors @ scaled


def damped_root(weighting: Weighting) -> Root:
    """Square root of a weighting by eigen-decomposition; rounding below zero is clipped before the damping.

    Unlike a Cholesky factor it exists for every symmetric matrix, so no input is "not positive definite".
    """
    values = weighting.values.double()
    if values.ndim == 1:
        return Root(None, weighting.damped().sqrt())
    eigenvalues, vectors = torch.linalg.eigh((values + values.T) / 2)
    floor = weighting.damping * values.diagonal().mean()
    return Root(vectors, (eigenvalues.clamp_min(0) + floor).sqrt())


def decompose(weight: Tensor, output: Weighting | None, input: Weighting | None, layer: str) -> Decomposition:
    """Best factors at every rank for min tr(D A D^T G), D = weight - up @ down.

    With roots G = R R^T and A = S S^T the minimiser is the truncated SVD of R^T W S with the roots undone (Eckart &
    Young 1936). The SVD is taken from the eigenvectors P of (R^T W) A (R^T W)^T, formed on the smaller side in float64:
    up = R^-T P and down = P^T R^T W. The larger side then needs neither a root nor an inverse.

    Args:
        weight: (out, in), any float dtype.
        output: G (out, out) or (out), None for the identity.
        input: A (in, in) or (in), None for the identity.
        layer: name for messages.

    Raises:
        WeightError: the weight or a weighting is not finite.
    """
    for name, tensor in (("weights", weight), ("statistics", output), ("statistics", input)):
        values = tensor.values if isinstance(tensor, Weighting) else tensor
        if values is not None and not bool(torch.isfinite(values).all()):
            raise WeightError(f"{layer}: its {name} hold NaN or infinite values; only finite ones can be factorised")
    if _says_nothing(output) or _says_nothing(input):
        plain = decompose(weight, None, None, layer)
        note = "the task never uses this layer (its statistics are zero): truncated by plain SVD"
        return Decomposition(plain.up, plain.down, torch.zeros_like(plain.losses), note)
    out_features, in_features = weight.shape
    if out_features <= in_features:
        up, down, squares = _decompose_wide(weight.double(), output, input, layer)
    else:
        transposed_up, transposed_down, squares = _decompose_wide(weight.double().T, input, output, layer)
        up, down = transposed_down.T, transposed_up.T
    up, down = _balance(up, down)
    # losses[r] = half the sum of the squares from r on; summed from the small end, which keeps the small tails exact
    tails = torch.cat([squares.flip(0).cumsum(0).flip(0), squares.new_zeros(1)])
    return Decomposition(up.float().contiguous(), down.float().contiguous(), tails / 2)


def truncate(decomposition: Decomposition, rank: int, layer: str) -> Factors:
    """Best factors of the given rank in the decomposition's metric (Eckart & Young 1936).

    Raises:
        RankError: rank outside 1 … min(out, in); the message names the layer and the largest rank.
    """
    largest = decomposition.down.shape[0]
    if not 1 <= rank <= largest:
        raise RankError(f"rank {rank} for {layer}: 1 to {largest} (its smaller side) is allowed")
    return Factors(down=decomposition.down[:rank].contiguous(), up=decomposition.up[:, :rank].contiguous())


def _says_nothing(weighting: Weighting | None) -> bool:
    return weighting is not None and not bool(weighting.values.any())


def _decompose_wide(
    weight: Tensor, left: Weighting | None, right: Weighting | None, layer: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Up (m, m), down (m, n) and squared singular values (m) of a weight (m, n) with m <= n, in float64."""
    root = None if left is None else damped_root(left)
    whitened = weight if root is None else root.transposed_times(weight)
    # A common factor changes no singular vector; without it the squares of very small or large weights leave the range
    scale = whitened.abs().max().clamp_min(torch.finfo(torch.float64).tiny)
    whitened = whitened / scale
    if right is None:
        gram = whitened @ whitened.T
    else:
        damped = right.damped()
        gram = (whitened * damped if damped.ndim == 1 else whitened @ damped) @ whitened.T
    try:
        squares, vectors = torch.linalg.eigh((gram + gram.T) / 2)
    except torch.linalg.LinAlgError as error:
        raise WeightError(f"{layer}: the eigen-decomposition did not converge; check its weights and statistics") from error
    squares, vectors = squares.flip(0).clamp_min(0), vectors.flip(1)
    up = vectors if root is None else root.inverse_transposed_times(vectors)
    return up, (vectors.T @ whitened) * scale, squares * scale**2


def _balance(up: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
    """Gives each column of ``up`` the norm of its row of ``down``: safe in float16, and even steps in fine-tuning."""
    tiny = torch.finfo(torch.float64).tiny
    ratio = (down.norm(dim=1).clamp_min(tiny) / up.norm(dim=0).clamp_min(tiny)).sqrt()
    return up * ratio, down / ratio[:, None]
