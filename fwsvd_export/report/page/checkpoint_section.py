"""The section of compressed checkpoints of one dense model: sizes, scores, ranks, latency, training, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fwsvd_export.checkpoints.record import CompressionRecord
from fwsvd_export.hub.card.measurements import COMPRESSED, DENSE, Score
from fwsvd_export.report.page.bench_section import latency_table
from fwsvd_export.report.page.cells import (
    EMPTY,
    bytes_cell,
    metric_cell,
    numbers,
    parameters_cell,
    share_cell,
    signed_cell,
    table,
    texts,
)
from fwsvd_export.report.page.folders import CheckpointFacts
from fwsvd_export.report.page.latency_plot import latency_figure
from fwsvd_export.report.page.parts import Cell, Figure, Section, Table
from fwsvd_export.report.page.rank_plot import RankMap, rank_figure
from fwsvd_export.report.page.size_plot import size_figure
from fwsvd_export.report.page.sizes import SizeCell
from fwsvd_export.report.page.speed import speed_of_run
from fwsvd_export.report.page.training_plot import training_figure
from fwsvd_export.report.page.words import percent, score, titled
from fwsvd_export.wording import counted

_CHANGED = "the weights were changed by something that left no word of it"


def checkpoint_section(checkpoints: Sequence[CheckpointFacts]) -> Section:
    """The section of checkpoints of one dense model.

    Args:
        checkpoints: at least one.
    """
    ranks = rank_figure([_rank_map(facts) for facts in checkpoints])
    figures = [*_size_figures(checkpoints), *([] if ranks is None else [ranks])]
    tables = [_sizes(checkpoints)]
    if any(facts.measurements.scores for facts in checkpoints):
        tables.append(_scores(checkpoints))
    tables += [_trials(facts) for facts in checkpoints if facts.record.gate is not None]
    title = "Compressed checkpoint" + ("" if len(checkpoints) == 1 else "s")
    paragraphs = tuple(sentence for facts in checkpoints for sentence in _sentences(facts))
    return Section(title, paragraphs, figures=tuple(figures), tables=tuple(tables))


def speed_sections(facts: CheckpointFacts) -> Iterator[Section]:
    """A section per run of latencies that a checkpoint's measurements hold."""
    scores = _of_one_task(facts)
    for run in facts.measurements.runs:
        speed = speed_of_run(facts, run, scores)
        if speed is not None:
            figure = latency_figure(speed)
            figures = () if figure is None else (figure,)
            title = f"Latency of {facts.label}"
            yield Section(title, (f"{speed.machine}.",), figures=figures, tables=(latency_table(speed),))


def training_section(facts: CheckpointFacts) -> Section | None:
    """The section of a training; None without one."""
    figure = None if facts.curve is None else training_figure(facts.curve)
    return None if figure is None else Section(f"Training of {facts.label}", figures=(figure,))


def score_pair(facts: CheckpointFacts) -> tuple[Score, Score] | None:
    """The scores of a checkpoint and of its base on the same data under the same runtime, torch's before others."""
    scores = _of_one_task(facts)
    by_model = {name: {score.runtime: score for score in scores if score.model == name} for name in (DENSE, COMPRESSED)}
    both = [runtime for runtime in by_model[COMPRESSED] if runtime in by_model[DENSE]]
    runtime = "torch" if "torch" in both else next(iter(both), None)
    return None if runtime is None else (by_model[COMPRESSED][runtime], by_model[DENSE][runtime])


def size_in_words(record: CompressionRecord) -> str:
    """The size that was asked for."""
    asked = record.asked
    if asked.ratio is not None:
        return percent(asked.ratio)
    if asked.rank is not None:
        return f"rank {asked.rank:,}"
    if asked.params is not None:
        return f"{asked.params:,} parameters"
    return "an accuracy target" if record.gate is not None else ""


def _of_one_task(facts: CheckpointFacts) -> list[Score]:
    """The scores on the task and data that the checkpoint's newest score is on."""
    scores = facts.measurements.scores
    newest = next((score for score in reversed(scores) if score.model == COMPRESSED), None)
    if newest is None:
        return []
    return [score for score in scores if (score.task, score.data) == (newest.task, newest.data)]


def _sentences(facts: CheckpointFacts) -> Iterator[str]:
    """What was done since the compression, and how the ONNX files were checked."""
    since = [*facts.record.since, *([_CHANGED] if facts.changed else [])]
    if since:
        yield f"{facts.label} since its compression: {'; '.join(since)}."
    if facts.export is not None:
        check = facts.export.check
        kept = "within" if check.within else "not within"
        yield (
            f"ONNX of {facts.label}: {check.worst.max_difference:.1e} from torch at most, {kept} the {check.atol:g} "
            f"allowed, in {counted(len(check.shapes), 'shape')}."
        )


