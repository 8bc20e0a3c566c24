"""The record of a sweep reads what it writes and refuses what it does not know."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fwsvd_export.errors import DataError
from fwsvd_export.evaluation.difference import Difference
from fwsvd_export.runtime.environment import Environment
from fwsvd_export.sweep.result import SweepDense, SweepResult, SweepRow

ROW = SweepRow(
    method="kfac",
    ratio=0.25,
    rank=None,
    seed=0,
    finetuned=False,
    training="none",
    metric="accuracy",
    value=0.875,
    examples=872,
    difference=Difference("dense", -0.009, -0.02, 0.002, 0.95, 872, 0.884),
    parameters=14_000_000,
    linear_ratio=0.2499,
    predicted_loss=0.03,
    ranks={"layer": 37, "other": None},
    seconds=1.5,
    key="0" * 64,
)
RESULT = SweepResult(
    model="dense",
    base_sha256="1" * 64,
    task="sst2",
    data="train.jsonl",
    validation="validation.jsonl",
    metric="accuracy",
    dense=SweepDense(value=0.884, parameters=22_000_000, linear_weights=10_000_000),
    rows=(ROW, replace(ROW, finetuned=True, training="distilled", key="2" * 64)),
    planned=4,
    seconds={"statistics": 20.0},
    command=("fwsvd-export", "sweep"),
    environment=Environment("a processor", 2, None, 2, {"torch": "2.13.0"}),
)


def test_reads_what_it_writes() -> None:
    assert SweepResult.from_json(RESULT.to_json(), "results.json", DataError) == RESULT


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, "format"),
        ({"planned": -1}, "planned is -1"),
        ({"rows": [{**RESULT.to_json()["rows"][0], "training": "pruned"}]}, "rows[0].training"),
        ({"rows": [{**RESULT.to_json()["rows"][0], "value": "high"}]}, "rows[0].value"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, object], said: str) -> None:
    with pytest.raises(DataError) as caught:
        SweepResult.from_json({**RESULT.to_json(), **change}, "results.json", DataError)
    assert said in str(caught.value)
    assert "run the sweep again" in str(caught.value) or "newer" in str(caught.value)
