"""evaluate --against: how far a model is from another one on the same examples."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from transformers import AutoTokenizer, BertTokenizerFast

import fwsvd_export as fe
from fwsvd_export.storage.digest import file_sha256
from tests.helpers import SPECIAL, WORDS

Run = Callable[..., Result]
Succeed = Callable[..., str]
Refused = Callable[..., str]


@pytest.fixture
def task(data_file: Path) -> list[Any]:
    return ["--task", "sst2", "--data", data_file]


def said_by(folder: Path, data: Path) -> list[int]:
    """The class that a model chooses for every text, one at a time."""
    model, tokenizer = fe.load(folder), AutoTokenizer.from_pretrained(folder)
    texts = [json.loads(line)["sentence"] for line in data.read_text().splitlines()]
    with torch.no_grad():
        return [int(model(**tokenizer(text, return_tensors="pt")).logits.argmax()) for text in texts]


def test_the_difference_is_that_of_the_metrics_with_an_interval(
    tiny_folder: Path, compressed_folder: Path, data_file: Path, task: list[Any], succeed: Succeed
) -> None:
    found = json.loads(succeed("evaluate", compressed_folder, "--against", tiny_folder, *task, "--json"))
    values = [
        json.loads(succeed("evaluate", folder, *task, "--json"))["value"] for folder in (compressed_folder, tiny_folder)
    ]
    difference = found["difference"]
    assert found["value"] == values[0]
    assert (difference["dense"], difference["value"]) == (values[1], values[0] - values[1])
    assert difference["low"] < difference["value"] < difference["high"]
    assert (difference["against"], difference["confidence"], difference["examples"]) == (str(tiny_folder), 0.95, 48)
    assert difference["against_sha256"] == file_sha256(tiny_folder / "model.safetensors")
    pairs = zip(*(said_by(folder, data_file) for folder in (compressed_folder, tiny_folder)), strict=True)
    assert difference["changed"] == sum(ours != dense for ours, dense in pairs) > 0


def test_the_table_says_it_in_a_line(
    tiny_folder: Path, compressed_folder: Path, task: list[Any], succeed: Succeed
) -> None:
    words = ["evaluate", compressed_folder, "--against", tiny_folder, *task, "--confidence", 0.9]
    difference = json.loads(succeed(*words, "--json"))["difference"]
    ends = f"{difference['value']:+.4f} [{difference['low']:+.4f}, {difference['high']:+.4f}]"
    said = succeed(*words)
    assert f"against {tiny_folder}: {ends} (90 %, paired over 48 examples)\n" in said
    assert f"{difference['changed']} of 48 predictions differ\n" in said


def test_every_metric_of_a_task_has_its_interval(
    tiny_folder: Path,
    compressed_folder: Path,
    make_sentences: Callable[..., list[str]],
    write_rows: Any,
    succeed: Succeed,
) -> None:
    texts = make_sentences(40, seed=5)
    rows = [{"sentence1": text, "sentence2": "a film", "label": place % 2} for place, text in enumerate(texts)]
    words = ["evaluate", compressed_folder, "--against", tiny_folder, "--task", "mrpc", "--data", write_rows(rows)]
    difference = json.loads(succeed(*words, "--json"))["difference"]
    assert difference["beside"].keys() == {"f1"}
    lines = [line for line in succeed(*words).splitlines() if line.startswith(f"against {tiny_folder}: ")]
    assert [line.split()[2] for line in lines] == ["accuracy", "f1"]


def test_nothing_is_compared_unless_asked(tiny_folder: Path, task: list[Any], succeed: Succeed) -> None:
    assert json.loads(succeed("evaluate", tiny_folder, *task, "--json"))["difference"] is None
    assert "against" not in succeed("evaluate", tiny_folder, *task)


def test_a_model_is_no_different_from_itself(tiny_folder: Path, task: list[Any], succeed: Succeed) -> None:
    words = ["evaluate", tiny_folder, "--against", tiny_folder, *task]
    difference = json.loads(succeed(*words, "--json"))["difference"]
    assert [difference[name] for name in ("value", "low", "high", "changed")] == [0, 0, 0, 0]
    assert "+0.0000 [+0.0000, +0.0000] (95 %, paired over 48 examples)" in succeed(*words)


def test_the_seed_chooses_the_resamples(
    tiny_folder: Path, compressed_folder: Path, task: list[Any], succeed: Succeed
) -> None:
    words = ["evaluate", compressed_folder, "--against", tiny_folder, *task, "--json"]
    first, again, other = (
        json.loads(succeed(*words, "--seed", seed, "--max-samples", 48))["difference"] for seed in (0, 0, 1)
    )
    assert first == again
    assert {**first, "low": 0, "high": 0} == {**other, "low": 0, "high": 0}


@pytest.fixture
def other_tokenizer(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two-class model with a tokenizer that cuts some words in two, so that texts have another order by length."""
    folder = tmp_path_factory.mktemp("models") / "pieces"
    shutil.copytree(tiny_folder, folder, ignore=lambda place, names: {name for name in names if "token" in name})
    left_out = ("never", "always", "film", "movie")
    words = [word for word in WORDS if word not in left_out] + ["ne", "##ver", "al", "##ways"]
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join([*SPECIAL, *words]) + "\n")
    BertTokenizerFast(vocab=str(vocabulary), vocab_file=str(vocabulary)).save_pretrained(folder)
    return folder


