"""The record that a compression starts from, checked once when it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.compression.inputs import calibration_of
from fwsvd_export.errors import FwsvdExportError, StatisticsError
from fwsvd_export.fisher import collect_statistics
from fwsvd_export.records import Budget, RankRequest
from tests.helpers import inputs_of

SIZE = RankRequest(Budget(rank=4))


def test_a_method_without_the_statistics_it_needs_is_refused(tiny_model: Any) -> None:
    assert inputs_of(tiny_model, "svd", SIZE).statistics is None
    with pytest.raises(StatisticsError, match="kfac"):
        inputs_of(tiny_model, "kfac", SIZE)


def test_statistics_of_another_model_are_refused(tiny_model: Any, make_batches: Callable[..., Any]) -> None:
    statistics = collect_statistics(tiny_model, make_batches(4, 2))
    with torch.no_grad():
        tiny_model.classifier.bias.add_(1)
    with pytest.raises(StatisticsError, match="another model"):
        inputs_of(tiny_model, "kfac", SIZE, statistics)


def test_a_device_without_double_precision_is_refused(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Encoder, "device", torch.device("mps"))
    with pytest.raises(FwsvdExportError, match="mps has no float64"):
        inputs_of(tiny_model, "svd", SIZE)


def test_calibration_is_the_batches_or_else_the_sample(tiny_model: Any, make_batches: Callable[..., Any]) -> None:
    batches = make_batches(4, 2)
    statistics = collect_statistics(tiny_model, batches, collect=("row",))
    assert calibration_of(batches, statistics) is batches
    assert len(list(calibration_of(None, statistics) or ())) == 4
    assert calibration_of(None, replace(statistics, sample=None)) is None
    assert calibration_of(None, None) is None
