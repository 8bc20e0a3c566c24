"""Settings are checked when they are made."""

from __future__ import annotations

from typing import Any

import pytest

from fwsvd_export.errors import TrainingError
from fwsvd_export.training.settings import TrainingSettings


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"epochs": 0}, r"epochs 0: a number above 0 is allowed \(passes over the training rows, as 3 or 0.5\)"),
        ({"epochs": -1}, "epochs -1: a number above 0"),
        ({"epochs": float("nan")}, "epochs nan: a number above 0"),
        ({"learning_rate": 0.0}, r"lr 0: a number above 0 is allowed \(AdamW's highest learning rate, as 3e-4\)"),
        ({"learning_rate": float("inf")}, "lr inf: a number above 0"),
        ({"label_weight": -0.5}, "label weight -0.5: a number of at least 0 is allowed"),
        ({"hidden_weight": -1}, "hidden weight -1: a number of at least 0 is allowed"),
        ({"evaluations": 0}, "evaluations 0: a whole number of at least 1 is allowed"),
        ({"patience": 0}, "patience 0: a whole number of at least 1 is allowed"),
        ({"embeddings": "thaw"}, "embeddings 'thaw': one of freeze, train is allowed"),
        ({"precision": "int8"}, "precision 'int8': one of auto, float32, bfloat16, float16 is allowed"),
    ],
)
def test_what_is_not_allowed_is_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(TrainingError, match=f"^{said}"):
        TrainingSettings(**wrong)


def test_defaults_depend_on_whether_there_is_a_teacher() -> None:
    taught, labelled = TrainingSettings().resolved(distilled=True), TrainingSettings().resolved(distilled=False)
    assert None not in (taught.epochs, taught.learning_rate, labelled.epochs, labelled.learning_rate)
    assert taught.learning_rate != labelled.learning_rate
    given = TrainingSettings(epochs=0.5, learning_rate=1e-5)
    assert given.resolved(distilled=True) == given
