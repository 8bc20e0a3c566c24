"""Graphs of small models, in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import BertForSequenceClassification

from fwsvd_export import compress
from fwsvd_export.export.signature import signature_of
from fwsvd_export.export.trace import trace
from fwsvd_export.records import RankLimits


@pytest.fixture(scope="session")
def small_model(tiny_folder: Path) -> Any:
    """The two-class model in factors of rank 5; its second value layer stays dense."""
    return compress(
        BertForSequenceClassification.from_pretrained(tiny_folder).eval(),
        method="svd",
        rank=5,
        limits=RankLimits(keep_dense=("encoder.layer.1.attention.self.value",)),
    )


@pytest.fixture(scope="session")
def graph(small_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Its ONNX graph. Do not change it."""
    return trace(small_model, signature_of(small_model), 17, tmp_path_factory.mktemp("graph") / "model.onnx")


@pytest.fixture(scope="session")
def quantizable(small_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Its ONNX graph with all biases outside the weights. Do not change it."""
    file = tmp_path_factory.mktemp("quantizable") / "model.onnx"
    return trace(small_model, signature_of(small_model), 17, file, carry_limit=0)
