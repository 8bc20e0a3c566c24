"""Loading a model: what it is called, which dtype it asks for, and the digest of its weights."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from fwsvd_export.architectures.counts import linear_weights
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.checkpoints.tokenizer import load_tokenizer
from fwsvd_export.checkpoints.weights import weights_sha256
from fwsvd_export.compression.compress import compress
from fwsvd_export.storage.digest import file_sha256


def test_a_dense_folder(tiny_folder: Path, tiny_model: Any) -> None:
    checkpoint = load_checkpoint(str(tiny_folder))
    assert (checkpoint.name, checkpoint.compressed) == (tiny_folder.name, False)
    assert checkpoint.sha256 == file_sha256(tiny_folder / "model.safetensors")
    assert not checkpoint.model.training
    assert type(checkpoint.model) is type(tiny_model)
    assert weights_sha256(checkpoint.model) == weights_sha256(tiny_model)
    assert "tokenizer.json" in {path.name for path in checkpoint.tokenizer_files}
    assert load_tokenizer(checkpoint)("good film")["input_ids"][0] == 2


def test_a_relative_folder_has_its_own_name(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_folder)
    assert load_checkpoint(".").name == tiny_folder.name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
def test_weights_are_loaded_in_float32_and_their_dtype_is_remembered(
    key: str, dtype: torch.dtype, saved: Callable[..., Path]
) -> None:
    folder = saved("model", dtype)
    settings = json.loads((folder / "config.json").read_text())
    settings.pop("torch_dtype", None)
    settings.pop("dtype", None)
    (folder / "config.json").write_text(json.dumps({**settings, key: str(dtype).removeprefix("torch.")}))
    checkpoint = load_checkpoint(str(folder))
    assert checkpoint.declared_dtype == dtype
    assert {parameter.dtype for parameter in checkpoint.model.parameters()} == {torch.float32}


def test_an_unknown_dtype_is_float32(saved: Callable[..., Path]) -> None:
    folder = saved("model")
    settings = json.loads((folder / "config.json").read_text())
    for key in ("dtype", "torch_dtype"):
        settings.pop(key, None)
    (folder / "config.json").write_text(json.dumps(settings))
    assert load_checkpoint(str(folder)).declared_dtype == torch.float32


def test_code_that_came_with_a_dense_model_never_runs(saved: Callable[..., Path], tmp_path: Path) -> None:
    folder, marker = saved("model"), tmp_path / "ran"
    (folder / "modeling_evil.py").write_text(f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n")
    settings = json.loads((folder / "config.json").read_text())
    settings["auto_map"] = {"AutoModelForSequenceClassification": "modeling_evil.Evil"}
    (folder / "config.json").write_text(json.dumps(settings))
    assert not load_checkpoint(str(folder), trust_remote_code=True).compressed
    assert not marker.exists()


def test_a_compressed_model_that_is_loaded_answers_as_in_memory(tiny_model: Any, tmp_path: Path) -> None:
    small = compress(tiny_model, method="svd", rank=4).eval()
    small.save_pretrained(tmp_path / "small")
    loaded = load_checkpoint(str(tmp_path / "small")).model
    ids = torch.tensor([[2, 6, 8, 3]])
    with torch.no_grad():
        assert torch.equal(loaded(ids).logits, small(ids).logits)
        assert not torch.allclose(
            functional.softmax(tiny_model(ids).logits, -1), functional.softmax(small(ids).logits, -1)
        )
    assert linear_weights(encoder_of(loaded)) == 2 * 4 * (4 * 64 + 2 * 96)


def test_norms_under_the_names_of_early_checkpoints(family_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "early"
    shutil.copytree(family_folder, folder)
    names = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    early = {
        re.sub(r"LayerNorm\.(weight|bias)$", lambda found: names[found[0]], name): tensor
        for name, tensor in load_file(folder / "model.safetensors").items()
    }
    save_file(early, folder / "model.safetensors", metadata={"format": "pt"})
    today, found = load_checkpoint(str(family_folder)).model, load_checkpoint(str(folder)).model
    for name, tensor in today.state_dict().items():
        assert torch.equal(tensor, found.state_dict()[name]), name
