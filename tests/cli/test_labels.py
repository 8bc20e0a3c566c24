"""Labels at the command line: matched by name, checked against the head, and never reinterpreted in silence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from datasets import ClassLabel, Dataset, Features, Sequence, Value
from safetensors.torch import load_file

from fwsvd_export.architectures.registry import FAMILIES
from tests.helpers import WORDS, tiny_head

Run = Callable[..., Result]
Succeed = Callable[..., str]
Refused = Callable[..., str]
WriteRows = Callable[[list[dict[str, Any]]], Path]

NAMES = ("negative", "neutral", "positive")


@pytest.fixture(scope="module")
def save_head(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A model of any class with the two-class model's tokenizer: save_head(class_name, **settings); its folder."""

    def save(class_name: str, **settings: Any) -> Path:
        folder = tmp_path_factory.mktemp("heads") / class_name
        tiny_head(class_name, **settings).save_pretrained(folder)
        for file in tiny_folder.glob("*token*"):
            shutil.copy(file, folder)
        return folder

    return save


@pytest.fixture(scope="module")
def three_classes(save_head: Callable[..., Path]) -> Path:
    """A classifier with names in upper case."""
    names = [name.upper() for name in NAMES]
    settings = {"id2label": dict(enumerate(names)), "label2id": {name: number for number, name in enumerate(names)}}
    return save_head("BertForSequenceClassification", **settings)


@pytest.fixture(scope="module")
def texts(make_sentences: Callable[..., list[str]]) -> list[str]:
    return make_sentences(40)