def _rank_map(facts: CheckpointFacts) -> RankMap:
    layers = facts.record.layers
    return RankMap(
        facts.label,
        {layer.name: layer.rank for layer in layers},
        {layer.name: min(layer.shape) for layer in layers},
        {layer.name: f"{layer.shape[0]:,} × {layer.shape[1]:,}, predicted loss {layer.predicted_loss:.2e}"
         for layer in layers},
    )  # fmt: skip


def _size_figures(checkpoints: Sequence[CheckpointFacts]) -> list[Figure]:
    """Metric against size of two or more checkpoints that were scored alike; as many figures as tasks and data."""
    groups: dict[tuple[str, str, str, str], list[tuple[CheckpointFacts, Score, Score]]] = {}
    for facts in checkpoints:
        pair = score_pair(facts)
        if pair is not None:
            small, dense = pair
            key = (small.metric, small.task, small.data, small.runtime)
            groups.setdefault(key, []).append((facts, small, dense))
    return [
        size_figure([_size_cell(facts, small) for facts, small, _ in found], metric, found[0][2].value)
        for (metric, *_), found in groups.items()
        if len(found) > 1
    ]


def _size_cell(facts: CheckpointFacts, small: Score) -> SizeCell:
    record = facts.record
    trained = [entry for entry in record.history if entry.action == "finetune"]
    distilled = bool(trained) and trained[-1].details.get("teacher") is not None
    return SizeCell(
        method=record.method,
        asked=size_in_words(record),
        training="distilled" if distilled else "finetuned" if trained else "none",
        share=record.parameters.ratio,
        parameters=record.parameters.total_compressed,
        values=(small.value,),
        differences=(),
        seconds=sum(record.seconds.values()),
    )


def _sizes(checkpoints: Sequence[CheckpointFacts]) -> Table:
    columns = texts("model", "method", "ranks")
    columns += numbers("asked for", "linear weights", "parameters", "weights file")
    columns += numbers("reconstructed on")
    rows = [_size_row(facts) for facts in checkpoints]
    return table("Sizes", columns, rows)


def _size_row(facts: CheckpointFacts) -> tuple[Cell, ...]:
    record = facts.record
    fitted = record.reconstruction
    size = sum(file.bytes for file in record.files.values()) if record.files else None
    return (
        Cell(facts.label),
        Cell(record.method, series=record.method),
        Cell(record.allocate),
        Cell(size_in_words(record), order=record.parameters.ratio),
        share_cell(record.parameters.ratio),
        parameters_cell(record.parameters.total_compressed),
        bytes_cell(size),
        EMPTY if fitted is None else Cell(counted(fitted.tokens, "token"), order=fitted.tokens),
    )


def _scores(checkpoints: Sequence[CheckpointFacts]) -> Table:
    """A row per score of a compressed model, beside the base's."""
    columns = texts("model", "task", "data", "runtime", "metric")
    columns += numbers("value", "dense", "against dense", "examples")
    rows = []
    for facts in checkpoints:
        scores = facts.measurements.scores
        dense = {(row.task, row.data, row.runtime): row.value for row in scores if row.model == DENSE}
        for found in (row for row in scores if row.model == COMPRESSED):
            before = dense.get((found.task, found.data, found.runtime))
            rows.append(
                (
                    Cell(facts.label, series=facts.record.method),
                    Cell(found.task),
                    Cell(found.data),
                    Cell(found.runtime),
                    Cell(titled(found.metric)),
                    metric_cell(found.value),
                    metric_cell(before),
                    signed_cell(None if before is None else found.value - before),
                    Cell(f"{found.examples:,}", order=found.examples),
                )
            )
    return table("Scores", columns, rows)


def _trials(facts: CheckpointFacts) -> Table:
    """The sizes that an accuracy target tried."""
    gate = facts.record.gate
    assert gate is not None, "asked for with a gate alone"
    met = "met" if gate.kept else "missed"
    note = (
        f"The target of at most {score(gate.max_drop)} below the dense model's {titled(gate.metric)} of "
        f"{score(gate.dense)} on {gate.validation} ({counted(gate.validation_examples, 'example')}) is {met}."
    )
    columns = [*numbers("linear weights", titled(gate.metric)), *texts("target")]
    rows = [
        (share_cell(trial.ratio), metric_cell(trial.value), Cell("met" if trial.kept else "missed"))
        for trial in gate.trials
    ]
    return table(f"Sizes that were tried for {facts.label}", columns, rows, note=note)
