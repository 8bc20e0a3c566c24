"""What a card says, and that no name from outside can make it say something else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from fwsvd_export.hub.card.base import read_base_card
from fwsvd_export.hub.card.markdown import block, code, one_line, plain
from fwsvd_export.hub.card.metadata import split_front_matter
from fwsvd_export.hub.card.write import render_card
from fwsvd_export.hub.verify.card import check_card
from fwsvd_export.solvers.table import SOLVERS

MakeFacts = Callable[..., dict[str, Any]]
HOSTILE = [
    "---\nlicense: mit\n---",
    "a\n---\nb: [",
    "`", "``` sh\nrm -rf /\n```", "|", "a|b", "<script>alert(1)</script>", "<!-- fwsvd-export:end summary -->",
    "[x](javascript:y)", "![i](http://x/y.png)", "*a* __b__ ~~c~~", "{{ 7 * 7 }} {% raw %}", "# h\n## h", "&lt;b&gt;",
    "\u202egnp.exe", "\x00begin results\x00", "\u2028---\u2028", "null", "1.0", "yes",
    ": &anchor *alias !!python/none", "",
]  # fmt: skip
texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40), st.lists(st.sampled_from(HOSTILE)).map("".join))


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


def test_metrics_of_the_base_alone_are_no_results_of_this_model(make_facts: MakeFacts) -> None:
    facts = make_facts()
    facts["measurements"]["scores"].pop()
    card = render_card(facts)
    assert "| 0.8842 |  |" in card
    assert "No metric was measured for this card." in card
    assert "model-index" not in metadata(card)


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


def test_a_record_of_before_gives_a_card(make_facts: MakeFacts) -> None:
    facts = make_facts()
    for name in ("base_revision", "base_weights", "base_card", "command"):
        del facts["compression"][name]
    del facts["compression"]["fisher"]["max_length"]
    card = render_card(facts)
    assert "compress some-bert" not in card
    assert "| weights file |  | 29.5 MB (float32) |" in card


@pytest.mark.parametrize("method", SOLVERS)
def test_every_method_is_cited_from_the_table(method: str, make_facts: MakeFacts) -> None:
    source = SOLVERS[method].source.partition(", arXiv")[0]
    assert f"The method `{method}`: {source}" in render_card(make_facts(compression={"method": method}))


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


def test_the_promise_and_the_failed_check_are_told(make_facts: MakeFacts) -> None:
    gate = {"metric": "accuracy", "max_drop": 0.01, "dense": 0.9, "validation": "v.jsonl", "validation_examples": 1500}
    check = {"atol": 1e-4, "within": False, "max_difference": 0.5, "shapes": 14}
    card = render_card(make_facts(compression={"gate": {**gate, "kept": False}}, onnx={"check": check}))
    assert "0.01 below the base's 0.9000 on 1,500 held-out examples of `v.jsonl`: NOT kept" in card
    assert "5.0e-01, NOT within the 1.0e-04" in card


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
@given(text=texts)
def test_names_cannot_change_what_a_card_is(text: str, make_facts: MakeFacts) -> None:
    card, tame = (render_card(facts_with(name, make_facts)) for name in (text, "name"))
    check_card(card)
    assert structure(card) == structure(tame)
    values = metadata(card)
    assert values["license"] == one_line(text)
    assert values["library_name"] == "transformers"
    assert values.keys() == metadata(tame).keys() or not one_line(text)
    assert render_card(facts_with(text, make_facts), card) == card


@given(text=texts)
def test_escaped_text_reads_as_it_was(text: str) -> None:
    parser = MarkdownIt("commonmark")
    for made, kind in ((plain(text), "text"), (code(text.replace("|", "")), "code_inline")):
        tokens = parser.parseInline(f"x{made}x")[0].children or []
        if one_line(text.replace("|", "") if kind == "code_inline" else text):
            shown = "".join(token.content for token in tokens)
            wanted = one_line(text.replace("|", "")) if kind == "code_inline" else one_line(text)
            assert shown == f"x{wanted}x"
            assert {token.type for token in tokens} <= {"text", "text_special", kind}


@given(text=texts)
def test_a_fence_ends_where_it_should(text: str) -> None:
    inner = one_line(text)
    (token,) = MarkdownIt("commonmark").parse(block(inner, "sh"))
    assert (token.type, token.content) == ("fence", f"{inner}\n")


def test_the_base_card_gives_license_language_and_data_sets(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlicense: mit\nlanguage: [en, 3]\ntags: [x]\ndatasets: imdb\n---\nText")
    assert read_base_card(tmp_path) == {"license": "mit", "language": ["en"], "datasets": "imdb"}


def test_norwegian_is_a_language_and_not_false(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlanguage: [no, en]\n---\nText")
    assert read_base_card(tmp_path) == {"language": ["no", "en"]}


@pytest.mark.parametrize(
    "content", [b"", b"# No front matter", b"---\n[\n---\n", b"---\n- a\n---\n", b"---\nx: \xff\n---\n"]
)
def test_a_base_card_that_cannot_be_read_gives_nothing(content: bytes, tmp_path: Path) -> None:
    assert read_base_card(tmp_path) == {}
    (tmp_path / "README.md").write_bytes(content)
    assert read_base_card(tmp_path) == {}
