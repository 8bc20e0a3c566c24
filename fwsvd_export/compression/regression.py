"""The best factors of one layer for what it reads and shall give: a reduced-rank regression (Izenman 1975).

With centred moments A' of x' and C of (t, x'), the unrestricted solution is M = (C + λ W) (A' + λ)^-1 (ridge regression
towards the dense weight) and the best factors are its truncation in the Kronecker norm of A' + λ and G.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fwsvd_export.compression.moments import Moments
from fwsvd_export.linalg.decomposition import decompose, truncate
from fwsvd_export.linalg.weighting import Weighting
from fwsvd_export.records import Factors

# Pull towards the dense weight, as a share of the mean variance of the layer's inputs: the larger of the first, and of
# the second times input features per token, so that few examples cannot mislead (measured: docs/log.md).
RIDGE = 1e-2
RIDGE_OF_FEW_TOKENS = 0.2


@dataclass(frozen=True)
class Regressed:
    """A layer that was fitted: ``factors.up @ factors.down @ x + bias``."""

    factors: Factors
    bias: Tensor


def ridged(moments: Moments) -> Weighting | None:
    """The inputs' moment with the ridge for damping; None for inputs that never vary, from which nothing is learned."""
    share = max(RIDGE, RIDGE_OF_FEW_TOKENS * len(moments.input_mean) / moments.tokens)
    inputs = Weighting(moments.input_moment, share)
    return inputs if bool(inputs.floor() > 0) else None


def regressed(moments: Moments, weight: Tensor, output: Weighting, rank: int, name: str) -> Regressed | None:
    """The best factors at a rank, and their bias; None where the inputs never vary.

    Args:
        moments: of inputs and targets.
        weight: towards which the ridge pulls, (out, in).
        output: G, (out, out).
        rank: of the factors.
        name: of the layer, for messages.
    """
    inputs = ridged(moments)
    if inputs is None:
        return None
    pulled = moments.cross_moment + inputs.floor() * weight.double()
    unrestricted = torch.cholesky_solve(pulled.T, torch.linalg.cholesky(inputs.damped())).T
    factors = truncate(decompose(unrestricted, output, inputs, name), rank, name)
    explained = factors.up.double() @ (factors.down.double() @ moments.input_mean)
    return Regressed(factors, moments.target_mean - explained)
