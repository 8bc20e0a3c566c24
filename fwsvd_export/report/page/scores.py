"""What a compressed checkpoint's record and measurements say of its size and its metric."""

from __future__ import annotations

from fwsvd_export.checkpoints.record import CompressionRecord
from fwsvd_export.hub.card.measurements import COMPRESSED, DENSE, Score
from fwsvd_export.report.page.facts import CheckpointFacts
from fwsvd_export.report.page.sizes import RANK
from fwsvd_export.report.page.words import percent


def scores_of_one_task(facts: CheckpointFacts) -> list[Score]:
    """The scores on the task, the data and as many examples as the checkpoint's newest score is on."""
    scores = facts.measurements.scores
    newest = next((score for score in reversed(scores) if score.model == COMPRESSED), None)
    if newest is None:
        return []
    return [score for score in scores if measured_on(score) == measured_on(newest)]


def measured_on(score: Score) -> tuple[str, str, int]:
    """What two scores have in common that can be compared: task, data and number of examples."""
    return score.task, score.data, score.examples


def score_pair(facts: CheckpointFacts) -> tuple[Score, Score] | None:
    """The scores of a checkpoint and of its base on the same data under the same runtime, torch's before others."""
    scores = scores_of_one_task(facts)
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
        return f"{RANK} {asked.rank:,}"
    if asked.params is not None:
        return f"{asked.params:,} parameters"
    return "an accuracy target" if record.gate is not None else ""
