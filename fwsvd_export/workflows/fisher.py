"""``fisher``: statistics of a model on task data, collected once."""

from __future__ import annotations

from pathlib import Path

from fwsvd_export.checkpoints.load import Checkpoint
from fwsvd_export.checkpoints.tokenizer import load_tokenizer
from fwsvd_export.checkpoints.weights import weights_sha256
from fwsvd_export.data.batches import Batches
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.rows import DataRequest
from fwsvd_export.fisher import collect_statistics
from fwsvd_export.fisher.files import save_statistics
from fwsvd_export.records import Statistics, StatisticsSource
from fwsvd_export.runtime.progress import Steps, silent, tracked
from fwsvd_export.storage.output import check_output
from fwsvd_export.workflows.source import Source, load_dense


def run_fisher(
    source: Source,
    out: Path,
    data: DataRequest,
    *,
    collect: tuple[str, ...],
    labels: str,
    overwrite: bool = False,
    steps: Steps = silent,
) -> Statistics:
    """Collects statistics of a model on task data and writes them to one file."""
    check_output(out, overwrite)
    checkpoint = load_dense(source)
    batches = load_batches(data, load_tokenizer(checkpoint), checkpoint.encoder)
    statistics = statistics_of(checkpoint, data, batches, collect, labels, steps)
    save_statistics(statistics, out, overwrite)
    return statistics


def statistics_of(
    checkpoint: Checkpoint, data: DataRequest, batches: Batches, collect: tuple[str, ...], labels: str, steps: Steps
) -> Statistics:
    """Statistics of a loaded model on batches, with where they come from."""
    source = StatisticsSource(
        model_sha256=weights_sha256(checkpoint.model),
        task=data.task.name,
        data=data.name,
        labels=labels,
        max_length=data.max_length,
        seed=data.seed,
    )
    return collect_statistics(
        checkpoint.model,
        tracked(batches, len(batches), "collecting Fisher statistics", steps),
        collect=collect,
        labels=labels,
        seed=data.seed,
        source=source,
    )
