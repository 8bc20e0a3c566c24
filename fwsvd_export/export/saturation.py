"""Int8 matrices that no processor cuts off: the bound, scales that keep to it, and the proof on a written file.

Without an instruction for sums of four products (VNNI), onnxruntime's x86 kernels multiply with ``vpmaddubsw``: the
products of an unsigned and a signed byte at rows 2 k and 2 k + 1 are added in 16 bits, and a sum above 32,767 or below
-32,768 is cut off. The unsigned bytes are the activations, zero point included, so any from 0 to 255 can come. A
pair's sum is therefore largest with 255 at the weights of one sign and 0 at the others.

ARM kernels add in 32 bits, but for the one of processors without dot products: it moves the activations to -128 to 127
and adds two products in 16 bits. Two weights within ±127 stay below 2^15 there; -128 twice would not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fwsvd_export.errors import ExportError, message_of
from fwsvd_export.export.libraries import required
from fwsvd_export.export.record import RecordedSaturation

LARGEST_WEIGHT = 127  # of a signed byte, the same on both sides of zero
LARGEST_INPUT = 255  # of an unsigned byte
LARGEST_SUM = 2**15 - 1  # of 16 bits
_LARGEST_PAIR = LARGEST_SUM // LARGEST_INPUT  # 128: of two weights of one sign
_SMALLEST_SCALE = float(np.finfo(np.float32).tiny)  # below it float32 has fewer digits


def in_bytes(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A matrix (in, out) as int8 and a float32 scale per output (out): its largest weight becomes ±127.

    An output whose weights are all zero, or smaller than float32 can scale (1e-36), becomes zeros with the scale 1.
    """
    return _scaled(matrix, np.abs(matrix).max(axis=0))


def without_saturation(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A matrix (in, out) as int8 and a float32 scale per output (out), right on every processor.

    Every output for itself: where the scale of ``in_bytes`` cannot lead to a sum that is cut off, it stays. Elsewhere
    the largest pair of one sign, and not the largest weight, becomes 127: rounding adds at most 1, and 255 · 128 is
    32,640. Up to one of the eight bits is given for it.

    Example:
        >>> values, scales = without_saturation(np.array([[1.0, 1.0], [1.0, -1.0], [-0.5, 0.5]]))
        >>> values.T.tolist(), [round(float(scale), 4) for scale in scales]
        ([[64, 64, -32], [127, -127, 64]], [0.0157, 0.0079])
    """
    values, scales = in_bytes(matrix)
    unsafe = _same_sign_pairs(values).max(axis=0) > _LARGEST_PAIR
    if unsafe.any():
        columns = matrix[:, unsafe].astype(np.float64)
        values[:, unsafe], scales[unsafe] = _scaled(columns, _same_sign_pairs(columns).max(axis=0))
    return values, scales


def largest_sum(matrix: np.ndarray) -> int:
    """The largest absolute value that the sum of a pair of products can have, whatever bytes come in.

    Args:
        matrix: (in, out), int8.

    Example:
        >>> largest_sum(np.array([[127], [127], [-127], [127]], dtype=np.int8))
        64770
    """
    return LARGEST_INPUT * int(_same_sign_pairs(matrix).max())


def proven(file: Path, graph: Any) -> RecordedSaturation:
    """Reads a written int8 model back and bounds every matrix in it that is multiplied in 8 bits.

    Args:
        file: the int8 model.
        graph: the float ``onnx.ModelProto`` that it was made from, to count what plain scales would have led to.

    Raises:
        ExportError: a matrix that a processor can cut off.
        MissingExtraError: onnx is not installed.
    """
    sums = bounded(file, file.name, "leave --int8 out, and report this as a fault of fwsvd-export")
    pairs = avoided = 0
    for tensor, matrix in float_matrices(graph):
        if f"{tensor.name}_quantized" in sums:
            found = _same_sign_pairs(in_bytes(matrix)[0])
            pairs, avoided = pairs + found.size, avoided + int((found > _LARGEST_PAIR).sum())
    largest = max(sums.values(), default=0)
    return RecordedSaturation(
        matrices=len(sums),
        largest_pair_sum=largest,
        limit=LARGEST_SUM,
        safe=largest <= LARGEST_SUM,
        pairs=pairs,
        avoided_pairs=avoided,
    )


def bounded(file: Path, place: str, remedy: str) -> dict[str, int]:
    """The largest sum of two products, in absolute value, for every int8 matrix that a file multiplies with.

    Args:
        file: an ONNX model.
        place: the file, as the user knows it.
        remedy: what to do about a file that is refused, the end of the sentence.

    Raises:
        ExportError: a matrix that a processor can cut off, or a file that cannot be read.
        MissingExtraError: onnx is not installed.
    """
    onnx, numpy_helper = required("onnx"), required("onnx.numpy_helper")
    try:
        graph = onnx.load(file).graph
        names = {node.input[1] for node in graph.node if node.op_type == "MatMulInteger"}
        stored = {tensor.name: tensor for tensor in graph.initializer}
        matrices = {name: numpy_helper.to_array(stored[name]) for name in sorted(names)}
        sums = {name: largest_sum(matrix) for name, matrix in matrices.items()}
    except Exception as error:  # onnx and numpy raise classes of their own per kind of damage
        raise ExportError(f"{place} cannot be read ({message_of(error)}); {remedy}") from error
    for name, found in sums.items():
        if found > LARGEST_SUM or matrices[name].min() < -LARGEST_WEIGHT:
            raise ExportError(
                f"{place}: {name} holds weights down to {matrices[name].min()} and leads to sums of up to {found:,}, "
                f"and processors without VNNI or dot products need weights within ±{LARGEST_WEIGHT} and sums of at "
                f"most {LARGEST_SUM:,} for right answers; {remedy}"
            )
    return sums


def float_matrices(graph: Any) -> Iterator[tuple[Any, np.ndarray]]:
    """Every matrix of weights that a graph multiplies with: the initializer, and its values as (in, out)."""
    to_array = required("onnx.numpy_helper").to_array
    turned = {node.input[1]: is_transposed(node) for node in graph.graph.node if node.op_type in ("MatMul", "Gemm")}
    for tensor in graph.graph.initializer:
        if tensor.name in turned:
            matrix = to_array(tensor)
            yield tensor, matrix.T if turned[tensor.name] else matrix


def is_transposed(node: Any) -> bool:
    """Whether a node multiplies with the transpose of its matrix."""
    return any(attribute.name == "transB" and attribute.i for attribute in node.attribute)


def _scaled(matrix: np.ndarray, largest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A matrix (in, out) as int8 and float32 scales (out) that turn what is largest per output (out) into 127."""
    scales = (largest / LARGEST_WEIGHT).astype(np.float32)
    tiny = scales < _SMALLEST_SCALE
    scales[tiny] = 1
    values = np.rint(matrix / scales).astype(np.int8)
    return values, scales


def _same_sign_pairs(matrix: np.ndarray) -> np.ndarray:
    """Per pair of rows the sum of positive weights, or of negative ones without their sign: the larger (pairs, out)."""
    wide = matrix.astype(np.result_type(matrix, np.int16))  # bytes have no room for their sums
    above, below = (_pair_sums(np.maximum(part, 0)) for part in (wide, -wide))
    larger: np.ndarray = np.maximum(above, below)
    return larger


def _pair_sums(matrix: np.ndarray) -> np.ndarray:
    """Sums of two rows; a last row without a partner stays alone."""
    first, second = matrix[0::2].copy(), matrix[1::2]
    first[: len(second)] += second
    return first
