"""Kronecker-factored Fisher: minimise tr(D A D^T G), the second-order rise of the task loss.

The Fisher of a linear layer is approximated by A ⊗ G (Martens & Grosse 2015, arXiv 1503.05671, equation 1): A is the
mean over tokens of x x^T, G the sum over an example's tokens of d d^T, averaged over examples ("expand" for shared
weights, Eschenhagen et al. 2023, arXiv 2311.00636). Half the quadratic form is a rise in the task loss, in its own
unit, so losses compare across layers.
"""

from torch import Tensor

from fwsvd_export.linalg.decomposition import decompose
from fwsvd_export.linalg.weighting import GRADIENT_DAMPING, INPUT_DAMPING, Weighting
from fwsvd_export.records import Decomposition, Kronecker


def decompose_kronecker(weight: Tensor, norm: Kronecker, layer: str) -> Decomposition:
    """Closed form of weight (out, in) for tr(D A D^T G)."""
    output = Weighting(norm.gradient_gram, GRADIENT_DAMPING, norm.examples)
    return decompose(weight, output, Weighting(norm.input_gram, INPUT_DAMPING, norm.tokens), layer)
