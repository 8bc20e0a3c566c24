"""Which of a folder's files are weights in another format."""

from __future__ import annotations

import pytest

from fwsvd_export.checkpoints.formats import unread_format


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ([], None),
        (["config.json", "tokenizer.json", "modules.json", "README.md"], None),
        (["training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth"], None),
        (["model.gguf", "tf_model.h5", "pytorch_model.bin"], "pytorch_model.bin"),
        (["pytorch_model-00002-of-00002.bin", "pytorch_model-00001-of-00002.bin"], "pytorch_model-00001-of-00002.bin"),
        (["onnx/model.onnx", "best.pth", "training_args.bin"], "best.pth"),
        (["weights.bin", "optimizer.bin"], "weights.bin"),
        (["onnx/model_quantized.onnx"], "onnx/model_quantized.onnx"),
    ],
)
def test_the_file_to_convert_is_found_among_others(files: list[str], found: str | None) -> None:
    unread = unread_format(files)
    assert (None if unread is None else unread[0]) == found
