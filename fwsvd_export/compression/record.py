"""What ``compression.json`` says of how a model was made."""

from __future__ import annotations

from fwsvd_export.checkpoints.record import (
    Asked,
    CompressionRecord,
    RecordedEmbeddings,
    RecordedFisher,
    RecordedLayer,
    RecordedLimits,
    RecordedParameters,
    RecordedReconstruction,
)
from fwsvd_export.compression.checks import widths_of
from fwsvd_export.compression.inputs import Inputs
from fwsvd_export.compression.report import CompressionReport
from fwsvd_export.records import Statistics
from fwsvd_export.runtime.environment import library_versions
from fwsvd_export.solvers.fwsvd import FwsvdOptions
from fwsvd_export.solvers.options import options_to_json


def record_of(inputs: Inputs, report: CompressionReport, base_model: str) -> CompressionRecord:
    """The record of a compression, without what only files tell: digests, the card of the base, the command.

    Args:
        inputs: what the model was made from.
        report: what became of every layer.
        base_model: what the base is called.
    """
    done, embedding = report.reconstruction, report.embedding
    return CompressionRecord(
        base_model=base_model,
        base_sha256=None,
        method=report.method,
        allocate=report.plan.allocate,
        asked=_asked(inputs),
        embeddings=RecordedEmbeddings(embedding.name, embedding.shape, embedding.rank, embedding.predicted_loss),
        reconstruction=None if done is None else RecordedReconstruction(done.tokens, done.sequences, done.head_pull),
        parameters=RecordedParameters(**report.parameters.to_json()),
        layers=tuple(
            RecordedLayer(
                layer.name, layer.shape, layer.rank, layer.kept_dense, layer.predicted_loss, layer.status, layer.width
            )
            for layer in report.layers
        ),
        fisher=None if inputs.statistics is None else _fisher(inputs.statistics),
        versions=library_versions(),
    )


def _asked(inputs: Inputs) -> Asked:
    budget, limits, options = inputs.size.budget, inputs.size.limits, inputs.options
    return Asked(
        ratio=budget.ratio,
        rank=budget.rank,
        params=budget.params,
        fisher_axis=options.axis if isinstance(options, FwsvdOptions) else FwsvdOptions().axis,
        limits=RecordedLimits(limits.multiple, limits.smallest, limits.largest, tuple(limits.keep_dense)),
        embeddings=inputs.size.embeddings,
        cost=inputs.size.cost,
        widths=widths_of(inputs.encoder, inputs.solver, inputs.size),
        solver_options=options_to_json(options),
    )


def _fisher(statistics: Statistics) -> RecordedFisher:
    source = statistics.source
    return RecordedFisher(
        source.task, source.data, statistics.examples, source.labels, source.max_length, None, source.temperature
    )
