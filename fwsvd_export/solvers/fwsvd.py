"""Fisher-weighted SVD (Hsu et al. 2022, arXiv 2207.00112, equation 5).

The paper weights each row of its weight matrix by the summed Fisher information of that row. Its matrices are
(in, out), so a row is an input feature: in torch's (out, in) layout the weight belongs to a column. ``axis="output"``
is the other orientation.
"""

from torch import Tensor

from fwsvd_export.linalg.decomposition import decompose
from fwsvd_export.linalg.weighting import Weighting
from fwsvd_export.records import Decomposition, RowWeights

# Keeps features of zero Fisher solvable without changing the others: their weight is this share of the mean.
ROW_DAMPING = 1e-8


def decompose_rows(weight: Tensor, metric: RowWeights, layer: str) -> Decomposition:
    """Closed form of weight (out, in) for sum_ij w_j D_ij² (axis "input") or sum_ij w_i D_ij² (axis "output")."""
    weighting = Weighting(metric.weights, ROW_DAMPING)
    if metric.axis == "input":
        return decompose(weight, None, weighting, layer)
    return decompose(weight, weighting, None, layer)
