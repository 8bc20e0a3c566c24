"""A card that the Hub would refuse is refused here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fwsvd_export.errors import CardError
from fwsvd_export.hub.card.write import render_card
from fwsvd_export.hub.verify.card import check_card

TOP = "library_name: transformers\ntags: [a]\n"
RESULT = "{task: {type: t}, dataset: {type: d, name: d}, metrics: [{type: accuracy, value: %s}]}"


def test_generated_cards_pass(make_facts: Callable[..., Any]) -> None:
    check_card(render_card(make_facts()))
    check_card(render_card(make_facts(onnx=None, measurements={"scores": [], "runs": []})))
    check_card(render_card(make_facts(compression={"base_card": {"license": ["mit", "cc0-1.0"], "language": "no"}})))


@pytest.mark.parametrize(
    ("matter", "words"),
    [
        ("library_name: [", "is not YAML"),
        ("text", "no mapping"),
        ("tags: [a]", "has no library_name"),
        ("library_name: transformers", "has no tags"),
        (TOP + "license_name: [mine]", "license_name is ['mine'], a text is needed; correct it"),
        (TOP + "license: [1]", "license is [1], a list of texts is needed; correct it"),
        (TOP + "language: 3", "language is 3, a list of texts is needed"),
        (TOP + "datasets: [no, 1]", "datasets is ['no', 1], a list of texts"),
        (TOP + "model-index: yes", "model-index of README.md is no list"),
        (TOP + "model-index: [{results: []}]", "model-index of README.md is damaged"),
        (TOP + "model-index: [{name: m, results: [{task: {}}]}]", "model-index of README.md is damaged"),
        (TOP + f"model-index: [{{name: m, results: [{RESULT % '.nan'}]}}]", "holds nan for accuracy"),
        (TOP + f"model-index: [{{name: m, results: [{RESULT % '[1]'}]}}]", "model-index of README.md is damaged"),
    ],
)
def test_damaged_front_matter_is_named(matter: str, words: str) -> None:
    with pytest.raises(CardError) as caught:
        check_card(f"---\n{matter}\n---\n# Card\n")
    assert words in str(caught.value)


def test_a_card_without_front_matter_or_with_a_broken_block_is_refused() -> None:
    with pytest.raises(CardError, match="has no front matter"):
        check_card("# Card\n")
    with pytest.raises(CardError, match="no partner"):
        check_card(f"---\n{TOP}---\n<!-- fwsvd-export:begin results -->\n")


def test_several_entries_of_results_pass() -> None:
    entries = ", ".join(f"{{name: {name}, results: [{RESULT % '0.5'}]}}" for name in "ab")
    check_card(f"---\n{TOP}model-index: [{entries}]\n---\n")
