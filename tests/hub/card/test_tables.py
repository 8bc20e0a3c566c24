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
