"""The digest of weights: values and names, in any file format and precision."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.checkpoints.weights import (
    count_of,
    required_weights_files,
    weights_digest,
    weights_files,
    weights_sha256,
)
from fwsvd_export.errors import CheckpointError
from fwsvd_export.storage.digest import file_sha256


def test_the_digest_knows_values_and_names_but_no_file_format(tiny_model: Any, saved: Callable[..., Path]) -> None:
    digest = weights_sha256(tiny_model)
    sharded = load_checkpoint(str(saved("sharded", max_shard_size="20KB")))
    assert weights_sha256(sharded.model) == digest
    with torch.no_grad():
        tiny_model.classifier.bias[0] += 1e-6
    assert weights_sha256(tiny_model) != digest


def test_half_precision_on_disk_and_in_memory_have_one_digest(tiny_model: Any, saved: Callable[..., Path]) -> None:
    folder = saved("half", torch.bfloat16)
    assert weights_sha256(load_checkpoint(str(folder)).model) == weights_sha256(tiny_model)


def test_the_digest_of_several_files_is_that_of_the_list_which_sha256sum_prints(saved: Callable[..., Path]) -> None:
    folder = saved("sharded", max_shard_size="20KB")
    checkpoint = load_checkpoint(str(folder))
    script = "sha256sum model-*.safetensors | sha256sum"
    printed = subprocess.run(["sh", "-c", script], cwd=folder, capture_output=True, text=True, check=True).stdout
    assert checkpoint.sha256 == weights_digest(weights_files(folder)) == printed.split()[0]
    assert len(weights_files(folder)) > 1
    assert count_of(folder) == sum(parameter.numel() for parameter in checkpoint.model.parameters())


def test_one_file_goes_before_several_as_transformers_reads_it(saved: Callable[..., Path]) -> None:
    one, folder = saved("one"), saved("sharded", max_shard_size="20KB")
    shutil.copyfile(one / "model.safetensors", folder / "model.safetensors")
    assert [file.name for file in weights_files(folder)] == ["model.safetensors"]
    assert load_checkpoint(str(folder)).sha256 == file_sha256(one / "model.safetensors")


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    assert weights_files(tmp_path) == ()
    with pytest.raises(
        CheckpointError, match=r"has no model\.safetensors and no model\.safetensors\.index\.json; save"
    ):
        required_weights_files(tmp_path)