def test_examples_are_compared_with_themselves_whatever_order_a_tokenizer_puts_them_in(
    tiny_folder: Path, other_tokenizer: Path, data_file: Path, task: list[Any], succeed: Succeed
) -> None:
    lengths = [
        [len(ids) for ids in AutoTokenizer.from_pretrained(folder)(["a never", "a film a", "always"])["input_ids"]]
        for folder in (tiny_folder, other_tokenizer)
    ]
    assert lengths == [[4, 5, 3], [5, 5, 4]]
    words = ["evaluate", other_tokenizer, "--against", tiny_folder, *task, "--batch-size", 5, "--json"]
    difference = json.loads(succeed(*words))["difference"]
    pairs = zip(*(said_by(folder, data_file) for folder in (other_tokenizer, tiny_folder)), strict=True)
    assert difference["changed"] == sum(ours != dense for ours, dense in pairs) > 0


@pytest.mark.parametrize("runtime", ["onnxruntime", "onnxruntime-int8", "openvino"])
def test_the_dense_model_runs_under_torch_whatever_runs_the_other_one(
    runtime: str, tiny_folder: Path, compressed_folder: Path, task: list[Any], tmp_path: Path, succeed: Succeed
) -> None:
    succeed("onnx", compressed_folder, "-o", tmp_path, "--int8")
    assert not (tiny_folder / "onnx").exists()
    words = ["--against", tiny_folder, *task, "--runtime", runtime, "--onnx", tmp_path, "--json"]
    found = json.loads(succeed("evaluate", compressed_folder, *words))
    dense = json.loads(succeed("evaluate", tiny_folder, *task, "--json"))["value"]
    assert found["runtime"] == runtime
    assert found["difference"]["dense"] == dense
    assert found["difference"]["value"] == found["value"] - dense


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--confidence", 0.9], 2, "--confidence is for --against, which is not given"),
        (["--against", "DENSE", "--confidence", 0.5], 1, "confidence 0.5: a number above 0.5 and below 1 is allowed"),
        (["--against", "DENSE", "--confidence", 1], 1, "confidence 1: a number above 0.5 and below 1 is allowed"),
        (["--against", "DENSE", "--confidence", "high"], 2, "'high' is not a valid float"),
        (["--against", "NOWHERE"], 1, "nowhere"),
    ],
)
def test_comparisons_that_make_no_sense_are_refused(
    options: list[Any], code: int, sentence: str, tiny_folder: Path, task: list[Any], tmp_path: Path, refused: Refused
) -> None:
    places = {"DENSE": tiny_folder, "NOWHERE": tmp_path / "nowhere"}
    given = [places.get(option, option) for option in options]
    assert sentence in refused("evaluate", tiny_folder, *given, *task, code=code)


def test_a_model_with_another_head_is_refused(
    tiny_folder: Path, ner_folder: Path, task: list[Any], refused: Refused
) -> None:
    assert refused("evaluate", tiny_folder, "--against", ner_folder, *task) == (
        f"Error: {ner_folder} is a BertForTokenClassification, and the model that is compared with it a "
        "BertForSequenceClassification: two models with the same head are needed; compare it with the model that it "
        "was made from"
    )


def test_a_model_with_other_classes_is_refused_unless_both_get_names(
    tiny_folder: Path, changed_model: Callable[..., Path], task: list[Any], refused: Refused, succeed: Succeed
) -> None:
    named = changed_model(id2label={"0": "bad", "1": "good"}, label2id={"bad": 0, "good": 1})
    sentence = refused("evaluate", tiny_folder, "--against", named, *task)
    assert re.fullmatch(
        r"Error: \S+ calls its classes bad, good, and the model that is compared with it LABEL_0, LABEL_1: the same "
        r"ones are needed; compare it with the model that it was made from, or name the classes of both with "
        r"--label-names",
        sentence,
    )
    words = ["evaluate", tiny_folder, "--against", named, *task, "--label-names", "bad,good", "--json"]
    assert json.loads(succeed(*words))["difference"]["changed"] == 0


def test_classes_in_another_order_are_matched_by_name(
    changed_model: Callable[..., Path], make_sentences: Callable[..., list[str]], write_rows: Any, succeed: Succeed
) -> None:
    """Two models with the same weights whose classes mean the opposite: where one is right, the other is wrong."""
    names = ({"0": "bad", "1": "good"}, {"0": "good", "1": "bad"})
    models = [changed_model(id2label=known, label2id={name: int(at) for at, name in known.items()}) for known in names]
    texts = make_sentences(30, seed=8)
    data = write_rows([{"sentence": text, "label": ("bad", "good")[place % 2]} for place, text in enumerate(texts)])
    words = ["evaluate", models[0], "--against", models[1], "--task", "sst2", "--data", data, "--json"]
    found = json.loads(succeed(*words))
    assert found["difference"]["dense"] == pytest.approx(1 - found["value"])
