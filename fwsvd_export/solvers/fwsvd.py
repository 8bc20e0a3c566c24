"""Fisher-weighted SVD (Hsu et al. 2022, arXiv 2207.00112, equation 5).

The paper weights each row of its weight matrix by the summed Fisher information of that row. Its matrices are
(in, out), so a row is an input feature: in torch's (out, in) layout the weight belongs to a column.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fwsvd_export.linalg.decomposition import decompose
from fwsvd_export.linalg.weighting import ROW_DAMPING, Weighting
from fwsvd_export.records import Decomposition, RowWeights
from fwsvd_export.solvers.names import AXES
from fwsvd_export.solvers.options import SolverOptions


@dataclass(frozen=True)
class FwsvdOptions(SolverOptions):
    """Options of ``fwsvd``.

    Attributes:
        axis: whether a weight belongs to an input feature, as in the paper, or to an output feature.
    """

    axis: str = "input"

    def __post_init__(self) -> None:
        self._require("axis", self.axis in AXES, " or ".join(AXES))


def decompose_rows(weight: Tensor, norm: RowWeights, layer: str) -> Decomposition:
    """Closed form of weight (out, in) for sum_ij w_j D_ij² (axis "input") or sum_ij w_i D_ij² (axis "output")."""
    weighting = Weighting(norm.weights, ROW_DAMPING)
    if norm.axis == "input":
        return decompose(weight, None, weighting, layer)
    return decompose(weight, weighting, None, layer)
