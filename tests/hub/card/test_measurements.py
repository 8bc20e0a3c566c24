"""Results count only when their digests say that they are of this model or of its base."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fwsvd_export.errors import CardError
from fwsvd_export.hub.card.measurements import Measurements, Published, load_measurements, with_results
from fwsvd_export.storage.json_files import write_json

DENSE, SMALL, OTHER = "d" * 64, "c" * 64, "0" * 64
DIGESTS = {"dense": DENSE, "compressed": SMALL}
MACHINE = {"cpu": "CPU", "cores": 2, "gpu": None, "threads": 1, "versions": {"torch": "2"}}
SCORE = {
    "model": "/home/me/model",
    "sha256": SMALL,
    "task": "sst2",
    "data": "validation.jsonl",
    "runtime": "torch",
    "metric": "accuracy",
    "value": 0.5,
    "beside": {},
    "examples": 8,
    "environment": MACHINE,
}


def bench_model(digest: str | None, milliseconds: float) -> dict[str, Any]:
    timing = {"runtime": "torch", "batch_size": 1, "length": 8, "median_ms": milliseconds, "p90_ms": milliseconds}
    return {
        "model": "/home/me/model",
        "sha256": digest,
        "parameters": 3,
        "metric": "accuracy",
        "value": 0.25,
        "examples": 8,
        "runtimes": {"torch": {"file_bytes": 7, "value": 0.25, "beside": {}}},
        "latency": [{**timing, "speedup": 1.0, "flops_ratio": 1.0}],
    }


def bench(*models: dict[str, Any], **environment: Any) -> dict[str, Any]:
    task = {"task": "sst2", "data": "validation.jsonl", "rounds": 1, "repeats": 2}
    return {"models": list(models), "environment": {**MACHINE, **task, **environment}}


@pytest.fixture
def record(tmp_path: Path) -> Measurements:
    return load_measurements(tmp_path, DIGESTS)


def taken(record: Measurements, value: Any, folder: Path) -> Measurements:
    (folder / "results.json").write_text(json.dumps(value))
    return with_results(record, folder / "results.json", DIGESTS)


def test_digests_tell_dense_from_compressed_and_no_path_is_kept(record: Measurements, tmp_path: Path) -> None:
    found = taken(record, {**SCORE, "data": "/home/me/validation.jsonl"}, tmp_path)
    found = taken(found, {**SCORE, "sha256": DENSE}, tmp_path)
    assert [score.model for score in found.scores] == ["compressed", "dense"]
    assert "home" not in json.dumps(found.to_json())


def test_a_newer_score_of_the_same_thing_replaces_the_older_one(record: Measurements, tmp_path: Path) -> None:
    found = record
    for change in ({"value": 0.1}, {"runtime": "onnxruntime"}, {"data": "test.jsonl"}, {"value": 0.9, "examples": 9}):
        found = taken(found, {**SCORE, **change}, tmp_path)
    assert [(score.runtime, score.data, score.value) for score in found.scores] == [
        ("onnxruntime", "validation.jsonl", 0.5),
        ("torch", "test.jsonl", 0.5),
        ("torch", "validation.jsonl", 0.9),
    ]


def test_a_bench_gives_scores_sizes_and_latency_of_the_two_models(record: Measurements, tmp_path: Path) -> None:
    found = taken(record, bench(bench_model(DENSE, 4), bench_model(OTHER, 3), bench_model(SMALL, 2)), tmp_path)
    assert [score.model for score in found.scores] == ["dense", "compressed"]
    (run,) = found.runs
    assert [(model.model, model.latency[0].median_ms) for model in run.models] == [
        ("dense", 4.0),
        ("compressed", 2.0),
    ]
    assert run.models[1].latency[0].speedup == 1.0


def test_ratios_to_another_model_than_the_base_are_left_out(record: Measurements, tmp_path: Path) -> None:
    found = taken(record, bench(bench_model(OTHER, 4), bench_model(DENSE, 3), bench_model(SMALL, 2)), tmp_path)
    for model in found.runs[0].models:
        assert (model.latency[0].speedup, model.latency[0].flops_ratio) == (None, None)


def difference(digest: str | None) -> dict[str, Any]:
    found = {"against": "/home/me/dense", "value": -0.25, "low": -0.5, "high": 0.25, "confidence": 0.95, "examples": 8}
    beside = {"f1": {"value": -0.125, "low": -0.25, "high": 0.0}}
    return {**found, "dense": 0.75, "beside": beside, "against_sha256": digest}


def test_a_difference_from_the_base_is_kept_and_tells_the_bases_metric(record: Measurements, tmp_path: Path) -> None:
    values = {"f1": 0.5}
    found = taken(record, {**SCORE, "beside": values, "difference": difference(DENSE)}, tmp_path)
    dense, small = found.scores
    assert (dense.model, dense.value, dense.beside, dense.sha256) == ("dense", 0.75, {"f1": 0.625}, DENSE)
    assert dense.difference is None
    assert small.difference is not None
    assert (small.difference.against, small.difference.low) == ("dense", -0.5)
    assert [score["model"] for score in found.to_json()["scores"] if "difference" in score] == ["compressed"]
    write_json(tmp_path / "measurements.json", found.to_json())
    assert load_measurements(tmp_path, DIGESTS) == found
    later = load_measurements(tmp_path, {**DIGESTS, "dense": OTHER})
    assert [(score.model, score.difference) for score in later.scores] == [("compressed", None)]


def test_under_another_runtime_than_torch_the_bases_metric_is_not_that_runtimes(
    record: Measurements, tmp_path: Path
) -> None:
    found = taken(record, {**SCORE, "runtime": "onnxruntime", "difference": difference(DENSE)}, tmp_path)
    (small,) = found.scores
    assert small.difference is not None


@pytest.mark.parametrize("digest", [OTHER, None])
def test_a_difference_from_something_else_is_left_out(digest: str | None, record: Measurements, tmp_path: Path) -> None:
    found = taken(record, {**SCORE, "difference": difference(digest)}, tmp_path)
    assert [(score.model, score.difference) for score in found.scores] == [("compressed", None)]
    compared = {**bench_model(SMALL, 2), "difference": difference(digest)}
    compared["runtimes"] = {"torch": {"file_bytes": 7, "value": 0.25, "difference": difference(digest)}}
    found = taken(record, bench(bench_model(OTHER, 4), compared), tmp_path)
    assert [score.difference for score in found.scores] == [None]


def test_a_bench_gives_the_differences_under_every_runtime(record: Measurements, tmp_path: Path) -> None:
    compared = bench_model(SMALL, 2)
    compared["runtimes"] = {"torch": {"file_bytes": 7, "value": 0.25, "difference": difference(DENSE)}}
    found = taken(record, bench(bench_model(DENSE, 4), compared), tmp_path)
    assert [score.difference is not None for score in found.scores] == [False, True]


def test_a_bench_of_speed_alone_gives_no_score(record: Measurements, tmp_path: Path) -> None:
    alone = {**bench_model(SMALL, 2), "metric": None, "value": None, "examples": None}
    found = taken(record, bench(alone, task=None, data=None), tmp_path)
    assert (found.scores, len(found.runs)) == ((), 1)


def test_runs_on_one_machine_replace_each_other_and_other_machines_stay(record: Measurements, tmp_path: Path) -> None:
    found = record
    for cpu, milliseconds in (("A", 1.0), ("B", 2.0), ("A", 3.0)):
        found = taken(found, bench(bench_model(SMALL, milliseconds), cpu=cpu), tmp_path)
    times = [(run.environment.cpu, run.models[0].latency[0].median_ms) for run in found.runs]
    assert times == [("B", 2.0), ("A", 3.0)]


def test_what_was_stored_is_read_back_and_other_weights_are_forgotten(record: Measurements, tmp_path: Path) -> None:
    found = taken(record, bench(bench_model(OTHER, 9), bench_model(DENSE, 4), bench_model(SMALL, 2)), tmp_path)
    found = taken(found, {**SCORE, "runtime": "onnxruntime"}, tmp_path)
    found = replace(found, published=Published("me/small"))
    write_json(tmp_path / "measurements.json", found.to_json())
    assert load_measurements(tmp_path, DIGESTS) == found
    later = load_measurements(tmp_path, {**DIGESTS, "compressed": OTHER})
    assert {row.model for row in (*later.scores, *later.runs[0].models)} == {"dense"}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({**SCORE, "sha256": OTHER}, f"measured on other weights ({OTHER[:24]}): this model's digest is {SMALL[:24]}"),
        (bench(bench_model(OTHER, 1)), "measured on other weights"),
        (bench(bench_model(None, 1)), "weights in several files"),
        (bench(), "measured on other weights (none)"),
        ({"value": 1}, "results.json has no model; measure again with this version's evaluate --json"),
        ({key: SCORE[key] for key in SCORE if key != "sha256"}, "results.json has no sha256; measure again"),
        (bench({key: value for key, value in bench_model(SMALL, 1).items() if key != "sha256"}), "[0] has no sha256"),
        (bench({**bench_model(SMALL, 1), "value": "x"}), "models[0].value is 'x', a number within"),
        (bench({**bench_model(SMALL, 1), "examples": None}), "models[0] has a metric and no examples; measure again"),
        (bench({**bench_model(SMALL, 1), "runtimes": {"torch": {}}}), "models[0].runtimes.torch has no file_bytes"),
        (bench({**bench_model(SMALL, 1), "runtimes": {"torch": {"file_bytes": 1}}}), "no value under 'torch'"),
        ({**SCORE, "value": "high"}, "value is 'high', a number within ±10^15 is needed; measure again"),
        ({**SCORE, "value": float("nan")}, "holds NaN or an infinite number"),
        ({**SCORE, "examples": True}, "examples is True, a whole number from 0 to 10^15 is needed"),
        ({**SCORE, "metric": None}, "metric is None, a text is needed"),
        ({**SCORE, "environment": 3}, "environment is 3, an object is needed"),
        ({"models": 3}, "models is 3, a list is needed"),
        ([1], "holds no JSON object"),
    ],
)
def test_what_proves_nothing_is_refused(value: Any, words: str, record: Measurements, tmp_path: Path) -> None:
    with pytest.raises(CardError) as caught:
        taken(record, value, tmp_path)
    assert words in str(caught.value)


def test_weights_in_several_files_are_never_taken_for_a_base_without_a_digest(tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", {**SCORE, "sha256": None})
    with pytest.raises(CardError, match="weights in several files"):
        with_results(Measurements(), tmp_path / "results.json", {"dense": None, "compressed": SMALL})


@pytest.mark.parametrize(("content", "words"), [("{", "is not readable JSON"), (None, "does not exist")])
def test_files_that_cannot_be_read(content: str | None, words: str, record: Measurements, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    with pytest.raises(CardError, match=words):
        with_results(record, tmp_path / "results.json", DIGESTS)


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ({"format": 9}, "has format 9, this version reads 1; read it with"),
        ({"format": 1, "scores": {}, "runs": []}, "scores is {}, a list is needed"),
        ({"format": 1, "published": [1], "scores": [], "runs": []}, "published is .1., an object or null is needed"),
    ],
)
def test_a_damaged_store_is_refused(stored: Any, words: str, tmp_path: Path) -> None:
    write_json(tmp_path / "measurements.json", stored)
    with pytest.raises(CardError, match=words):
        load_measurements(tmp_path, DIGESTS)
