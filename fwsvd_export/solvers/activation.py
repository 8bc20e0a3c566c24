"""Activation-aware SVD: minimise the mean of ||(W - UV) x||² over the calibration inputs.

That is tr(D A D^T) with A the second moment of the inputs: whitening by A, as in SVD-LLM (Wang et al. 2024, arXiv
2403.07378, section 3.1), which takes a Cholesky factor and needs A positive definite; the eigen-decomposition here
does not.
"""

from torch import Tensor

from fwsvd_export.linalg.decomposition import decompose
from fwsvd_export.linalg.weighting import INPUT_DAMPING, Weighting
from fwsvd_export.records import Decomposition, InputGram


def decompose_input_gram(weight: Tensor, norm: InputGram, layer: str) -> Decomposition:
    """Closed form of weight (out, in) for tr(D A D^T)."""
    return decompose(weight, None, Weighting(norm.gram, INPUT_DAMPING, norm.tokens), layer)
