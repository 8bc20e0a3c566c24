"""Factors multiplied out into a plain checkpoint on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from fwsvd_export import compress
from fwsvd_export.checkpoints.folder import read_compression
from fwsvd_export.errors import OutputError
from fwsvd_export.workflows.densify import run_densify
from fwsvd_export.workflows.source import Source


def test_the_plain_checkpoint_loads_anywhere_and_answers_as_the_factors(tiny_model: Any, tmp_path: Path) -> None:
    small = compress(tiny_model, method="svd", rank=5)
    small.save_pretrained(tmp_path / "small")
    run_densify(Source(str(tmp_path / "small")), tmp_path / "plain")
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "plain").eval()
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        torch.testing.assert_close(plain(input_ids=ids).logits, small(input_ids=ids).logits, rtol=0, atol=1e-5)
    assert not list((tmp_path / "plain").glob("*.py"))
    assert [entry.action for entry in read_compression(tmp_path / "plain").history][-1] == "densify"
    with pytest.raises(OutputError, match="plain"):
        run_densify(Source(str(tmp_path / "small")), tmp_path / "plain")
