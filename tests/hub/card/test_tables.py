"""Sizes, scores and latencies of dense and compressed stand side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fwsvd_export.hub.card.metadata import split_front_matter
from fwsvd_export.hub.card.write import render_card

MakeFacts = Callable[..., dict[str, Any]]


def metadata(card: str) -> dict[str, Any]:
    values = split_front_matter(card)[1]
    assert values is not None
    return values


def test_sizes_scores_and_latencies_stand_side_by_side(make_facts: MakeFacts) -> None:
    card = render_card(make_facts())
    assert "| all parameters | 22,713 | 10,425 |" in card
    assert "| weights file | 45.4 MB (float32) | 29.5 MB (float32) |" in card
    assert "| ONNX file, float32 | 91.0 MB | 59.0 MB |" in card
    assert "| ONNX file, int8 |  | 15.0 MB |" in card
    assert "| `validation.jsonl` (task `sst2`), 872 examples | `accuracy` | torch | 0.8842 | 0.8750 |" in card
    assert "| `f1` | torch | 0.7592 | 0.7500 |" in card
    assert "Latency on Some CPU, 4 cores, 2 threads (torch 2.13.0, python 3.11.7): medians over 5" in card
    assert "| torch | 1 × 32 | 9.8 (9.8) | 3.9 (3.9) | 2.50 × | 3.90 × |" in card


def test_a_difference_has_its_interval_where_it_was_measured(make_facts: MakeFacts) -> None:
    facts = make_facts()
    assert "| base | this model |\n" in render_card(facts), "no column of nothing"
    _, small = facts["measurements"]["scores"]
    small["difference"] = {"value": -0.0092, "low": -0.0206, "high": 0.0023, "confidence": 0.95, "beside": {}}
    card = render_card(facts)
    assert "| base | this model | difference |\n|---|---|---|---|---|---|\n" in card
    assert "| 0.8842 | 0.8750 | -0.0092 [-0.0206, +0.0023] (95 %) |\n" in card
    assert "| 0.7592 | 0.7500 |  |\n" in card
    small["difference"]["beside"] = {"f1": {"value": -0.01, "low": -0.02, "high": 0.0}}
    assert "| 0.7592 | 0.7500 | -0.0100 [-0.0200, +0.0000] (95 %) |\n" in render_card(facts)


def test_the_int8_files_metric_has_its_interval(make_facts: MakeFacts) -> None:
    measured = {"task": "sst2", "data": "v.jsonl", "examples": 872, "metric": "accuracy", "kept_float": 0}
    facts = make_facts()
    facts["onnx"]["int8"] |= {**measured, "float_value": 0.875, "value": 0.874}
    said = "its `accuracy` is 0.8740 against 0.8750 of `model.onnx`"
    assert f"{said}.\n" in render_card(facts)
    facts["onnx"]["int8"] |= {"low": -0.006, "high": 0.004, "confidence": 0.9}
    assert f"{said} (difference -0.0010 [-0.0060, +0.0040], 90 %).\n" in render_card(facts)


def test_a_single_round_is_told_as_one(make_facts: MakeFacts) -> None:
    facts = make_facts()
    facts["measurements"]["runs"][0]["environment"]["rounds"] = 1
    assert ": medians over one round of 10 calls, 90th percentiles in brackets." in render_card(facts)


def test_a_run_that_was_disturbed_says_so(make_facts: MakeFacts) -> None:
    facts = make_facts()
    assert "was not quiet" not in render_card(facts)
    facts["measurements"]["runs"][0]["models"][0]["latency"][0]["p90_ms"] = 19.6
    card = render_card(facts)
    assert "| 9.8 (19.6) | 3.9 (3.9) |" in card
    assert "The machine was not quiet" in card


def test_what_was_not_measured_is_absent(make_facts: MakeFacts) -> None:
    card = render_card(make_facts(onnx=None, measurements={"scores": [], "runs": []}))
    for words in ("## Measured", "onnx", "Latency", "accuracy"):
        assert words not in card
    assert "No metric was measured for this card." in card
    assert {"model-index", "metrics"}.isdisjoint(metadata(card))
