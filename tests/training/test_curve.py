"""training.json reads what it writes and refuses what does not fit."""

from __future__ import annotations

import pytest

from fwsvd_export.errors import ReportError
from fwsvd_export.training.curve import TrainingCurve, TrainingStep

CURVE = TrainingCurve("accuracy", 0.85, 0.87, (TrainingStep(10, 0.6), TrainingStep(20, value=0.87)))


def test_reads_what_it_writes() -> None:
    assert TrainingCurve.from_json(CURVE.to_json(), "training.json", ReportError) == CURVE


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ReportError) as caught:
        TrainingCurve.from_json({**CURVE.to_json(), "best": "high"}, "training.json", ReportError)
    assert str(caught.value) == (
        "training.json: best is 'high', a number within ±10^15 is needed; train again with this version's finetune, or "
        "take the file away"
    )
