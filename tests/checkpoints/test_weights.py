"""The digest of weights: values and names, in any file format and precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.checkpoints.weights import weights_sha256


def test_the_digest_knows_values_and_names_but_no_file_format(tiny_model: Any, saved: Callable[..., Path]) -> None:
    digest = weights_sha256(tiny_model)
    sharded = load_checkpoint(str(saved("sharded", max_shard_size="20KB")))
    assert sharded.sha256 is None
    assert weights_sha256(sharded.model) == digest
    with torch.no_grad():
        tiny_model.classifier.bias[0] += 1e-6
    assert weights_sha256(tiny_model) != digest


def test_half_precision_on_disk_and_in_memory_have_one_digest(tiny_model: Any, saved: Callable[..., Path]) -> None:
    folder = saved("half", torch.bfloat16)
    assert weights_sha256(load_checkpoint(str(folder)).model) == weights_sha256(tiny_model)
