"""``fisher``: statistics of a model on task data, collected once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.checkpoints.load import Checkpoint
from fwsvd_export.checkpoints.tokenizer import load_tokenizer
from fwsvd_export.checkpoints.weights import weights_sha256
from fwsvd_export.data.batches import Batches
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import Task
from fwsvd_export.errors import StatisticsError
from fwsvd_export.fisher import collect_statistics, merge_statistics
from fwsvd_export.fisher.files import load_statistics, save_statistics
from fwsvd_export.records import TEMPERATURE, Statistics, StatisticsSource
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
    temperature: float = TEMPERATURE,
    samples: bool = True,
    overwrite: bool = False,
    steps: Steps = silent,
) -> Statistics:
    """Collects statistics of a model on task data and writes them to one file, with the texts unless not wanted."""
    check_output(out, overwrite)
    checkpoint = load_dense(source)
    needed = data if reads_labels(checkpoint.encoder, labels, data.task) else data.without_labels()
    batches = load_batches(needed, load_tokenizer(checkpoint), checkpoint.encoder)
    statistics = statistics_of(checkpoint, data, batches, collect, labels, temperature, steps, samples=samples)
    save_statistics(statistics, out, overwrite)
    return statistics


def run_merge(files: Sequence[Path], out: Path, *, overwrite: bool = False) -> Statistics:
    """Merges statistics files of shards into one.

    Raises:
        StatisticsError: a file is given twice, missing or damaged, or does not go with the first one.
    """
    check_output(out, overwrite)
    places = [file.resolve() for file in files]
    for file, place in zip(files, places, strict=True):
        if places.count(place) > 1:
            raise StatisticsError(f"{file} is given more than once, which would count its examples twice; give it once")
    merged = merge_statistics([load_statistics(file) for file in files], [str(file) for file in files])
    save_statistics(merged, out, overwrite)
    return merged


def reads_labels(encoder: Encoder, labels: str, task: Task) -> bool:
    """Whether statistics are made from the data's labels: not where they are drawn from the model's predictions.

    Neither an embedding nor a score to rank by has a label that data could give.
    """
    return labels == "data" and encoder.head.predicts != "embedding" and task.labels != "rank"


def statistics_of(
    checkpoint: Checkpoint,
    data: DataRequest,
    batches: Batches,
    collect: tuple[str, ...],
    labels: str,
    temperature: float,
    steps: Steps,
    *,
    samples: bool,
) -> Statistics:
    """Statistics of a loaded model on batches, with where they come from."""
    labels = "data" if reads_labels(checkpoint.encoder, labels, data.task) else "sampled"
    source = StatisticsSource(
        model_sha256=weights_sha256(checkpoint.model),
        task=data.task.name,
        data=data.name,
        labels=labels,
        max_length=data.max_length,
        seed=data.seed,
        temperature=temperature,
    )
    return collect_statistics(
        checkpoint.model,
        tracked(batches, len(batches), "collecting Fisher statistics", steps),
        collect=collect,
        labels=labels,
        seed=data.seed,
        source=source,
        samples=samples,
        example_indices=batches.indices,
        temperature=temperature,
        embed=checkpoint.encoder.embed,
    )
