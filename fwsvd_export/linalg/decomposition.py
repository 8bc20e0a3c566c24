"""Truncated decompositions that do not break: float64, damped, on the smaller side."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from fwsvd_export.errors import RankError, WeightError
from fwsvd_export.linalg.weighting import Weighting, damped_root
from fwsvd_export.records import Decomposition, Factors

WIDENED_COLUMNS = 768  # of a large weighting in float64 at once: bounds the memory, not the speed
GRAM_BLOCK = 192  # rows per block when only half of a symmetric product is needed


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
    check_finite("weights", weight, layer)
    for weighting in (output, input):
        if weighting is not None:
            check_finite("statistics", weighting.values, layer)
    if _says_nothing(output) or _says_nothing(input):
        plain = decompose(weight, None, None, layer)
        note = "the task never uses this layer (its statistics are zero): truncated by plain SVD"
        return replace(plain, losses=torch.zeros_like(plain.losses), note=note)
    out_features, in_features = weight.shape
    if out_features <= in_features:
        return _decompose_wide(weight.double(), output, input, layer)
    return replace(_decompose_wide(weight.double().T, input, output, layer), transposed=True)


def check_finite(what: str, values: Tensor, layer: str) -> None:
    """Refuses NaN and infinite values.

    Raises:
        WeightError: there are some; the message names the layer.
    """
    # One sum instead of a mask: NaN and infinity always show in it, and no copy of a large Gram is made
    if not bool(values.sum(dtype=torch.float64).isfinite()):
        raise WeightError(f"{layer}: its {what} hold NaN or infinite values; only finite ones can be factorised")


def check_rank(rank: int, largest: int, layer: str) -> None:
    """Refuses a rank outside 1 … the smaller side.

    Raises:
        RankError: it is; the message names the layer and the largest rank.
    """
    if not 1 <= rank <= largest:
        raise RankError(f"rank {rank} for {layer}: 1 to {largest} (its smaller side) is allowed")


def truncate(decomposition: Decomposition, rank: int, layer: str) -> Factors:
    """Best factors of the given rank in the decomposition's norm (Eckart & Young 1936), float32.

    Each column of ``up`` has the norm of its row of ``down``: safe in float16, and even steps in fine-tuning.

    Raises:
        RankError: rank outside 1 … min(out, in); the message names the layer and the largest rank.
    """
    check_rank(rank, decomposition.vectors.shape[1], layer)
    left = decomposition.undone[:, :rank]
    right = decomposition.vectors[:, :rank].T @ decomposition.whitened
    tiny = torch.finfo(torch.float32).tiny
    # in float64: the squares of large values overflow float32
    right_norms = torch.linalg.vector_norm(right, dim=1, dtype=torch.float64).clamp_min(tiny)
    left_norms = torch.linalg.vector_norm(left, dim=0, dtype=torch.float64).clamp_min(tiny)
    ratio = (right_norms / left_norms).sqrt().float()
    left, right = left * ratio, right / ratio[:, None]
    if decomposition.transposed:
        left, right = right.T, left.T
    return Factors(down=right.contiguous(), up=left.contiguous())


def _says_nothing(weighting: Weighting | None) -> bool:
    return weighting is not None and not bool(weighting.values.any())


def _decompose_wide(weight: Tensor, left: Weighting | None, right: Weighting | None, layer: str) -> Decomposition:
    """The decomposition of a weight (m, n) with m <= n, worked out in float64."""
    root = None if left is None else damped_root(left)
    whitened = weight if root is None else root.transposed_times(weight)
    weighted = whitened if right is None else _times_damped(whitened, right)
    try:
        squares, vectors = torch.linalg.eigh(_lower_product(weighted, whitened))
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined] # it is there, unannounced
        raise WeightError(f"{layer}: the eigen-decomposition did not converge; check weights and statistics") from error
    squares, vectors = squares.flip(0).clamp_min(0), vectors.flip(1)
    undone = vectors if root is None else root.inverse_transposed_times(vectors)
    # losses[r] = half the sum of the squares from r on; summed from the small end, which keeps the small tails exact
    tails = torch.cat([squares.flip(0).cumsum(0).flip(0), squares.new_zeros(1)])
    return Decomposition(vectors.float(), undone.float(), whitened.float(), tails / 2)


def _times_damped(matrix: Tensor, weighting: Weighting) -> Tensor:
    """Matrix (m, n) times a damped weighting; a large one is widened to float64 a few columns at a time."""
    values = weighting.values
    if values.ndim == 1:
        return matrix * weighting.damped()
    product = matrix * (weighting.floor() * weighting.count)
    for start in range(0, values.shape[0], WIDENED_COLUMNS):
        stop = start + WIDENED_COLUMNS
        product[:, start:stop] += matrix @ values[:, start:stop].double()
    return product.div_(weighting.count)


def _lower_product(left: Tensor, right: Tensor) -> Tensor:
    """The blocks on and below the diagonal of the symmetric left @ right^T; ``eigh`` reads no others."""
    size = left.shape[0]
    product = left.new_zeros(size, size)
    for start in range(0, size, GRAM_BLOCK):
        stop = start + GRAM_BLOCK
        torch.mm(left[start:], right[start:stop].T, out=product[start:, start:stop])
    return product
