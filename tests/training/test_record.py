"""``training.json`` reads what it writes and names what does not fit."""

from __future__ import annotations

from typing import Any

import pytest

from fwsvd_export.errors import TrainingError
from fwsvd_export.training.history import TrainingStep
from fwsvd_export.training.record import TrainingRecord
from fwsvd_export.training.settings import TrainingSettings

RECORD = TrainingRecord(
    model="small",
    model_sha256="0" * 64,
    teacher="dense",
    teacher_sha256="1" * 64,
    task="sst2",
    data="train.jsonl",
    examples=100,
    validation="validation.jsonl",
    validation_examples=20,
    metric="accuracy",
    start=0.8,
    best=0.9,
    best_step=8,
    planned=16,
    steps=(TrainingStep(0, 0.8), TrainingStep(8, 0.9, 0.3), TrainingStep(16, 0.85, 0.2)),
    settings=TrainingSettings().resolved(distilled=True),
    batch_size=32,
    seconds={"training": 12.5},
    command=("fwsvd-export", "finetune"),
    versions={"torch": "2.13.0"},
)


def test_reads_what_it_writes() -> None:
    assert TrainingRecord.from_json(RECORD.to_json(), "training.json", TrainingError) == RECORD


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"best": "high"}, "training.json: best is 'high', a number within"),
        ({"steps": [{"step": -1, "value": 0.5}]}, r"training.json: steps\[0\].step is -1"),
        ({"settings": {"epochs": "many"}}, "training.json: settings.epochs is 'many'"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(TrainingError, match=said):
        TrainingRecord.from_json({**RECORD.to_json(), **change}, "training.json", TrainingError)
