"""Fine-tuning learns, repeats itself, and trains factors as it trains dense layers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import fwsvd_export as fe
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.checkpoints.tokenizer import load_tokenizer
from fwsvd_export.data.batches import Batches
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import task_named
from fwsvd_export.errors import MissingExtraError
from fwsvd_export.training.finetune import finetune


@pytest.fixture
def batches(tiny_folder: Path, data_file: Path, tiny_model: Any) -> Batches:
    request = DataRequest(task_named("sst2"), data_file, batch_size=8)
    return load_batches(request, load_tokenizer(load_checkpoint(str(tiny_folder))), encoder_of(tiny_model))


@torch.no_grad()
def loss(model: Any, batches: Batches) -> float:
    return float(sum(model(**batch).loss for batch in batches))


@pytest.mark.parametrize("compressed", [False, True])
def test_the_loss_falls_and_the_mode_is_evaluation(tiny_model: Any, batches: Batches, compressed: bool) -> None:
    model = fe.compress(tiny_model, method="svd", rank=8) if compressed else tiny_model
    before = loss(model, batches)
    finetune(model, batches, epochs=4, learning_rate=3e-3)
    assert loss(model, batches) < before
    assert not model.training


def test_the_same_seed_trains_the_same_model(tiny_model: Any, tiny_folder: Path, batches: Batches) -> None:
    again = load_checkpoint(str(tiny_folder)).model
    for model in (tiny_model, again):
        finetune(model, batches, learning_rate=1e-3, seed=3)
    assert all(map(torch.equal, tiny_model.state_dict().values(), again.state_dict().values()))


def test_a_missing_library_is_named(tiny_model: Any, batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(MissingExtraError, match=r'pip install "fwsvd-export\[train\]"'):
        finetune(tiny_model, batches)
