"""The section of compressed checkpoints of one dense model: sizes, scores, ranks, latency, training, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fwsvd_export.checkpoints.gate import RecordedDeployment
from fwsvd_export.checkpoints.record import RecordedLayer
from fwsvd_export.hub.card.measurements import COMPRESSED, DENSE, Score
from fwsvd_export.report.page.cells import (
    EMPTY,
    bytes_cell,
    metric_cell,
    numbers,
    parameters_cell,
    range_cell,
    share_cell,
    signed_cell,
    table,
    texts,
)
from fwsvd_export.report.page.facts import CheckpointFacts
from fwsvd_export.report.page.parts import Cell, Figure, Section, Table
from fwsvd_export.report.page.rank_plot import RankMap, rank_figure
from fwsvd_export.report.page.scores import measured_on, score_pair, size_in_words
from fwsvd_export.report.page.size_plot import size_figure
from fwsvd_export.report.page.sizes import SizeCell
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
        {layer.name: min(*layer.shape, layer.width or layer.shape[0]) for layer in layers},
        {layer.name: _note(layer) for layer in layers},
    )


def _note(layer: RecordedLayer) -> str:
    left = "" if layer.width is None else f", {layer.width:,} neurons left"
    return f"{layer.shape[0]:,} × {layer.shape[1]:,}{left}, predicted loss {layer.predicted_loss:.2e}"


def _size_figures(checkpoints: Sequence[CheckpointFacts]) -> list[Figure]:
    """Metric against size of two or more checkpoints that were scored alike; as many figures as tasks and data."""
    groups: dict[tuple[str, str, tuple[str, str, int]], list[tuple[CheckpointFacts, Score, Score]]] = {}
    for facts in checkpoints:
        pair = score_pair(facts)
        if pair is not None:
            small, dense = pair
            key = (small.metric, small.runtime, measured_on(small))
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
        dense = {(*measured_on(row), row.runtime): row.value for row in scores if row.model == DENSE}
        for found in (row for row in scores if row.model == COMPRESSED):
            before = dense.get((*measured_on(found), found.runtime))
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
    sure = "" if gate.confidence is None else f" with {percent(gate.confidence)} confidence"
    note = (
        f"The target of at most {gate.max_drop:g} below the dense model's {titled(gate.metric)} of "
        f"{score(gate.dense, 4)} on {gate.validation} ({counted(gate.validation_examples, 'example')}){sure} is {met}."
    )
    columns = [*numbers("asked for", titled(gate.metric), "against dense", "interval"), *texts("target")]
    columns += texts("deployed as") if gate.goal is not None else []
    rows = [
        (
            share_cell(trial.ratio),
            metric_cell(trial.value),
            signed_cell(trial.value - gate.dense),
            range_cell(trial.low, trial.high, signs=True),
            Cell("met" if trial.kept else "missed"),
            *([] if trial.deployment is None else [Cell(_deployed(trial.deployment))]),
        )
        for trial in gate.trials
    ]
    return table(f"Sizes that were tried for {facts.label}", columns, rows, note=note)


def _deployed(made: RecordedDeployment) -> str:
    """What was exported, its file and its speed."""
    words = "" if made.embeddings == 1 else f", words {percent(made.embeddings)}"
    widths = "" if made.widths == "auto" else ", all neurons"
    return f"{made.runtime}{words}{widths}: {made.file_bytes / 1e6:.1f} MB, x{made.speedup:.2f}"
