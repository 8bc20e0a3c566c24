"""Batches of the tiny model, and the statistics collected from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor

import fwsvd_export as fe
from fwsvd_export.records import Statistics

Batches = list[dict[str, Tensor]]


@pytest.fixture
def batches(make_batches: Callable[..., Batches]) -> Batches:
    return make_batches(24, 8)


@pytest.fixture
def statistics(tiny_model: Any, batches: Batches) -> Statistics:
    return fe.collect_statistics(tiny_model, batches)
