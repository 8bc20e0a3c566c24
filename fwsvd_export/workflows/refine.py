"""The text that a compressed model is refined on, and what is asked for of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from fwsvd_export.checkpoints.load import Checkpoint
from fwsvd_export.checkpoints.tokenizer import load_tokenizer
from fwsvd_export.data.batches import Batches
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.request import DataRequest
from fwsvd_export.errors import DataError, TrainingError, given
from fwsvd_export.fisher.sample import CalibrationSample
from fwsvd_export.training.refine import HELD_OUT, HELD_OUT_SHARE, check_minutes, check_text
from fwsvd_export.training.settings import REFINE_MINUTES, REFINE_SCOPES, TrainingSettings
from fwsvd_export.training.train import check_trainable

MOST_TEXTS = 2**14  # more are not seen in the usual time, and would be read and held for nothing


@dataclass(frozen=True)
class RefineRequest:
    """How a compressed model is refined.

    Attributes:
        scope: one of ``REFINE_SCOPES``.
        minutes: of wall time, about.
        data: text to refine on; None for all rows of the calibration data, or the texts of the statistics.

    Raises:
        TrainingError: a scope or a time that is not allowed.
    """

    scope: str = REFINE_SCOPES[-1]
    minutes: float = REFINE_MINUTES
    data: DataRequest | None = None

    def __post_init__(self) -> None:
        check_minutes(self.minutes)
        if self.scope not in REFINE_SCOPES:
            raise TrainingError(f"refine {given(self.scope)}: one of none, {', '.join(REFINE_SCOPES)} is allowed")


@dataclass(frozen=True)
class RefineText:
    """Text to refine on.

    Attributes:
        name: of the data; None for the texts of the statistics.
        batches: to train on.
        held_out: to measure on; None where some of the batches are to be held out.
    """

    name: str | None
    batches: Sequence[Mapping[str, Tensor]]
    held_out: Sequence[Mapping[str, Tensor]] | None = None


def refine_text(
    request: RefineRequest,
    data: DataRequest | None,
    calibration: Batches | None,
    sample: CalibrationSample | None,
    checkpoint: Checkpoint,
) -> RefineText:
    """Reads the text; no label of it is read, and ``MOST_TEXTS`` rows of it at most.

    What is held out of it are texts that the compression is not calibrated on, where there are enough: the start would
    look better than it is on the others.

    Args:
        request: what was asked for.
        data: the calibration data, all rows of which are used where there is no text of its own.
        calibration: the rows of it that the compression is calibrated on.
        sample: the texts of the statistics.
        checkpoint: the dense model.

    Raises:
        MissingExtraError: accelerate is not installed.
        DataError: there is no text, or too little of it, or it cannot be used.
    """
    check_trainable(checkpoint.encoder, TrainingSettings())
    data = request.data or data
    if data is None and sample is None:
        raise DataError("refinement needs text of the task, without labels: give --refine-data FILE, or --data")
    if data is None:
        assert sample is not None, "refused above"
        text = sample.batches()
        check_text(text)
        return RefineText(None, text)
    request_for_all = replace(data.without_labels(), max_samples=MOST_TEXTS, shard=(1, 1))
    batches = load_batches(request_for_all, load_tokenizer(checkpoint), checkpoint.encoder)
    check_text(batches)
    seen = set() if calibration is None else calibration.among(batches.token_ids)
    if sample is not None:
        seen |= sample.unmasked()
    unseen, most = batches.without(seen), max(1, min(HELD_OUT, int(HELD_OUT_SHARE * batches.examples)))
    held_out = (unseen if unseen.examples >= most else batches).spread(most)
    rest = batches.without(held_out.token_ids)
    if not rest.examples:
        raise DataError(
            f"all texts of {data.name} are the same, so none is left beside what is held out; give more text"
        )
    return RefineText(data.name, rest, held_out)
