"""Int8 matrices whose sums no processor cuts off: the bound, the scales that keep to it, and onnxruntime's kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from fwsvd_export.errors import ExportError
from fwsvd_export.export import quantize as quantization
from fwsvd_export.export.quantize import quantize
from fwsvd_export.export.saturation import (
    LARGEST_INPUT,
    LARGEST_SUM,
    bounded,
    float_matrices,
    in_bytes,
    largest_sum,
    proven,
    without_saturation,
)

MATRICES = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 6), st.floats(0.1, 30))


def matrix_of(case: tuple[int, int, int, float]) -> np.ndarray:
    """Heavy-tailed weights, as those of factors are."""
    seed, rows, outputs, spread = case
    return (np.random.default_rng(seed).standard_normal((rows, outputs)) ** 3 * spread).astype(np.float32)


def pairs_of(activations: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Sums of two products, exactly: (examples, pairs, outputs)."""
    rows = len(matrix) + len(matrix) % 2
    wide = np.zeros((len(activations), rows), dtype=np.int64), np.zeros((rows, matrix.shape[1]), dtype=np.int64)
    wide[0][:, : len(matrix)], wide[1][: len(matrix)] = activations, matrix
    products = wide[0][:, :, None] * wide[1][None]
    return np.asarray(products[:, 0::2] + products[:, 1::2])


def in_16_bits(activations: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """What x86 processors without VNNI compute: the sum of two products is cut off at 16 bits."""
    return np.asarray(pairs_of(activations, matrix).clip(-(2**15), 2**15 - 1).sum(axis=1))


def worst_inputs(matrix: np.ndarray) -> np.ndarray:
    """Two examples per output: 255 where its weights are positive, and where they are negative."""
    return np.concatenate([(matrix.T > 0) * LARGEST_INPUT, (matrix.T < 0) * LARGEST_INPUT]).astype(np.uint8)


def product_model(matrix: np.ndarray, zero_point: int) -> Any:
    """An ONNX model of one product in bytes."""
    rows, outputs = matrix.shape
    constants = {
        "matrix": matrix,
        "zero": np.array(zero_point, dtype=np.uint8),
        "zeros": np.zeros(outputs, dtype=np.int8),
    }
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["bytes", "matrix", "zero", "zeros"], ["sums"])],
        "product",
        [helper.make_tensor_value_info("bytes", TensorProto.UINT8, [None, rows])],
        [helper.make_tensor_value_info("sums", TensorProto.INT32, [None, outputs])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run_by_onnxruntime(activations: np.ndarray, matrix: np.ndarray, zero_point: int) -> np.ndarray:
    content = product_model(matrix, zero_point).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    sums: np.ndarray = session.run(None, {"bytes": activations})[0]
    return sums.astype(np.int64) + zero_point * matrix.astype(np.int64).sum(axis=0)


@given(MATRICES)
def test_no_processor_cuts_a_sum_off_whatever_comes_in(case: tuple[int, int, int, float]) -> None:
    matrix = matrix_of(case)
    values, scales = without_saturation(matrix)
    generator = np.random.default_rng(case[0])
    random, largest = generator.integers(0, 256, (8, len(matrix))), np.full((1, len(matrix)), LARGEST_INPUT)
    for activations in (worst_inputs(values), random, largest):
        assert (in_16_bits(activations, values) == activations.astype(np.int64) @ values.astype(np.int64)).all()
    assert (values.dtype, scales.dtype, scales.shape) == (np.int8, np.float32, (matrix.shape[1],))
    assert np.abs(values.astype(int)).max() <= 127, "or ARM processors without dot products would be wrong"
    assert (np.abs(values * scales - matrix) <= scales / 2 * 1.001).all()


@given(MATRICES)
def test_up_to_one_bit_is_given_and_only_where_plain_scales_would_saturate(case: tuple[int, int, int, float]) -> None:
    matrix = matrix_of(case)
    plain, plain_scales = in_bytes(matrix)
    values, scales = without_saturation(matrix)
    assert (scales <= 2 * plain_scales * 1.001).all()
    for output in range(matrix.shape[1]):
        safe = largest_sum(plain[:, [output]]) <= LARGEST_SUM
        assert safe == (scales[output] == plain_scales[output])
        assert not safe or np.array_equal(values[:, output], plain[:, output])


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 4))
def test_the_bound_is_reached_and_never_passed(seed: int, rows: int, outputs: int) -> None:
    generator = np.random.default_rng(seed)
    matrix = generator.integers(-128, 128, (rows, outputs)).astype(np.int8)
    assert largest_sum(matrix) == np.abs(pairs_of(worst_inputs(matrix), matrix)).max()
    assert np.abs(pairs_of(generator.integers(0, 256, (50, rows)), matrix)).max() <= largest_sum(matrix)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 7, 64, 129, 385, 1536])
@pytest.mark.parametrize("examples", [1, 2, 9])
def test_pairs_are_those_of_onnxruntime(rows: int, examples: int) -> None:
    """A processor without VNNI cuts off exactly the pairs that are bounded here; one with it cuts off none."""
    generator = np.random.default_rng(rows)
    matrix = generator.choice([-127, 127, 100, -100, 3], (rows, 37)).astype(np.int8)
    activations = generator.choice([255, 255, 0, 200], (examples, rows)).astype(np.uint8)
    exact = activations.astype(np.int64) @ matrix.astype(np.int64)
    found = run_by_onnxruntime(activations, matrix, zero_point=131)
    assert any(np.array_equal(found, possible) for possible in (exact, in_16_bits(activations, matrix)))


