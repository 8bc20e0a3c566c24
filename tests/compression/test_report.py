"""What happened in a compression, as the model carries it."""

from __future__ import annotations

from typing import Any

import pytest
from torch import Tensor

import fwsvd_export as fe
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.errors import CompressionWarning
from fwsvd_export.records import RankLimits, Statistics

Batches = list[dict[str, Tensor]]


def test_the_report_on_the_model_says_what_became_of_every_layer(
    tiny_model: Any, batches: Batches, statistics: Statistics
) -> None:
    limits = RankLimits(keep_dense=("*.1.attention.self.value",), largest=15)
    report = fe.compress(tiny_model, batches, statistics=statistics, ratio=0.7, limits=limits).compression
    assert report.method == "kfac"
    assert report.kept_dense == ("encoder.layer.1.attention.self.value",)
    assert [layer.name for layer in report.layers] == [layer.name for layer in encoder_of(tiny_model).layers]
    assert {layer.name: layer.rank for layer in report.layers} == report.plan.ranks
    assert report.reconstruction is not None
    assert report.reconstruction.sequences == sum(len(batch["input_ids"]) for batch in batches)
    assert (report.unsettled, report.warnings) == ((), ())


def test_iterations_that_did_not_converge_are_warned_about(tiny_model: Any, batches: Batches) -> None:
    told = r"^encoder\.layer\.0\.attention\.self\.query: .*max_iterations.*11 more layers"
    with pytest.warns(CompressionWarning, match=told):
        small = fe.compress(tiny_model, batches, method="em", rank=4, solver_options={"max_iterations": 2})
    assert len(small.compression.unsettled) == len(small.compression.layers)
    assert len(small.compression.warnings) == 1
