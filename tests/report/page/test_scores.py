"""Scores are paired on the same data under the same runtime."""

from __future__ import annotations

from dataclasses import replace

from fwsvd_export.checkpoints.record import Asked, CompressionRecord
from fwsvd_export.hub.card.measurements import Measurements
from fwsvd_export.report.page.facts import CheckpointFacts
from fwsvd_export.report.page.scores import score_pair, scores_of_one_task, size_in_words
from tests.report.page.results import measurements, record


def facts(*scores: object) -> CheckpointFacts:
    return CheckpointFacts("small", record(), None, False, Measurements(scores=scores))  # type: ignore[arg-type]


def test_a_score_is_compared_on_its_own_data_and_runtime() -> None:
    dense, small = measurements().scores
    assert score_pair(facts(dense, small)) == (small, dense)
    assert score_pair(facts(replace(dense, data="other.jsonl"), small)) is None
    assert score_pair(facts(dense, replace(small, runtime="onnxruntime"))) is None
    assert score_pair(facts(replace(dense, examples=dense.examples - 1), small)) is None
    assert score_pair(facts(dense)) is None


def test_torch_comes_first_and_the_newest_data_counts() -> None:
    dense, small = measurements().scores
    onnx = [replace(score, runtime="onnxruntime") for score in (dense, small)]
    assert score_pair(facts(*onnx, dense, small)) == (small, dense)
    newer = replace(small, data="newer.jsonl")
    assert scores_of_one_task(facts(dense, small, newer)) == [newer]
    assert scores_of_one_task(facts()) == []


def asked(**size: int | float) -> CompressionRecord:
    return record(asked=Asked(**size), gate=None)  # type: ignore[arg-type]


def test_the_size_that_was_asked_for() -> None:
    words = [size_in_words(asked(**size)) for size in ({"ratio": 0.1}, {"rank": 64}, {"params": 20_000_000}, {})]
    assert words == ["10 %", "rank 64", "20,000,000 parameters", ""]
    assert size_in_words(record(asked=Asked())) == "an accuracy target"
