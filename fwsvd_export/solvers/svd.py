"""Plain truncated SVD: minimise ||W - UV||² (Eckart & Young 1936)."""

from torch import Tensor

from fwsvd_export.linalg.decomposition import decompose
from fwsvd_export.records import Decomposition, Plain


def decompose_plain(weight: Tensor, norm: Plain, layer: str) -> Decomposition:
    """Closed form of weight (out, in) in the Frobenius norm."""
    return decompose(weight, None, None, layer)
