"""``evaluate``: the task's metric of a checkpoint."""

from __future__ import annotations

from dataclasses import replace

from fwsvd_export.checkpoints.tokenizer import load_tokenizer
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.request import DataRequest
from fwsvd_export.evaluation.chance import warn_below_chance
from fwsvd_export.evaluation.metrics import evaluate_model
from fwsvd_export.records import Measurement
from fwsvd_export.runtime.progress import Steps, silent, tracked
from fwsvd_export.workflows.source import Source, load_source


def run_evaluate(source: Source, data: DataRequest, steps: Steps = silent) -> Measurement:
    """The task's metric of a dense or compressed checkpoint."""
    checkpoint = load_source(source)
    batches = load_batches(data, load_tokenizer(checkpoint), checkpoint.encoder)
    measured = evaluate_model(checkpoint.model, tracked(batches, len(batches), "evaluating", steps), batches.task)
    warn_below_chance(measured, batches.task, checkpoint.model.config)
    reading = batches.reading
    return replace(measured, sha256=checkpoint.sha256, cut=reading.cut, skipped=reading.left_out)
