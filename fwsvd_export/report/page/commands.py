"""The commands that repeat what a page shows, without local folders before the names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fwsvd_export.benchmark.result import display_names
from fwsvd_export.report.page.chapters import ChapterFacts
from fwsvd_export.report.page.facts import BenchFacts, CheckpointFacts
from fwsvd_export.report.page.parts import Command, Section
from fwsvd_export.storage.names import command_line, hub_data, without_folders

_PROGRAM = "fwsvd-export"


def commands_section(chapter: ChapterFacts) -> Section | None:
    """The section of one chapter; None when nothing is known.

    Commands of compressions, trainings, sweeps and benches were recorded as they were typed; a sweep's stands without
    the share that its last process had. Those of ONNX files, and of benches that have none, are put together from what
    their results say.
    """
    found = tuple(_commands(chapter))
    note = "Names of files and models stand here without the folders that they lie in."
    return Section("Repeat it", paragraphs=(note,), commands=found) if found else None


def _commands(chapter: ChapterFacts) -> Iterator[Command]:
    for sweep in chapter.sweeps:
        if sweep.result.command:
            yield Command(sweep.label, _words(_without_shard(sweep.result.command)))
    for facts in chapter.checkpoints:
        if facts.record.command:
            yield Command(facts.label, _words(facts.record.command))
        if facts.training is not None and facts.training.command:
            yield Command(f"{facts.label}, training", _words(facts.training.command))
        if facts.export is not None:
            yield Command(f"{facts.label}, ONNX files", _onnx(facts))
    for bench in chapter.benches:
        recorded = bench.result.command
        yield Command(bench.label, _words(recorded) if recorded else _bench(bench))


def _words(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(command_line(words))


def _without_shard(words: Sequence[str]) -> list[str]:
    """The command of the whole of which a process made a share."""
    kept, skipped = [], False
    for word in words:
        if not (skipped or word == "--shard" or word.startswith("--shard=")):
            kept.append(word)
        skipped = word == "--shard"
    return kept


def _data(name: str) -> list[str]:
    """The options that name some data: a file, a split of a folder, or a data set of the Hub."""
    of_hub = hub_data(name)
    if of_hub is None:
        return ["--data", name]
    configuration = f":{of_hub['config']}" if of_hub["config"] else ""
    place = f"{of_hub['id']}{configuration}"
    return ["--dataset" if "/" in place or configuration else "--data", place, "--split", str(of_hub["split"])]


def _onnx(facts: CheckpointFacts) -> tuple[str, ...]:
    words = [_PROGRAM, "onnx", facts.label]
    export = facts.export
    assert export is not None, "asked for with an export alone"
    if export.int8 is not None:
        words.append("--int8")
        if export.int8.task is not None:
            words += ["--task", export.int8.task, *_data(str(export.int8.data))]
        if export.int8.max_drop is not None:
            words += ["--max-drop", f"{export.int8.max_drop:g}"]
            if export.int8.confidence is not None:
                words += ["--confidence", f"{export.int8.confidence:g}"]
    return _words(words)


def _bench(facts: BenchFacts) -> tuple[str, ...]:
    models, environment = facts.result.models, facts.result.environment
    timings = [timing for model in models for timing in model.latency]
    names = [without_folders(model.model) for model in models]
    words = [_PROGRAM, "bench", *(names if len(set(names)) == len(names) else display_names(models))]
    if environment.task is not None:
        words += ["--task", environment.task, *_data(str(environment.data))]
    lists = {
        "--runtime": (timing.runtime for timing in timings),
        "--batch-sizes": (f"{timing.batch_size}" for timing in timings),
        "--lengths": (f"{timing.length}" for timing in timings),
    }
    for option, values in lists.items():
        words += [option, ",".join(dict.fromkeys(values))] if timings else []
    if environment.threads is not None:
        words += ["--threads", f"{environment.threads}"]
    return _words([*words, "--rounds", f"{environment.rounds}", "-o", facts.label])