@pytest.mark.parametrize("rows", [1, 3, 129, 385, 1536])
def test_onnxruntime_is_exact_on_this_processor_for_the_worst_inputs(rows: int) -> None:
    matrix = matrix_of((rows, rows, 23, 1.0))
    values = without_saturation(matrix)[0]
    activations = worst_inputs(values)
    exact = activations.astype(np.int64) @ values.astype(np.int64)
    for examples in (activations[:1], activations):
        assert np.array_equal(run_by_onnxruntime(examples, values, zero_point=7), exact[: len(examples)])


def test_eight_full_bits_would_saturate() -> None:
    matrix = np.full((8, 1), 127, dtype=np.int8)
    activations = np.full((1, 8), LARGEST_INPUT)
    assert in_16_bits(activations, matrix).item() < int((activations @ matrix.astype(np.int64)).item())
    assert largest_sum(matrix) == 2 * 127 * LARGEST_INPUT > LARGEST_SUM


@pytest.mark.parametrize("smallest", [0.0, 1e-45, 1e-42, 1e-37, 1e-36])
def test_weights_that_float32_can_hardly_scale(smallest: float) -> None:
    matrix = np.array([[smallest, 1], [-smallest, 1]], dtype=np.float32)
    for values, scales in (in_bytes(matrix), without_saturation(matrix)):
        assert np.isfinite(scales).all()
        assert (scales > 0).all()
        assert np.abs(values * scales - matrix).max(axis=0)[0] <= 1.2e-38 * 127
        assert abs(values[0, 1] * scales[1] - 1) < 0.01


@pytest.fixture
def all_in_8_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization, "SMALLEST_PRODUCT", 0)


def without_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes ``quantize`` write what onnxruntime's own scales would give."""
    monkeypatch.setattr(quantization, "without_saturation", in_bytes)


@pytest.mark.usefixtures("all_in_8_bits")
def test_every_product_of_a_written_file_is_bounded(quantizable: Any, tmp_path: Path) -> None:
    quantize(quantizable, tmp_path / "model.onnx")
    found = proven(tmp_path / "model.onnx", quantizable)
    graph = onnx.load(tmp_path / "model.onnx").graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    matrices = [stored[node.input[1]] for node in graph.node if node.op_type == "MatMulInteger"]
    assert found.matrices == len(matrices) > 10
    assert found.largest_pair_sum == max(map(largest_sum, matrices))
    assert (found.limit, found.safe) == (LARGEST_SUM, True)
    assert found.pairs == sum((len(matrix) + 1) // 2 * matrix.shape[1] for matrix in matrices)
    plain = [
        in_bytes(matrix)[0] for tensor, matrix in float_matrices(quantizable) if f"{tensor.name}_quantized" in stored
    ]
    cut_off = [(np.abs(pairs_of(worst_inputs(matrix), matrix)).max(axis=0) > LARGEST_SUM).sum() for matrix in plain]
    assert 0 < found.avoided_pairs == sum(cut_off) < found.pairs


def test_a_file_without_products_in_8_bits_has_nothing_to_bound(quantizable: Any, tmp_path: Path) -> None:
    quantize(quantizable, tmp_path / "model.onnx")
    found = proven(tmp_path / "model.onnx", quantizable)
    assert (found.matrices, found.largest_pair_sum, found.pairs, found.avoided_pairs, found.safe) == (0, 0, 0, 0, True)


@pytest.mark.usefixtures("all_in_8_bits")
def test_a_file_that_can_be_cut_off_is_refused(
    quantizable: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_a_bound(monkeypatch)
    quantize(quantizable, tmp_path / "model.onnx")
    with pytest.raises(ExportError) as caught:
        proven(tmp_path / "model.onnx", quantizable)
    sentence = str(caught.value)
    assert sentence.startswith("model.onnx: ")
    assert "_quantized holds weights down to -127 and leads to sums of up to " in sentence
    assert "need weights within ±127 and sums of at most 32,767 for right answers; leave --int8 out, and" in sentence


@pytest.mark.parametrize(
    ("refused", "allowed"),
    [([-128, 0], [-127, 0]), ([0, 100, -65, -64], [0, 100, -64, -64]), ([9, 0, 127, 127], [0, 127, 127, -127])],
    ids=["ARM", "x86", "pairs"],
)
def test_a_matrix_that_only_some_processors_can_cut_off_is_refused(
    refused: list[int], allowed: list[int], tmp_path: Path
) -> None:
    file = tmp_path / "model.onnx"
    for weights in (refused, allowed):
        matrix = np.array(weights, dtype=np.int8)[:, None]
        onnx.save(product_model(matrix, 0), file)
        if weights is allowed:
            assert bounded(file, "here", "do this") == {"matrix": largest_sum(matrix)}
        else:
            sentence = rf"here: matrix holds weights down to {min(weights)} and leads to sums of up to \d\d,\d+,"
            with pytest.raises(ExportError, match=sentence):
                bounded(file, "here", "do this")


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not ONNX" * 9)
    with pytest.raises(ExportError) as caught:
        bounded(tmp_path / "model.onnx", "here", "do this")
    assert str(caught.value).startswith("here cannot be read (")
    assert str(caught.value).endswith("); do this")
