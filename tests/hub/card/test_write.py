"""What a card says, and that no name from outside can make it say something else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from markdown_it import MarkdownIt

from fwsvd_export.hub.card.markdown import one_line
from fwsvd_export.hub.card.metadata import split_front_matter
from fwsvd_export.hub.card.write import render_card
from fwsvd_export.hub.verify.card import check_card
from fwsvd_export.solvers.table import SOLVERS
from tests.hub.card.hostile_texts import texts

MakeFacts = Callable[..., dict[str, Any]]


def metadata(card: str) -> dict[str, Any]:
    values = split_front_matter(card)[1]
    assert values is not None
    return values


def test_metrics_of_the_base_alone_are_no_results_of_this_model(make_facts: MakeFacts) -> None:
    facts = make_facts()
    facts["measurements"]["scores"].pop()
    card = render_card(facts)
    assert "| 0.8842 |  |" in card
    assert "No metric was measured for this card." in card
    assert "model-index" not in metadata(card)


@pytest.mark.parametrize("method", SOLVERS)
def test_every_method_is_cited_from_the_table(method: str, make_facts: MakeFacts) -> None:
    source = SOLVERS[method].source.partition(", arXiv")[0]
    assert f"The method `{method}`: {source}" in render_card(make_facts(compression={"method": method}))


def test_the_promise_and_the_failed_check_are_told(make_facts: MakeFacts) -> None:
    gate = {"metric": "accuracy", "max_drop": 0.01, "dense": 0.9, "validation": "v.jsonl", "validation_examples": 1500}
    check = {"atol": 1e-4, "within": False, "max_difference": 0.5, "shapes": 14}
    card = render_card(make_facts(compression={"gate": {**gate, "kept": False}}, onnx={"check": check}))
    assert "0.01 below the base's 0.9000 on 1,500 held-out examples of `v.jsonl`: MISSED" in card
    assert "5.0e-01, NOT within the 1.0e-04" in card
    card = render_card(make_facts(compression={"gate": {**gate, "kept": True, "confidence": 0.95}}))
    assert "0.01 below the base's 0.9000, with 95 % confidence, on 1,500 held-out examples of `v.jsonl`: met" in card


def test_the_card_quotes_the_command_for_a_shell(make_facts: MakeFacts) -> None:
    words = ["fwsvd-export", "compress", "my model", "out", "--keep-dense", "encoder.*"]
    assert "```sh\nfwsvd-export compress 'my model' out --keep-dense 'encoder.*'\n```" in render_card(
        make_facts(compression={"command": words})
    )


def structure(card: str) -> list[str]:
    """The kinds of Markdown elements, whatever text they hold."""
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse(split_front_matter(card)[2]):
        found.append(f"{token.type} {token.tag}")
        if token.type == "inline":
            found += [
                child.type for child in token.children or [] if child.type not in ("text", "softbreak", "code_inline")
            ]
    return found


def facts_with(text: str, make_facts: MakeFacts) -> dict[str, Any]:
    """Facts in which every name that comes from outside is this text."""
    card = dict.fromkeys(("license", "license_name", "license_link"), text)
    facts = make_facts(
        compression={
            "base_model": text,
            "base_revision": "ef" * 20,
            "base_card": {**card, "language": [text, text], "datasets": [text]},
            "command": ["fwsvd-export", text, text],
            "fisher": {"task": text, "data": text, "examples": 1, "labels": text, "max_length": 8},
            "versions": {text: text},
        }
    )
    facts["measurements"]["runs"][0]["environment"].update(cpu=text, versions={text: text})
    for score in facts["measurements"]["scores"]:
        score.update(task=text, data=text, runtime=text, metric=text)
    return facts


@settings(max_examples=50)
@given(text=texts.filter(lambda text: text != "f1"))  # a figure that the scores have: its rows would be another's
def test_names_cannot_change_what_a_card_is(text: str, make_facts: MakeFacts) -> None:
    card, tame = (render_card(facts_with(name, make_facts)) for name in (text, "name"))
    check_card(card)
    assert structure(card) == structure(tame)
    values = metadata(card)
    assert values["license"] == one_line(text)
    assert values["library_name"] == "transformers"
    assert values.keys() == metadata(tame).keys() or not one_line(text)
    assert render_card(facts_with(text, make_facts), card) == card
