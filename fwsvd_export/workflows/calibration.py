"""The data of a compression: what it is calibrated on, and what a target is validated on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from fwsvd_export.checkpoints.load import Checkpoint
from fwsvd_export.checkpoints.tokenizer import load_tokenizer
from fwsvd_export.data.batches import Batches
from fwsvd_export.data.encode import encode_rows, load_batches, read_task_rows
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.rows import split_rows
from fwsvd_export.errors import DataError
from fwsvd_export.evaluation.metrics import metric_of
from fwsvd_export.fisher.merge import DATA_SEPARATOR
from fwsvd_export.records import Statistics
from fwsvd_export.workflows.compress_request import CompressRequest


def check_reconstruct_samples(request: CompressRequest, reconstruct: bool) -> None:
    """Refuses a number of rows for reconstruction that is none, or that nothing would be done with.

    Args:
        request: what was asked for.
        reconstruct: whether layers are reconstructed.

    Raises:
        DataError: such a number.
    """
    rows = request.reconstruct_samples
    if rows is None:
        return
    if rows < 1:
        raise DataError(f"reconstruct_samples {rows}: a whole number of at least 1 is allowed")
    if request.data is None or not reconstruct:
        why = "no layer is reconstructed" if not reconstruct else "no data is given"
        raise DataError(
            f"--reconstruct-samples {rows} is a number of rows of --data that layers are reconstructed on, and {why}; "
            "leave it out"
        )


def reconstruction_text(
    request: CompressRequest, checkpoint: Checkpoint, calibration: Batches | None, apart: Sequence[Batches]
) -> Batches | None:
    """What layers are reconstructed on: the calibration batches, or as many rows of the data as were asked for.

    The seed chooses them, those of the statistics among them; none of their labels is read.

    Args:
        request: what was asked for.
        checkpoint: the dense model.
        calibration: batches of the statistics.
        apart: examples that are measured on, which are left out.

    Raises:
        DataError: nothing but these is left.
    """
    if request.reconstruct_samples is None or request.data is None:
        return calibration
    data = replace(request.data.without_labels(), max_samples=request.reconstruct_samples, shard=(1, 1))
    text: Batches = load_batches(data, load_tokenizer(checkpoint), checkpoint.encoder)
    for examples in apart:
        text = text.without(text.among(examples.token_ids))
    if not text.examples:
        raise DataError(
            f"all rows of {data.name} are measured on, and none is left to reconstruct layers on; give more"
        )
    return text


def calibration_and_validation(
    request: CompressRequest, checkpoint: Checkpoint, stored: Statistics | None, *, labelled: bool
) -> tuple[Batches | None, Batches | None]:
    """Calibration and validation batches, as far as they are needed; no example is in both.

    Args:
        request: what to compress and how.
        checkpoint: the dense model.
        stored: statistics that were given.
        labelled: whether calibration reads labels; validation always does.

    Raises:
        DataError: no data to validate on, or nothing but what calibration has seen.
    """
    needs_validation = request.max_drop is not None
    if request.data is None and not (needs_validation and request.validation):
        if needs_validation:
            raise DataError("--max-drop needs data to measure on: give --validation FILE, or --data to split")
        return None, None
    tokenizer, encoder = load_tokenizer(checkpoint), checkpoint.encoder
    validation: Batches
    texts = request.data if request.data is None or labelled else request.data.without_labels()
    if not needs_validation:
        return load_batches(cast(DataRequest, texts), tokenizer, encoder), None
    measured = cast(DataRequest, request.validation or request.data)
    metric_of(measured.task)  # a task without one is refused before the long work
    if stored is not None and measured.name in (stored.source.data or "").split(DATA_SEPARATOR):
        raise DataError(
            f"{measured.name} is what the statistics were collected on; give other data with --validation, or --data "
            "without --fisher, which holds rows out first"
        )
    if request.validation is not None:
        calibration = None if texts is None else load_batches(texts, tokenizer, encoder)
        validation = load_batches(request.validation, tokenizer, encoder)
    else:
        chosen, rest = split_rows(read_task_rows(measured), measured)
        parts = [
            encode_rows(rows, replace(data, max_samples=None), tokenizer, encoder)
            for rows, data in ((chosen, cast(DataRequest, texts)), (rest, measured))
        ]
        (parts[0].reading + parts[1].reading).warn()  # they are one data set
        calibration, validation = parts
    seen = calibration.among(validation.token_ids) if calibration is not None else set()
    if stored is not None and stored.sample is not None:
        seen |= stored.sample.unmasked()
    if seen:
        validation = validation.without(seen)
        if validation.examples == 0:
            raise DataError("all validation examples are also calibration examples; give other data with --validation")
    return calibration, validation
