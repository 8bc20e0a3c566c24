"""The rows of a sweep: what all models are measured on, and what they are calibrated and trained on, by seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.checkpoints.load import Checkpoint
from fwsvd_export.checkpoints.tokenizer import load_tokenizer
from fwsvd_export.data.batches import Batches
from fwsvd_export.data.encode import encode_rows, read_task_rows
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.rows import Rows, hold_out
from fwsvd_export.errors import DataError
from fwsvd_export.evaluation.similarity import referred
from fwsvd_export.sweep.keys import rows_sha256
from fwsvd_export.workflows.sweep_request import SweepRequest


@dataclass(frozen=True)
class SweepData:
    """The rows of a sweep: what is measured on is in no other part, what the best weights are chosen on is not trained.

    Attributes:
        request: of the rows for calibration and training.
        tokenizer: of the model.
        encoder: of the model.
        rows: that may be chosen.
        rows_sha256: of them.
        validation: what values are measured on.
        validation_name: of that data.
        validation_sha256: of its rows.
    """

    request: DataRequest
    tokenizer: Any
    encoder: Encoder
    rows: Rows
    rows_sha256: str
    validation: Batches
    validation_name: str
    validation_sha256: str

    @classmethod
    def of(cls, request: SweepRequest, checkpoint: Checkpoint) -> SweepData:
        """Reads all rows, and tokenises those of the validation.

        Raises:
            DataError: the data cannot be used, or does not fit the model.
        """
        tokenizer, encoder, data = load_tokenizer(checkpoint), checkpoint.encoder, request.data
        rows, measured = read_task_rows(data), request.validation or data
        if request.validation is None:
            rows, held_out = hold_out(rows, data.task)
        else:
            held_out = read_task_rows(request.validation)
        validation = encode_rows(held_out, replace(measured, max_samples=None), tokenizer, encoder)
        validation.reading.warn()
        digests = rows_sha256(rows, data.task), rows_sha256(held_out, measured.task)
        name = measured.name if request.validation is not None else f"{measured.name} (rows held out)"
        measured_on = referred(validation, encoder.model)
        return cls(data, tokenizer, encoder, rows, digests[0], measured_on, name, digests[1])

    def calibration(self, seed: int, labelled: bool) -> Batches:
        """The rows of a seed that models are calibrated on.

        Args:
            seed: chooses ``max_samples`` of the rows.
            labelled: whether labels are read.
        """
        request = self.request if labelled else self.request.without_labels()
        return self._batches(self.rows, replace(request, seed=seed), self.validation.token_ids, "calibration")

    def training(self, seed: int, samples: int | None, labelled: bool) -> tuple[Batches, Batches]:
        """The rows of a seed that models are trained on, and those that the best weights are chosen on, for every seed.

        Args:
            seed: chooses the rows.
            samples: rows at most, None for all.
            labelled: whether labels are learned.
        """
        rows, held_out = hold_out(self.rows, self.request.task)
        seen = self.validation.token_ids
        every = replace(self.request, max_samples=None)
        selection = self._batches(held_out, every, seen, "the choice of the best weights")
        chosen = replace(every if labelled else every.without_labels(), max_samples=samples, seed=seed)
        training = self._batches(rows, chosen, seen | selection.token_ids, "training")
        return training, referred(selection, self.encoder.model)

    def _batches(self, rows: Rows, request: DataRequest, seen: set[tuple[int, ...]], use: str) -> Batches:
        read = encode_rows(rows, request, self.tokenizer, self.encoder)
        read.reading.warn()
        left = read.without(seen)
        if left.examples == 0:
            raise DataError(
                f"all examples of {rows.name} for {use} are among those that are measured on; give other data with "
                "--validation"
            )
        return left
