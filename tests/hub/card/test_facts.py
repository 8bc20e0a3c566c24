"""What a card is made from, also where the record is of an earlier version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fwsvd_export.hub.card.write import render_card
from tests.helpers import BOUND

MakeFacts = Callable[..., dict[str, Any]]


def test_a_record_of_before_gives_a_card(make_facts: MakeFacts) -> None:
    facts = make_facts()
    for name in ("base_revision", "base_weights", "base_card", "command"):
        del facts["compression"][name]
    del facts["compression"]["fisher"]["max_length"]
    card = render_card(facts)
    assert "compress some-bert" not in card
    assert "| weights file |  | 29.5 MB (float32) |" in card


def test_limits_follow_from_the_facts(make_facts: MakeFacts) -> None:
    card = render_card(make_facts())
    assert "The share of 25.0 % counts" in card
    assert "calibrated on 2,048 examples of `train.jsonl` (task `sst2`)" in card
    assert "at most 512 tokens; texts longer than 128 were cut" in card
    assert "`model_quantized.onnx` rounds activations" in card
    other = {"fisher": None, "base_card": {"language": ["de", "fr"]}, "embeddings": {"rank": 4, "shape": [9, 8]}}
    weights = {"bytes": 1, "dtype": "float16", "sha256": "ab" * 32}
    card = render_card(make_facts(compression=other, onnx=None, model={"weights": weights}))
    assert "No data was looked at" in card
    assert "these languages, and no others: de, fr" in card
    assert "Norms, biases, pooler and head are not counted" in card
    assert "stored as float16" in card
    assert "model_quantized" not in card


def test_the_bound_of_int8_sums_is_one_sentence(make_facts: MakeFacts) -> None:
    def card(**int8: Any) -> str:
        facts = make_facts()
        facts["onnx"]["int8"] = {"max_difference": 0.25, **int8}
        return render_card(facts)

    bounded = "two products of bytes add up to at most 32,640, and those without VNNI instructions hold 32,767."
    assert f"No processor cuts its sums off: {bounded}" in card(saturation=BOUND)
    for unknown in (None, {**BOUND, "safe": False}):  # of an earlier version, or of somebody else
        text = card(saturation=unknown)
        assert "on processors without VNNI instructions its answers can be wrong" in text
        assert "`fwsvd-export onnx --int8 --overwrite` writes one that is right" in text
    assert "processor" not in card(saturation={**BOUND, "matrices": 0}), "nothing in it is multiplied in 8 bits"
    assert "processor" not in card(), "facts of before say nothing"
