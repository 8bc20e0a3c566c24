"""``results.json`` of a bench reads and writes itself."""

from __future__ import annotations

from typing import Any

import pytest

from fwsvd_export.benchmark.result import BenchResult, display_names
from fwsvd_export.errors import CardError

TIMING = {"runtime": "torch", "batch_size": 1, "length": 8, "median_ms": 2.0, "p90_ms": 3.0}
TIMING |= {"round_medians_ms": [2.0], "speedup": 1.0, "flops_ratio": 1.0}
DIFFERENCE = {"against": "dense", "value": -0.25, "low": -0.5, "high": 0.0, "confidence": 0.95, "examples": 8}
DIFFERENCE |= {"dense": 0.75, "changed": 2, "against_sha256": None, "largest_cost": 1.0}
DIFFERENCE |= {"beside": {"accuracy": {"value": -0.125, "low": -0.25, "high": 0.0}}}
MODEL: dict[str, Any] = {
    "model": "small",
    "sha256": None,
    "parameters": 3,
    "file_bytes": 9,
    "metric": "f1",
    "value": 0.5,
    "examples": 8,
    "runtimes": {
        "torch": {
            "file_bytes": 9,
            "value": 0.5,
            "beside": {"accuracy": 0.75},
            "difference": DIFFERENCE,
            "throughput": {"sequences": 20, "batch_size": 8, "median": 10.5, "rounds": [10.0, 11.0], "gain": 1.5},
        }
    },
    "latency": [TIMING],
    "name": "small",
    "difference": DIFFERENCE,
}
ENVIRONMENT = {"cpu": "CPU", "cores": 2, "gpu": None, "threads": 1, "versions": {"torch": "2"}}
ENVIRONMENT |= {"rounds": 1, "repeats": 2, "task": "mrpc", "data": "v.jsonl"}


def read(environment: dict[str, Any] | None = None, **values: Any) -> BenchResult:
    document = {"models": [{**MODEL, **values}], "environment": {**ENVIRONMENT, **(environment or {})}}
    return BenchResult.from_json(document, "results.json", CardError)


def test_what_is_written_is_what_was_read() -> None:
    assert read().to_json() == {"models": [MODEL], "environment": ENVIRONMENT, "command": None}
    alone = {"metric": None, "value": None, "examples": None}
    assert read({"task": None, "data": None}, **alone).models[0].metric is None


def test_results_of_earlier_versions_have_no_differences() -> None:
    before = {name: value for name, value in MODEL.items() if name != "difference"}
    before["runtimes"] = {"torch": {"file_bytes": 9, "value": 0.5}}
    document = {"models": [before], "environment": ENVIRONMENT}
    (model,) = BenchResult.from_json(document, "results.json", CardError).models
    assert (model.difference, model.runtimes["torch"].difference) == (None, None)


def test_results_of_earlier_versions_have_no_names_and_are_read() -> None:
    document = {"models": [MODEL, MODEL], "environment": ENVIRONMENT}
    document["models"] = [{**MODEL, "model": f"{place}/small", "name": None} for place in "ab"]
    for model in document["models"]:
        del model["name"]
    result = BenchResult.from_json(document, "results.json", CardError)
    assert display_names(result.models) == ["a/small", "b/small"]
    assert display_names([result.models[0], read(name="other").models[0]]) == ["a/small", "other"]


@pytest.mark.parametrize(
    ("environment", "values", "reason"),
    [
        ({"threads": "x"}, {}, "environment.threads is 'x', a whole number from 0 to 10^15 or null is needed"),
        ({"data": None}, {}, "models[0] has a metric and no environment.data; measure again"),
        ({}, {"latency": [{**TIMING, "median_ms": None}]}, "models[0].latency[0].median_ms is None, a number within"),
        ({}, {"parameters": -1}, "models[0].parameters is -1, a whole number from 0"),
        ({}, {"runtimes": {"torch": {"file_bytes": 9, "value": None}}}, "has a metric and no value under 'torch'"),
    ],
)
def test_what_no_bench_writes_is_refused(environment: dict[str, Any], values: dict[str, Any], reason: str) -> None:
    with pytest.raises(CardError) as caught:
        read(environment, **values)
    assert str(caught.value).startswith("results.json")
    assert reason in str(caught.value)
    assert "measure again with this version's bench" in str(caught.value)


def test_other_names_stand_wherever_a_model_is_named() -> None:
    found = read().renamed({"small": "s", "dense": "d"}.__getitem__).models[0]
    assert found.model == "s"
    assert [one.against for one in (found.difference, found.runtimes["torch"].difference) if one] == ["d", "d"]
    alone = {key: value for key, value in MODEL.items() if key != "difference"}
    document = {"models": [alone], "environment": ENVIRONMENT}
    plain = BenchResult.from_json(document, "results.json", CardError).renamed(str.upper).models[0]
    assert (plain.model, plain.difference) == ("SMALL", None)
