"""What an owner wrote into a card is there, byte for byte, after the card was written again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwsvd_export.errors import CardError
from fwsvd_export.hub.card.blocks import marked, renewed
from fwsvd_export.hub.card.metadata import split_front_matter
from fwsvd_export.hub.card.write import render_card

MakeFacts = Callable[..., dict[str, Any]]
BLOCKS = {name: marked(name, f"## {name}") for name in ("summary", "results", "loading")}
lines = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    ["## Mine\r\n", "---\n", "\n\n"]
)
pieces = lines.filter(lambda text: "fwsvd-export" not in text)


def metadata(card: str) -> dict[str, Any]:
    values = split_front_matter(card)[1]
    assert values is not None
    return values


def front(text: str, *added: str) -> str:
    """The card with lines at the end of its front matter."""
    matter, _, body = split_front_matter(text)
    return matter.removesuffix("---\n") + "".join(f"{line}\n" for line in added) + "---\n" + body


@given(before=pieces, between=pieces, after=pieces, names=st.sets(st.sampled_from(list(BLOCKS)), min_size=1))
def test_text_around_blocks_survives_and_writing_again_changes_nothing(
    before: str, between: str, after: str, names: set[str]
) -> None:
    there = [name for name in BLOCKS if name in names]
    body = f"{before}\n" + f"\n{between}\n".join(marked(name, "old") for name in there) + f"\n{after}"
    found = renewed(body, BLOCKS)
    assert renewed(found, BLOCKS) == found
    assert found.startswith(f"{before}\n")
    assert found.endswith(f"\n{after}")
    assert found.count(f"\n{between}\n") >= len(there) - 1
    rest = found
    for block in BLOCKS.values():
        assert rest.count(block) == 1
        rest = rest.replace(block, "")
    missing = len(BLOCKS) - len(there)
    owner = f"{before}\n" + f"\n{between}\n" * (len(there) - 1) + f"\n{after}"
    assert len(rest) == len(owner) + 2 * missing, "nothing but an empty line beside each new block was added"


@given(body=pieces)
def test_a_body_without_markers_is_all_the_owners(body: str) -> None:
    found = renewed(body, BLOCKS)
    assert renewed(found, BLOCKS) == found
    assert not body.strip() or found.endswith(f"\n{body}")
    assert [name for name in BLOCKS if BLOCKS[name] in found] == list(BLOCKS)


def test_blocks_stay_where_the_owner_moved_them_and_new_ones_follow_their_neighbours() -> None:
    body = f"Mine.\n{BLOCKS['loading']}\nMine too.\n{BLOCKS['summary']}\n"
    found = renewed(body, BLOCKS)
    assert found == f"Mine.\n{BLOCKS['loading']}\nMine too.\n{BLOCKS['summary']}\n\n{BLOCKS['results']}\n"


def test_a_block_that_is_no_longer_made_is_taken_out() -> None:
    body = f"{BLOCKS['summary']}\nMine.\n{BLOCKS['results']}\nMine too.\n"
    assert renewed(body, {"summary": BLOCKS["summary"]}) == f"{BLOCKS['summary']}\nMine.\n\nMine too.\n"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<!-- fwsvd-export:begin results -->\nold", "has no partner"),
        ("<!-- fwsvd-export:end results -->\n", "has no partner"),
        ("<!-- fwsvd-export:begin results -->\n<!-- fwsvd-export:end summary -->", "has no partner"),
        (f"{BLOCKS['results']}\n{BLOCKS['results']}", "is there twice"),
    ],
)
def test_damaged_markers_are_refused(body: str, words: str) -> None:
    with pytest.raises(CardError, match=words):
        renewed(body, BLOCKS)


def test_sections_of_an_owner_survive_new_measurements(make_facts: MakeFacts) -> None:
    bare = render_card(make_facts(onnx=None, measurements={"scores": [], "runs": []}))
    place = "<!-- fwsvd-export:begin made -->"
    mine = "## Intended use\r\n\r\nOnly for *films*.  \n\n"
    edited = bare.replace(place, mine + place) + "\n## Thanks\n\nTo all"
    found = render_card(make_facts(), edited)
    assert mine + place in found
    assert found.endswith("\n## Thanks\n\nTo all")
    assert "## Measured" in found
    assert render_card(make_facts(), found) == found


def test_metadata_that_an_owner_added_or_changed_survive(make_facts: MakeFacts) -> None:
    facts = make_facts(compression={"base_card": {"license": "apache-2.0"}})
    card = front(render_card(facts), "thumbnail: mine.png", "inference: false").replace("apache-2.0", "mit")
    card = card.replace("tags:\n", "tags:\n- films\n").replace("pipeline_tag: text-classification", "pipeline_tag: x")
    later = make_facts(compression=facts["compression"])
    later["measurements"]["scores"][1]["value"] = 0.5
    values = metadata(render_card(later, card))
    assert (values["license"], values["thumbnail"], values["inference"]) == ("mit", "mine.png", False)
    assert values["pipeline_tag"] == "x"
    assert values["tags"][0] == "films"
    assert "onnx" in values["tags"]
    assert values["model-index"][0]["results"][0]["metrics"][0]["value"] == 0.5


def test_results_of_an_owner_stay_beside_ours(make_facts: MakeFacts) -> None:
    metric = {"type": "accuracy", "value": 0.9}
    theirs = {"task": {"type": "text-classification"}, "dataset": {"type": "imdb", "name": "IMDb"}, "metrics": [metric]}
    entry = {"name": "by-somebody", "results": [theirs]}
    owner = f"---\nmodel-index: [{entry}]\n---\n"
    values = metadata(render_card(make_facts(), owner))
    assert values["model-index"][0] == entry
    assert [entry["name"] for entry in values["model-index"]] == ["by-somebody", "some-bert-compressed"]


def test_results_of_weights_that_are_no_more_are_taken_out(make_facts: MakeFacts) -> None:
    entry = {"name": "by-somebody", "results": []}
    unmeasured = make_facts(measurements={"scores": [], "runs": []})
    card = render_card(make_facts())
    assert "model-index" in metadata(card)
    assert "model-index" not in metadata(render_card(unmeasured, card))
    card = render_card(make_facts(), f"---\nmodel-index: [{entry}]\n---\n")
    assert metadata(render_card(unmeasured, card))["model-index"] == [entry]


def test_a_language_stays_what_the_hub_reads(make_facts: MakeFacts) -> None:
    facts = make_facts()
    facts["measurements"]["scores"] = []
    card = render_card(facts, "---\nlanguage: no\ninference: false\n---\n")
    assert "language: 'no'\ninference: false\n" in card


def test_front_matter_that_says_all_stays_as_it_was_typed(make_facts: MakeFacts) -> None:
    card = front(render_card(make_facts()), "# a comment", "license: 'mit'")
    assert render_card(make_facts(), card) == card


def test_a_card_without_front_matter_gets_one(make_facts: MakeFacts) -> None:
    card = render_card(make_facts(), "# By hand\n")
    assert metadata(card)["library_name"] == "transformers"
    assert card.endswith("\n# By hand\n")


@pytest.mark.parametrize(("matter", "words"), [("a: [", "is not YAML"), ("- a", "no mapping")])
def test_damaged_front_matter_is_refused(matter: str, words: str, make_facts: MakeFacts) -> None:
    with pytest.raises(CardError, match=words):
        render_card(make_facts(), f"---\n{matter}\n---\n")
