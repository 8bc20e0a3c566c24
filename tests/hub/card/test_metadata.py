"""The front matter of a card: base model, data sets, results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fwsvd_export.hub.card.metadata import split_front_matter
from fwsvd_export.hub.card.write import render_card

MakeFacts = Callable[..., dict[str, Any]]


def metadata(card: str) -> dict[str, Any]:
    values = split_front_matter(card)[1]
    assert values is not None
    return values


def test_the_metadata_name_base_data_and_results(make_facts: MakeFacts) -> None:
    base = {"base_model": "someone/some-bert", "base_revision": "ef" * 20}
    inherited = {"license": "other", "license_name": "own", "license_link": "LICENSE", "language": ["en"]}
    facts = make_facts(compression={**base, "base_card": {**inherited, "datasets": "imdb"}})
    for score in facts["measurements"]["scores"]:
        score["data"] = "someone/glue:sst2 (validation)"
    card = render_card(facts)
    values = metadata(card)
    assert {name: values[name] for name in inherited} == inherited
    assert (values["base_model"], values["base_model_relation"]) == ("someone/some-bert", "quantized")
    assert (values["library_name"], values["pipeline_tag"]) == ("transformers", "text-classification")
    assert values["tags"] == ["fwsvd-export", "low-rank", "compression", "kfac", "onnx"]
    assert (values["datasets"], values["metrics"]) == (["imdb", "someone/glue"], ["accuracy", "f1"])
    (entry,) = values["model-index"]
    (result,) = entry["results"]
    assert entry["name"] == "some-bert-compressed"
    assert result["dataset"] == {
        "type": "someone/glue",
        "name": "someone/glue:sst2 (validation)",
        "config": "sst2",
        "split": "validation",
        "args": {"examples": 872},
    }
    assert [(metric["type"], metric["value"]) for metric in result["metrics"]] == [("accuracy", 0.875), ("f1", 0.75)]
    assert "- English only, as its base." in card
    assert f"(revision `{'ef' * 20}`)" in card


@pytest.mark.parametrize(("name", "base_id"), [("some-bert", None), ("someone/some-bert", "someone/some-bert")])
def test_only_an_id_of_the_hub_is_a_base_model(name: str, base_id: str | None, make_facts: MakeFacts) -> None:
    values = metadata(render_card(make_facts(compression={"base_model": name})))
    assert values.get("base_model") == base_id
    assert ("base_model_relation" in values) == (base_id is not None)
