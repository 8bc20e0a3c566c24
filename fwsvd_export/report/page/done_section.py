"""The section that says what was done: model, data, methods, sizes, training, machine, versions."""

from __future__ import annotations

from collections.abc import Iterator

from fwsvd_export.report.bench import machine_line
from fwsvd_export.report.page.chapters import ChapterFacts
from fwsvd_export.report.page.parts import Fact, Section
from fwsvd_export.report.page.scores import size_in_words
from fwsvd_export.report.page.size_plot import STATES
from fwsvd_export.report.page.sizes import asked
from fwsvd_export.report.page.training_section import training_words
from fwsvd_export.report.page.words import joined, millions, titled
from fwsvd_export.runtime.environment import Environment
from fwsvd_export.wording import counted

_DIGEST = 16  # characters of a digest that are shown


def done_section(chapter: ChapterFacts) -> Section:
    """The section about everything that a chapter is made of; what is the same in several folders stands there once."""
    gathered = {
        "Base model": _base(chapter),
        "Task and data": _data(chapter),
        "Methods and sizes": _methods(chapter),
        "Training": _training(chapter),
        "Machine": (_machine(environment) for environment in _environments(chapter)),
        "Versions": _versions(chapter),
    }
    facts = (Fact(term, tuple(dict.fromkeys(lines))) for term, lines in gathered.items())
    return Section("What was done", facts=tuple(fact for fact in facts if fact.lines))


def _base(chapter: ChapterFacts) -> Iterator[str]:
    digest = chapter.base.sha256
    yield chapter.name if digest is None else f"{chapter.name}, weights {digest[:_DIGEST]}…"
    for sweep in chapter.sweeps:
        dense = sweep.result.dense
        yield f"{millions(dense.parameters)} parameters, {millions(dense.linear_weights)} of them linear weights"
    for facts in chapter.checkpoints:
        counts = facts.record.parameters
        yield f"{millions(counts.total_dense)} parameters, {millions(counts.linear_dense)} of them linear weights"


def _data(chapter: ChapterFacts) -> Iterator[str]:
    for sweep in chapter.sweeps:
        result = sweep.result
        yield f"{result.task}: calibrated on {result.data}, measured by {titled(result.metric)} on {result.validation}"
    for bench in chapter.benches:
        environment, dense = bench.result.environment, bench.result.models[0]
        if environment.task is not None:
            metric, examples = titled(dense.metric or "metric"), counted(dense.examples or 0, "example")
            yield f"{environment.task}: measured by {metric} on {environment.data} ({examples})"
    for facts in chapter.checkpoints:
        fisher = facts.record.fisher
        if fisher is not None:
            where = f" of {fisher.data}" if fisher.data else ""
            labels = {"data": "the data", "sampled": "the model's own predictions"}.get(fisher.labels, fisher.labels)
            task = f"{fisher.task}: " if fisher.task else ""
            yield f"{task}calibrated on {counted(fisher.examples, 'example')}{where}, labels from {labels}"
        for score in facts.measurements.scores:
            examples = counted(score.examples, "example")
            yield f"{score.task}: measured by {titled(score.metric)} on {score.data} ({examples})"
    for losses in chapter.losses:
        yield f"layer losses on {counted(losses.losses.examples, 'calibration example')}"


def _methods(chapter: ChapterFacts) -> Iterator[str]:
    for sweep in chapter.sweeps:
        rows = sweep.result.rows
        if rows:
            methods, sizes = list(dict.fromkeys(row.method for row in rows)), list(dict.fromkeys(map(asked, rows)))
            seeds = counted(len({row.seed for row in rows}), "seed")
            shares = " of the linear weights" if rows[0].ratio is not None else ""
            yield f"{joined(methods)} at {joined(sizes)}{shares}, {seeds}"
    for facts in chapter.checkpoints:
        record = facts.record
        size = size_in_words(record)
        fitted = ", layers reconstructed" if record.reconstruction is not None else ""
        if (done := record.refinement) is not None:
            fitted += f", refined on {counted(done.examples, 'text')} (divergence {done.start:.4f} to {done.best:.4f})"
        yield f"{facts.label}: {record.method}, {record.allocate} ranks{f', {size}' if size else ''}{fitted}"


def _training(chapter: ChapterFacts) -> Iterator[str]:
    for sweep in chapter.sweeps:
        states = list(dict.fromkeys(row.training for row in sweep.result.rows))
        if states and states != ["none"]:
            yield f"{sweep.label}: {joined([STATES[state] for state in states])}"
    for facts in chapter.checkpoints:
        if facts.training is not None:
            yield f"{facts.label}: {training_words(facts.training)}"
        else:
            yield from (f"{facts.label}: {entry}" for entry in facts.record.history if entry.action == "finetune")


def _environments(chapter: ChapterFacts) -> Iterator[Environment]:
    yield from (sweep.result.environment for sweep in chapter.sweeps)
    yield from (bench.result.environment for bench in chapter.benches)
    for facts in chapter.checkpoints:
        yield from (score.environment for score in facts.measurements.scores)
        yield from (run.environment for run in facts.measurements.runs)


def _machine(environment: Environment) -> str:
    return machine_line(environment) + ("" if environment.gpu is None else f", {environment.gpu}")


def _versions(chapter: ChapterFacts) -> Iterator[str]:
    """A line with all versions of every library that took part."""
    found: dict[str, dict[str, None]] = {}
    recorded = [environment.versions for environment in _environments(chapter)]
    recorded += [facts.record.versions for facts in chapter.checkpoints]
    recorded += [facts.training.versions for facts in chapter.checkpoints if facts.training is not None]
    for versions in recorded:
        for name, version in versions.items():
            found.setdefault(name, {})[version] = None
    if found:
        yield ", ".join(f"{name} {joined(list(versions))}" for name, versions in found.items())
