"""A model prepared once is compressed to any size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from torch import Tensor

import fwsvd_export as fe
from fwsvd_export.checkpoints.weights import weights_sha256
from fwsvd_export.compression.prepare import compress_model, prepare
from fwsvd_export.errors import RankError
from fwsvd_export.ranks import ALLOCATORS
from fwsvd_export.records import Budget, RankLimits, RankRequest, Statistics
from tests.helpers import inputs_of

Batches = list[dict[str, Tensor]]


@pytest.mark.parametrize("matched", [True, False])
@pytest.mark.parametrize("allocate", ALLOCATORS)
def test_a_model_prepared_once_gives_every_size_as_if_made_for_it(
    allocate: str, matched: bool, tiny_model: Any, batches: Batches, statistics: Statistics
) -> None:
    calibration = batches if matched else None
    size = RankRequest(Budget(ratio=0.5), allocate, RankLimits(multiple=2), embeddings=0.4)
    prepared = prepare(inputs_of(tiny_model, "kfac", size, statistics, calibration))
    for ratio in (0.2, 0.7):
        size = replace(size, budget=Budget(ratio=ratio))
        tried = prepared.at(size.budget)
        made = compress_model(inputs_of(tiny_model, "kfac", size, statistics, calibration))
        assert (tried.report.reconstruction is not None) == matched
        assert tried.report == replace(made.report, collapse=None)  # who tries a size measures what is left of the task
        assert weights_sha256(tried.model) == weights_sha256(made.model)


def test_only_closed_forms_can_be_prepared(tiny_model: Any, batches: Batches) -> None:
    elements = fe.collect_statistics(tiny_model, batches, collect=("element",))
    with pytest.raises(RankError, match="method als solves one rank at a time; give --ratio, --rank or --params"):
        prepare(inputs_of(tiny_model, "als", RankRequest(Budget(ratio=0.5)), elements))
