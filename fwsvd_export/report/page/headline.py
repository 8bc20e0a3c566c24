"""What came out, in a sentence per kind of folder: the smallest model that still does its job, and how fast it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fwsvd_export.benchmark.result import display_names
from fwsvd_export.report.page.chapters import ChapterFacts
from fwsvd_export.report.page.facts import BenchFacts, CheckpointFacts, SweepFacts
from fwsvd_export.report.page.scores import score_pair
from fwsvd_export.report.page.size_plot import STATES
from fwsvd_export.report.page.sizes import SizeCell, cells_of
from fwsvd_export.report.page.speed import speed_of_bench
from fwsvd_export.report.page.timings import Timing
from fwsvd_export.report.page.words import faster, millions, percent, score, signed, titled
from fwsvd_export.wording import counted

KEPT = 0.98  # of the dense metric: a model that keeps so much of it still does its job
Interval = tuple[float, float, float]
"""(confidence, low, high)"""


def headlines(chapter: ChapterFacts) -> tuple[str, ...]:
    """The sentences, those of sweeps first; where there are neither sweeps nor benches, those of checkpoints."""
    found = [sentence for facts in chapter.sweeps for sentence in _of_sweep(facts)]
    found += [sentence for facts in chapter.benches for sentence in _of_bench(facts, chapter)]
    return tuple(found or [_of_checkpoint(facts) for facts in chapter.checkpoints])


def compared(metric: str, value: float, dense: float, interval: Interval | None = None, seeds: int = 1) -> str:
    """A metric, and how far it is from the dense model's.

    Args:
        metric: its name.
        value: of the compressed model.
        dense: of the dense model.
        interval: of the difference.
        seeds: whose intervals it holds.

    Example:
        >>> compared("accuracy", 0.867, 0.884, (0.95, -0.030, -0.005))
        "accuracy is .867, .017 below the dense model's .884 (95 %: −.030 to −.005)"
    """
    difference = signed(value - dense)
    if not difference.strip("+−.0") and score(value) == score(dense):
        against = f"as the dense model's {score(dense)}"
    else:
        where = "below" if value < dense else "above"
        against = f"{difference[1:]} {where} the dense model's {score(dense)}"
    several = f" over {counted(seeds, 'seed')}" if seeds > 1 else ""
    sure = (
        ""
        if interval is None
        else f" ({percent(interval[0])}{several}: {signed(interval[1])} to {signed(interval[2])})"
    )
    return f"{titled(metric)} is {score(value)}, {against}{sure}"


def smallest_that_does(candidates: Sequence[tuple[float, float]], dense: float) -> int:
    """The number of the smallest model that keeps ``KEPT`` of the dense metric, or of the best one where none does.

    Args:
        candidates: (size, metric) of at least one model.
        dense: the dense model's metric.
    """
    good = [place for place, (_, value) in enumerate(candidates) if value >= KEPT * dense]
    if good:
        return min(good, key=lambda place: (candidates[place][0], -candidates[place][1]))
    return max(range(len(candidates)), key=lambda place: candidates[place][1])


def _of_sweep(facts: SweepFacts) -> Iterator[str]:
    result, cells = facts.result, _best_of_sizes(cells_of(facts.result.rows))
    if not cells:
        return
    dense = result.dense.value
    cell = cells[smallest_that_does([(cell.share, cell.value) for cell in cells], dense)]
    state = "" if cell.training == "none" else f", {STATES[cell.training]}"
    told = compared(result.metric, cell.value, dense, cell.interval, len(cell.values))
    yield f"At {percent(cell.share)} of the linear weights ({cell.method}{state}) {told}."


def _best_of_sizes(cells: Sequence[SizeCell]) -> list[SizeCell]:
    """Of every size that was asked for the best cell: greedy and uniform ranks fill a budget to a hair's breadth."""
    best: dict[str, SizeCell] = {}
    for cell in cells:
        if cell.asked not in best or cell.value > best[cell.asked].value:
            best[cell.asked] = cell
    return list(best.values())


def _of_bench(facts: BenchFacts, chapter: ChapterFacts) -> Iterator[str]:
    """About the fastest runtime of the chosen model at the shape of one request, metric and speed alike."""
    dense, *others = facts.result.models
    speed = speed_of_bench(facts, chapter.methods)
    if speed is None or not others:
        return
    chosen = others[0]
    if dense.value is not None and all(model.value is not None for model in others):
        sizes = [(float(model.parameters), model.value or 0.0) for model in others]
        chosen = others[smallest_that_does(sizes, dense.value)]
    share = chapter.shares.get(chosen.sha256 or "")
    size = f"{millions(chosen.parameters)} of {millions(dense.parameters)} parameters"
    at = f"At {size if share is None else f'{percent(share)} of the linear weights'}"
    name = display_names(facts.result.models)[facts.result.models.index(chosen)]
    timings = [row for row in speed.timings if row.shape == speed.shape and row.model == name]
    fastest = min(timings, key=lambda row: row.median_ms, default=None)
    if fastest is not None:
        yield f"{at} {_told(fastest, speed.timings, speed.metric)}."


def _told(fastest: Timing, timings: Sequence[Timing], metric: str | None) -> str:
    batch_size, length = fastest.shape
    where = f"in {fastest.runtime} ({batch_size:,} × {length:,} tokens)"
    rows = (row for row in timings if row.dense and (row.runtime, row.shape) == (fastest.runtime, fastest.shape))
    dense = next(rows, None)
    quick = faster(fastest.speedup) if fastest.speedup is not None else f"{fastest.median_ms:.1f} ms a call"
    if metric is None or fastest.value is None or dense is None or dense.value is None:
        return f"the model is {quick} {where}"
    found = fastest.difference
    interval = None if found is None else (found.confidence, found.low, found.high)
    return f"{compared(metric, fastest.value, dense.value, interval)}, and it is {quick}, both {where}"


def _of_checkpoint(facts: CheckpointFacts) -> str:
    record, pair = facts.record, score_pair(facts)
    at = f"At {percent(record.parameters.ratio)} of the linear weights ({record.method})"
    size = f"{millions(record.parameters.total_compressed)} of {millions(record.parameters.total_dense)} parameters"
    if pair is None:
        return f"{at} {size} are left."
    small, dense = pair
    return f"{at} {compared(small.metric, small.value, dense.value)}, with {size}."
