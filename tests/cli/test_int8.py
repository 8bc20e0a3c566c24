"""``onnx --int8`` writes what every processor computes alike, says so, and nothing else is written or run."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import Result

from fwsvd_export.export.saturation import in_bytes

Run = Callable[..., Result]
Succeed = Callable[..., str]
Refused = Callable[..., str]


@pytest.fixture
def model(compressed_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compressed checkpoint that may be written into."""
    folder = tmp_path_factory.mktemp("model") / "small"
    shutil.copytree(compressed_folder, folder)
    return folder


@pytest.fixture
def all_in_8_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products of small models run in 8 bits, too."""
    monkeypatch.setattr("fwsvd_export.export.quantize.SMALLEST_PRODUCT", 0)


@pytest.mark.usefixtures("all_in_8_bits")
def test_int8_sums_that_fit_every_processor_are_proven_and_said(model: Path, succeed: Succeed) -> None:
    said = succeed("onnx", model, "--int8")
    bound = json.loads((model / "onnx" / "export.json").read_text())["int8"]["saturation"]
    graph = onnx.load(model / "onnx" / "model_quantized.onnx").graph
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor).astype(int) for tensor in graph.initializer}
    matrices = [stored[node.input[1]] for node in graph.node if node.op_type == "MatMulInteger"]
    largest = 0
    for matrix in matrices:
        even = np.pad(matrix, ((0, len(matrix) % 2), (0, 0)))
        for signed in (even.clip(0, None), even.clip(None, 0)):
            largest = max(largest, int(255 * np.abs(signed[0::2] + signed[1::2]).max()))
    assert bound["matrices"] == len(matrices) > 10
    assert (bound["largest_pair_sum"], bound["limit"], bound["safe"]) == (largest, 32_767, True)
    assert 255 * 127 <= largest <= 32_640
    assert 0 < bound["avoided_pairs"] < bound["pairs"]
    assert re.search(
        rf"largest sum of two int8 products\s+│\s+{largest:,} of 32,767 in 16 bits, {len(matrices)} ", said
    )
    succeed("card", model)
    expected = f"two products of bytes add up to at most {largest:,}, and those without VNNI instructions hold 32,767."
    assert expected in (model / "README.md").read_text()


@pytest.mark.usefixtures("all_in_8_bits")
def test_int8_sums_that_a_processor_would_cut_off_are_never_written(
    model: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    """Negative control: with the scales that onnxruntime's own tool chooses."""
    monkeypatch.setattr("fwsvd_export.export.quantize.without_saturation", in_bytes)
    before = sorted(model.rglob("*"))
    result = run("-q", "onnx", model, "--int8")
    assert (result.exit_code, result.stdout) == (1, "")
    assert re.fullmatch(
        r"Error: model_quantized\.onnx: \S+_quantized holds weights down to -127 and leads to sums of up to "
        r"[3-6]\d,\d{3}, and processors without VNNI or dot products need weights within ±127 and sums of at most "
        r"32,767 for right answers; leave --int8 out, and report this as a fault of fwsvd-export\n",
        result.stderr,
    )
    assert sorted(model.rglob("*")) == before


@pytest.mark.usefixtures("all_in_8_bits")
def test_an_int8_file_of_before_that_some_processors_cut_off_is_not_evaluated(
    model: Path, data_file: Path, monkeypatch: pytest.MonkeyPatch, succeed: Succeed, refused: Refused
) -> None:
    with monkeypatch.context() as before:
        before.setattr("fwsvd_export.export.quantize.without_saturation", in_bytes)
        before.setattr("fwsvd_export.export.saturation.LARGEST_SUM", 2**31 - 1)
        succeed("onnx", model, "--int8")
    words = ["evaluate", model, "--task", "sst2", "--data", data_file, "--runtime", "onnxruntime-int8"]
    sentence = refused(*words)
    assert sentence.startswith(f"Error: {model / 'onnx' / 'model_quantized.onnx'}: ")
    assert "sums of at most 32,767 for right answers" in sentence
    assert sentence.endswith(f"; make it again with fwsvd-export onnx {model} --int8 --overwrite")
    succeed("onnx", model, "--int8", "--overwrite")
    succeed(*words)