@pytest.fixture(scope="module")
def right_names(three_classes: Path, texts: list[str]) -> list[str]:
    """What the three-class model says of every text."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(three_classes)
    tokenizer = AutoTokenizer.from_pretrained(three_classes)
    with torch.no_grad():
        return [NAMES[int(model(**tokenizer(text, return_tensors="pt")).logits.argmax())] for text in texts]


def write_parquet(file: Path, texts: list[str], labels: list[str], order: tuple[str, ...]) -> Path:
    """Rows whose label column holds numbers with names in some order."""
    features = Features({"text": Value("string"), "label": ClassLabel(names=list(order))})
    table = Dataset.from_dict({"text": texts, "label": [order.index(label) for label in labels]}, features=features)
    table.to_parquet(str(file))
    return file


@pytest.mark.parametrize("order", [NAMES, tuple(reversed(NAMES)), ("positive", "negative", "neutral")])
def test_names_in_a_files_type_are_matched_with_the_models(
    order: tuple[str, ...], three_classes: Path, texts: list[str], right_names: list[str], tmp_path: Path,
    succeed: Succeed,
) -> None:  # fmt: skip
    file = write_parquet(tmp_path / "rows.parquet", texts, right_names, order)
    data = ["--task", "classification", "--data", file]
    assert json.loads(succeed("evaluate", three_classes, *data, "--json"))["value"] == 1.0
    plain = tmp_path / "rows.jsonl"
    plain.write_text(
        "".join(json.dumps({"text": t, "label": n.title()}) + "\n" for t, n in zip(texts, right_names, strict=True))
    )
    for source, name in ((file, "typed"), (plain, "plain")):
        given = ["--task", "classification", "--data", source]
        succeed("fisher", three_classes, "-o", tmp_path / name, *given)
    typed, untyped = (load_file(tmp_path / name) for name in ("typed", "plain"))
    assert typed.keys() == untyped.keys()
    assert all(torch.equal(typed[name], untyped[name]) for name in typed)


def test_names_that_are_not_the_models_are_refused_with_both_lists_and_mapped_on_request(
    three_classes: Path, texts: list[str], right_names: list[str], tmp_path: Path, succeed: Succeed, refused: Refused
) -> None:
    stars = {"negative": "one", "neutral": "two", "positive": "three"}
    labels = [stars[name] for name in right_names]
    file = write_parquet(tmp_path / "rows.parquet", texts, labels, ("three", "one", "two"))
    data = ["--task", "classification", "--data", file]
    said = refused("evaluate", three_classes, *data)
    assert "rows.parquet, row 1: label " in said
    assert "NEGATIVE, NEUTRAL, POSITIVE" in said
    assert "the data's are three, one, two" in said
    assert "--label-map" in said
    mapped = ["--label-map", "one=negative,two=1,three=POSITIVE"]
    assert json.loads(succeed("evaluate", three_classes, *data, *mapped, "--json"))["value"] == 1.0
    unknown = refused("evaluate", three_classes, *data, "--label-map", "one=bad")
    assert "--label-map one=bad: 'bad' is not one of the model's 3 classes" in unknown


@pytest.mark.parametrize("words", ["one", "=0", "one=", "one=0,,two=1", ""])
def test_a_map_that_is_not_one_is_wrong_usage(words: str, three_classes: Path, data_file: Path, run: Run) -> None:
    result = run("evaluate", three_classes, "--task", "sst2", "--data", data_file, "--label-map", words)
    assert result.exit_code == 2
    assert "allowed" in result.stderr


def test_swapped_labels_are_noticed(
    three_classes: Path, texts: list[str], right_names: list[str], write_rows: WriteRows, run: Run
) -> None:
    wrong = {"negative": "positive", "neutral": "negative", "positive": "negative"}
    file = write_rows([{"text": t, "label": wrong[name]} for t, name in zip(texts, right_names, strict=True)])
    result = run("evaluate", three_classes, "--task", "classification", "--data", file, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["value"] == 0.0
    (hint,) = result.stderr.splitlines()[-1:]
    assert "accuracy is 0.0000 on 40 examples, below the 0.33 of guessing" in hint
    assert "--label-map" in hint


@pytest.mark.parametrize("family", FAMILIES)
def test_several_classes_go_through_every_command(
    family: str, save_head: Callable[..., Path], texts: list[str], write_rows: WriteRows, tmp_path: Path,
    succeed: Succeed,
) -> None:  # fmt: skip
    names = ("anger", "joy", "fear")
    model = save_head(
        f"{FAMILIES[family].prefix}ForSequenceClassification",
        id2label=dict(enumerate(names)),
        label2id={name: number for number, name in enumerate(names)},
        problem_type="multi_label_classification",
    )
    rows = [{"text": text, "labels": list(names[: index % 4])} for index, text in enumerate(texts)]
    data, out = ["--task", "multilabel", "--data", write_rows(rows)], tmp_path / "small"
    succeed("compress", model, out, *data, "--max-drop", 0.5)
    measured = json.loads(succeed("evaluate", out, *data, "--json"))
    assert measured["metric"] == "f1_micro"
    assert 0 < measured["value"] < 1
    assert 0 < measured["f1_macro"] < 1
    succeed("onnx", out)
    exported = json.loads(succeed("evaluate", out, *data, "--runtime", "onnxruntime", "--json"))
    assert exported["value"] == pytest.approx(measured["value"], abs=0.02)
    (tmp_path / "results.json").write_text(json.dumps(measured))
    succeed("card", out, "--results", tmp_path / "results.json")
    assert "f1_micro" in (out / "README.md").read_text()


@pytest.mark.parametrize(
    ("class_name", "settings", "task", "row", "said"),
    [
        (
            "BertForSequenceClassification", {"num_labels": 1}, "classification", {"text": "good", "label": 0},
            "task classification has one class, as a number or a name, and this model (BertForSequenceClassification "
            "with one output) does not predict that; choose one of stsb, regression",
        ),
        (
            "BertForSequenceClassification", {"problem_type": "multi_label_classification"}, "sst2",
            {"sentence": "good", "label": 0}, "choose one of multilabel",
        ),
        ("BertForTokenClassification", {}, "sst2", {"sentence": "good", "label": 0}, "choose one of ner, pos"),
        ("BertForMaskedLM", {}, "sst2", {"sentence": "good", "label": 0}, "no task measures such a model"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["evaluate", "fisher", "compress"])
def test_a_task_that_does_not_fit_the_head_is_refused_before_the_work(
    command: str, class_name: str, settings: dict[str, Any], task: str, row: dict[str, Any], said: str,
    save_head: Callable[..., Path], write_rows: WriteRows, tmp_path: Path, refused: Refused,
) -> None:  # fmt: skip
    model, data = save_head(class_name, **settings), ["--task", task, "--data", write_rows([row, row])]
    words = {"evaluate": [], "fisher": ["-o", tmp_path / "fisher"], "compress": [tmp_path / "out", "--rank", 4]}
    assert said in refused(command, model, *words[command], *data)


@pytest.fixture(scope="module")
def tagger(save_head: Callable[..., Path]) -> Path:
    """A token classifier whose classes were given no names."""
    return save_head("BertForTokenClassification", num_labels=3)


def test_tags_without_names_are_refused_and_take_those_that_are_given(
    tagger: Path, texts: list[str], write_rows: WriteRows, tmp_path: Path, succeed: Succeed, refused: Refused
) -> None:
    rows = [{"tokens": text.split(), "ner_tags": [len(word) % 3 for word in text.split()]} for text in texts]
    data = ["--task", "ner", "--data", write_rows(rows)]
    for words in (["evaluate", tagger], ["compress", tagger, tmp_path / "out", "--max-drop", 0.1]):
        said = refused(*words, *data)
        assert "LABEL_0, LABEL_1, LABEL_2" in said
        assert "--label-names O,B-TYPE,…" in said
        assert "--task pos" in said
    names = ["--label-names", "O,B-PER,I-PER"]
    scored = json.loads(succeed("evaluate", tagger, *data, *names, "--json"))
    features = Features(
        {"tokens": Sequence(Value("string")), "ner_tags": Sequence(ClassLabel(names=["O", "B-PER", "I-PER"]))}
    )
    table = Dataset.from_dict({name: [row[name] for row in rows] for name in rows[0]}, features=features)
    table.to_parquet(str(tmp_path / "rows.parquet"))
    typed = json.loads(succeed("evaluate", tagger, "--task", "ner", "--data", tmp_path / "rows.parquet", "--json"))
    assert scored["value"] == typed["value"]
    words = ["--task", "pos", *data[2:], "--label-column", "ner_tags"]
    assert json.loads(succeed("evaluate", tagger, *words, "--json"))["metric"] == "accuracy"
    assert "--label-names has 2 names (O, B), and the model has 3 classes" in refused(
        "evaluate", tagger, *data, "--label-names", "O,B"
    )


def test_the_target_search_and_int8_use_the_names(
    tagger: Path, texts: list[str], write_rows: WriteRows, tmp_path: Path, succeed: Succeed
) -> None:
    rows = [{"tokens": text.split(), "ner_tags": [len(word) % 3 for word in text.split()]} for text in texts]
    data = ["--task", "ner", "--data", write_rows(rows), "--label-names", "O,B-PER,I-PER"]
    report = json.loads(succeed("compress", tagger, tmp_path / "out", "--max-drop", 1, *data, "--json"))
    assert report["gate"]["metric"] == "entity_f1"
    exported = json.loads(succeed("onnx", tmp_path / "out", "--int8", *data, "--json"))
    assert exported["int8"]["metric"] == "entity_f1"
    results = json.loads(succeed("bench", tagger, tmp_path / "out", *data, "--rounds", 1, "--runtime", "torch",
                                 "--batch-sizes", 1, "--lengths", 8, "--json"))  # fmt: skip
    assert {model["metric"] for model in results["models"]} == {"entity_f1"}


def test_unknown_tokens_are_noticed(tiny_folder: Path, texts: list[str], write_rows: WriteRows, run: Run) -> None:
    foreign = [{"sentence": " ".join(reversed(text)), "label": index % 2} for index, text in enumerate(texts)]
    result = run("evaluate", tiny_folder, "--task", "sst2", "--data", write_rows(foreign))
    assert result.exit_code == 0
    (hint,) = [line for line in result.stderr.splitlines() if "unknown to the tokenizer" in line]
    assert "tokens of rows.jsonl (" in hint
    assert "is it the model's own" in hint
    few = [{"sentence": " ".join([*WORDS, "xylophone"]), "label": index % 2} for index in range(40)]
    result = run("evaluate", tiny_folder, "--task", "sst2", "--data", write_rows(few))
    assert "unknown" not in result.stderr


@pytest.mark.parametrize("command", ["fisher", "compress"])
@pytest.mark.parametrize("labels", [["no class"] * 40, None])
def test_sampled_labels_need_none_of_the_datas(
    labels: list[str] | None, command: str, tiny_folder: Path, texts: list[str], write_rows: WriteRows, tmp_path: Path,
    succeed: Succeed, refused: Refused,
) -> None:  # fmt: skip
    rows = [{"sentence": text} if labels is None else {"sentence": text, "label": labels[0]} for text in texts]
    data = ["--task", "sst2", "--data", write_rows(rows)]
    words = {"fisher": ["-o", tmp_path / "fisher"], "compress": [tmp_path / "out", "--rank", 4]}[command]
    assert "label" in refused(command, tiny_folder, *words, *data)
    succeed(command, tiny_folder, *words, *data, "--labels", "sampled")


def test_labels_that_nothing_reads_are_not_asked_for(
    tiny_folder: Path, statistics_file: Path, texts: list[str], write_rows: WriteRows, tmp_path: Path, succeed: Succeed
) -> None:
    file = write_rows([{"sentence": text} for text in texts])
    data = ["--task", "sst2", "--data", file, "--rank", 4]
    succeed("compress", tiny_folder, tmp_path / "reconstructed", "--fisher", statistics_file, *data)
