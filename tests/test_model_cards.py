"""The committed cards are what the committed results give, and every number in them is in the results."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fwsvd_export.hub.card.metadata import split_front_matter
from fwsvd_export.hub.card.write import render_card
from fwsvd_export.hub.verify.card import check_card

FOLDER = Path(__file__).parent.parent / "model_cards"
NAMES = ["sst2", "stsb", "cola"]
# Key in the results -> how the card writes its value; other whole numbers have commas, other fractions all digits
WRITTEN = {
    "value": "{:.4f}",
    "pearson": "{:.4f}",
    "spearman": "{:.4f}",
    "median_ms": "{:.1f}",
    "p90_ms": "{:.1f}",
    "speedup": "{:.2f}",
    "flops_ratio": "{:.2f}",
    "max_difference": "{:.1e}",
    "atol": "{:.1e}",
}
MEGABYTES = {"bytes", "file_bytes", "model.onnx", "model_quantized.onnx"}
# Of the generator's own sentences: names of types and formats, and the oldest transformers
OWN_WORDS = ("SHA-256", "float16", "float32", "int8", "8 bits", "4.48 or newer", "90th")
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]\d+)?")


def facts_of(name: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return facts


def card_of(name: str) -> str:
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """(key, value) of everything in a JSON document, the keys of objects too."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield "", name
            yield from leaves(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, key)
    else:
        yield key, value


def written(facts: dict[str, Any]) -> set[str]:
    """Every number as a card may write it."""
    found = set()
    for key, value in leaves(facts):
        if isinstance(value, str):
            found.update(NUMBER.findall(value))
        elif value is not None and not isinstance(value, bool):
            found |= {f"{value:,}", f"{value}", WRITTEN.get(key, "{}").format(value)}
            if key in MEGABYTES:
                found.add(f"{value / 1e6:.1f}")
            if key == "ratio":
                found.add(f"{100 * value:.1f}")
    return found


def prose(card: str) -> str:
    """The card without blocks of code, links, and the generator's own words."""
    text = re.sub(r"^```\w*\n.*?^```$", "", card, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^The method .*", "", text, flags=re.MULTILINE)  # a citation
    for words in OWN_WORDS:
        text = text.replace(words, "")
    return text


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_what_its_results_give(name: str) -> None:
    assert card_of(name) == render_card(facts_of(name))
    check_card(card_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_every_number_in_the_card_is_in_its_results(name: str) -> None:
    found = NUMBER.findall(prose(card_of(name)))
    assert len(found) > 50
    assert set(found) <= written(facts_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_number_would_be_noticed(name: str) -> None:
    value = next(score for score in facts_of(name)["measurements"]["scores"] if score["model"] == "compressed")["value"]
    changed = f"{value + 0.0123:.4f}"
    assert f"{value:.4f}" in card_of(name)
    assert changed not in written(facts_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_both_models_were_measured_under_every_runtime(name: str) -> None:
    facts = facts_of(name)
    models = {score["model"]: score["sha256"] for score in facts["measurements"]["scores"]}
    assert models == {
        "dense": facts["compression"]["base_sha256"],
        "compressed": facts["model"]["weights"]["sha256"],
    }
    runtimes = {"torch", "onnxruntime", "onnxruntime-int8"}
    for model in models:
        rows = [score for score in facts["measurements"]["scores"] if score["model"] == model]
        assert {score["runtime"] for score in rows} == runtimes
        assert {score["data"] for score in rows} == {"validation.jsonl"}
    (run,) = facts["measurements"]["runs"]
    assert [model["model"] for model in run["models"]] == ["dense", "compressed"]
    assert facts["compression"]["parameters"]["ratio"] <= 0.25


@pytest.mark.parametrize("name", NAMES)
def test_no_folder_of_the_machine_is_told(name: str) -> None:
    values = split_front_matter(card_of(name))[1]
    assert values is not None
    for text in [value for _, value in leaves([facts_of(name), values]) if isinstance(value, str)]:
        assert not text.startswith(("/", "~", ".."))
        assert not re.search(r"/(home|root|tmp|work|Users)/", text)
