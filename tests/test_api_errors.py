"""What a caller of the Python API can get wrong ends in one sentence: what came, what is allowed, what to do."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModel, GPT2Config, GPT2Model

import fwsvd_export as fe
from tests.api_calls import Batch, Call, batch, sentence_of
from tests.helpers import tiny_head


def reconstruct(model: Any, batches: Any) -> object:
    """Statistics of good batches, and the batches in question to reconstruct on."""
    return fe.compress(model, batches, statistics=fe.collect_statistics(model, [batch()]), rank=4)


ON_BATCHES: dict[str, Call] = {
    "collect_statistics": fe.collect_statistics,
    "compress": lambda model, batches: fe.compress(model, batches, method="kfac", rank=4),
    "compress of one pass": lambda model, batches: fe.compress(model, batches, method="fwsvd", rank=4),
    "compress to reconstruct": reconstruct,
    "evaluate": fe.evaluate,
}
on_batches = pytest.mark.parametrize("function", ON_BATCHES)
with_labels = pytest.mark.parametrize("function", [name for name in ON_BATCHES if name != "compress to reconstruct"])


@on_batches
@pytest.mark.parametrize(
    ("batches", "words"),
    [
        (batch(), ["one batch is given", "[batch]"]),
        ([], ["hold no examples", "at least one batch", "make it anew"]),
        (iter(()), ["hold no examples", "generator that was read before"]),
        (7, ["batches are of type int", "DataLoader or a list of batches is needed"]),
        ("train.jsonl", ["batches are of type str", "DataLoader or a list"]),
        ([torch.ones(3, 5)], ["a batch is a Tensor", "a mapping from the model's argument names"]),
        ([tuple(batch().values())], ["a batch is a tuple", "a mapping"]),
        ([batch(input_ids=None)], ["a batch has attention_mask, labels", "input_ids are needed", "return_tensors"]),
        ([{}], ["a batch has nothing", "input_ids are needed"]),
        ([batch(input_ids=[[2, 7, 3]])], ["input_ids are a list", "a tensor is needed", "return_tensors='pt'"]),
        ([batch(attention_mask=np.ones((3, 5)))], ["attention_mask are a ndarray", "a tensor is needed"]),
        ([batch(idx=torch.arange(3))], ["'idx'", "BertForSequenceClassification does not take", "and labels; leave"]),
        ([batch(sentence=["a", "b", "c"])], ["'sentence'", "it takes input_ids, attention_mask, token_type_ids"]),
        ([batch(label=torch.zeros(3))], ["'label'", "does not take", "and labels"]),
        ([batch(input_ids=torch.tensor([2, 7, 3]))], ["input_ids have the shape (3,)", "(examples, tokens) is needed"]),
        ([batch(input_ids=torch.zeros(0, 5, dtype=torch.long))], ["shape (0, 5)", "at least 1 each"]),
        ([batch(input_ids=torch.ones(3, 5))], ["input_ids are float32", "whole numbers (int64) are needed"]),
        ([batch(input_ids=torch.full((3, 5), 25))], ["input_ids 25", "knows 0 to 24", "tokenizer that belongs"]),
        ([batch(input_ids=torch.full((3, 5), -1))], ["input_ids -1", "knows 0 to 24"]),
        ([batch(token_type_ids=torch.full((3, 5), 2))], ["token_type_ids 2", "knows 0 to 1"]),
        ([batch(attention_mask=torch.ones(3, 4))], ["attention_mask have the shape (3, 4)", "(3, 5)", "and tokens"]),
        ([batch(labels=torch.tensor([0, 1]))], ["labels have the shape (2,)", "(3, 5)", "one per example"]),
        (
            [{"input_ids": torch.full((2, 65), 7), "labels": torch.tensor([0, 1])}],
            ["65 tokens per example", "the model takes 64", "truncation=True, max_length=64"],
        ),
    ],
)
def test_batches_that_do_not_fit(function: str, batches: Any, words: list[str], tiny_model: Any) -> None:
    again = copy.copy(batches) if isinstance(batches, list) else batches
    sentence = sentence_of(lambda: ON_BATCHES[function](tiny_model, again))
    assert all(word in sentence for word in words), sentence


@with_labels
@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (torch.tensor([0, 1, -1]), ["labels hold -1", "from 0 to 1", "config.id2label"]),
        (torch.tensor([0, 2, 1]), ["labels hold 2", "from 0 to 1", "config.id2label"]),
        (None, ["labels"]),
    ],
)
def test_labels_that_the_model_cannot_have(function: str, labels: Any, words: list[str], tiny_model: Any) -> None:
    sentence = sentence_of(lambda: ON_BATCHES[function](tiny_model, [batch(labels=labels)]))
    assert all(word in sentence for word in words), sentence


def test_float_labels_for_classes(tiny_model: Any) -> None:
    floats = [batch(labels=torch.tensor([0.0, 1.0, 1.0]))]
    sentence = sentence_of(lambda: fe.evaluate(tiny_model, floats))
    assert sentence == "labels are float32: class numbers from 0 to 1 are needed as int64; convert them with .long()"
    # transformers takes floating-point labels for several classes at once, unless the configuration says otherwise
    tiny_model.config.problem_type = "single_label_classification"
    assert sentence_of(lambda: fe.collect_statistics(tiny_model, floats)) == sentence
    tiny_model.config.problem_type = None
    sentence = sentence_of(lambda: fe.collect_statistics(tiny_model, floats))
    for word in ("labels of the type float32", "shape (3,)", "takes (3, 2)", "class numbers as int64"):
        assert word in sentence


@pytest.mark.parametrize(
    ("class_name", "changes", "labels", "words"),
    [
        (
            "BertForSequenceClassification",
            {"num_labels": 1},
            {"labels": torch.tensor([0.5, float("nan"), 1])},
            ["labels hold NaN or an infinite number", "leave these examples out"],
        ),
        (
            "BertForSequenceClassification",
            {"num_labels": 3, "problem_type": "multi_label_classification"},
            {"labels": torch.tensor([[0.0, 1, 0], [0, 0, 3], [1, 1, 1]])},
            ["labels hold 3", "0 or 1 is needed for every class"],
        ),
        (
            "BertForTokenClassification",
            {"num_labels": 4},
            {"labels": torch.zeros(3, 4, dtype=torch.long)},
            ["labels of the type int64 have the shape (3, 4)", "takes (3, 5)"],
        ),
        (
            "BertForTokenClassification",
            {"num_labels": 4},
            {"labels": torch.full((3, 5), 4)},
            ["labels hold 4", "from 0 to 3", "-100 for no label"],
        ),
        ("BertForMaskedLM", {}, {"labels": torch.full((3, 5), -7)}, ["labels hold -7", "from 0 to 24"]),
        (
            "BertForQuestionAnswering",
            {},
            {"labels": None, "start_positions": torch.tensor([0, -1, 2]), "end_positions": torch.tensor([1, 2, 2])},
            ["start_positions hold -1", "from 0 to 4"],
        ),
        (
            "BertForPreTraining",
            {},
            {"labels": torch.full((3, 5), 7), "next_sentence_label": torch.tensor([0, 1, 2])},
            ["next_sentence_label hold 2", "from 0 to 1"],
        ),
    ],
)
def test_labels_of_the_other_heads(class_name: str, changes: Batch, labels: Batch, words: list[str]) -> None:
    model = tiny_head(class_name, **changes)
    sentence = sentence_of(lambda: fe.collect_statistics(model, [batch(**labels)]))
    assert all(word in sentence for word in words), sentence


@pytest.mark.parametrize(
    ("task", "changes", "labels", "words"),
    [
        ("regression", {"num_labels": 1}, torch.tensor([0.5, float("inf"), 1]), ["labels hold NaN or an infinite"]),
        ("classification", {}, torch.zeros(3, 2, dtype=torch.long), ["labels have the shape (3, 2)", "needs (3,)"]),
        ("multilabel", {"num_labels": 3}, torch.full((3, 3), 2.0), ["labels hold 2", "0 or 1 is needed for every"]),
        ("multilabel", {"num_labels": 3}, torch.tensor([0, 1, 2]), ["labels have the shape (3,)", "needs (3, 3)"]),
        ("ner", {"num_labels": 4}, torch.full((3, 5), -5), ["labels hold -5", "0 to 3", "-100 for no label"]),
        ("ner", {"num_labels": 4}, torch.zeros(3, dtype=torch.long), ["shape (3,)", "needs (3, 5)", "choose the task"]),
    ],
)
def test_labels_of_the_other_tasks(task: str, changes: Batch, labels: Tensor, words: list[str]) -> None:
    head = "BertForTokenClassification" if task == "ner" else "BertForSequenceClassification"
    model = tiny_head(head, **changes)
    model.config.id2label = dict(enumerate(["O", "B-A", "I-A", "B-B"][: model.config.num_labels]))
    sentence = sentence_of(lambda: fe.evaluate(model, [batch(labels=labels)], task=task))
    assert all(word in sentence for word in words), sentence


def test_a_generator_that_was_used_up(tiny_model: Any) -> None:
    batches = (one for one in [batch()])
    statistics = fe.collect_statistics(tiny_model, batches)
    sentence = sentence_of(lambda: fe.compress(tiny_model, batches, statistics=statistics, rank=4))
    assert "a generator that was read before is empty, so make it anew or give a list" in sentence


def on_meta(model: Any) -> Any:
    return copy.deepcopy(model).to("meta")


def half_on_meta(model: Any) -> Any:
    other = copy.deepcopy(model)
    other.classifier.to("meta")
    return other


def in_bytes(model: Any) -> Any:
    other = copy.deepcopy(model)
    weight = other.bert.encoder.layer[0].output.dense.weight
    other.bert.encoder.layer[0].output.dense.weight = torch.nn.Parameter(weight.to(torch.uint8), requires_grad=False)
    return other


class Elsewhere(torch.nn.Parameter):
    """A parameter that says it is on a GPU."""

    device = torch.device("cuda:1")


def on_two_devices(model: Any) -> Any:
    other = copy.deepcopy(model)
    other.classifier.bias = Elsewhere(other.classifier.bias.detach())
    return other


def part_compiled(model: Any) -> Any:
    model.bert = torch.compile(model.bert, backend="eager")
    return model


def gpt2(model: Any) -> Any:
    return GPT2Model(GPT2Config(n_layer=1, n_embd=8, n_head=2, vocab_size=25))


ON_MODELS: dict[str, Call] = {
    "collect_statistics": lambda model, parent: fe.collect_statistics(model, [batch()]),
    "compress": lambda model, parent: fe.compress(model, method="svd", rank=4),
    "densify": lambda model, parent: fe.densify(model),
    "evaluate": lambda model, parent: fe.evaluate(model, [batch()]),
    "refine": lambda model, parent: fe.refine(model, model, [batch(), batch()]),
    "export_onnx": lambda model, parent: fe.export_onnx(model, parent / "onnx"),
    "bench": lambda model, parent: fe.bench(model, runtimes=["torch"]),
}


@pytest.mark.parametrize("function", ON_MODELS)
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda model: "my-model",
            ["the model is the text 'my-model'", "a model of transformers", "fwsvd_export.load"],
        ),
        (lambda model: None, ["the model is of type NoneType", "from_pretrained"]),
        (lambda model: model.state_dict(), ["the model is of type OrderedDict", "a model of transformers is needed"]),
        (lambda model: torch.nn.Linear(3, 3), ["the model is of type Linear"]),
        (on_meta, ["is on the meta device and has no values", "without offloading"]),
        (half_on_meta, ["classifier.weight is on the meta device", "load the model whole"]),
        (in_bytes, ["output.dense.weight is stored as uint8", "float32, float16 or bfloat16", "without quantization"]),
        (part_compiled, ["bert was compiled by itself", "before torch.compile, or compile the whole of it"]),
        (on_two_devices, ["several devices", "classifier.bias on cuda:1", "model.to('cpu')"]),
    ],
)
def test_what_is_not_a_model_to_work_on(
    function: str, damage: Call, words: list[str], tiny_model: Any, tmp_path: Any
) -> None:
    sentence = sentence_of(lambda: ON_MODELS[function](damage(tiny_model), tmp_path))
    assert all(word in sentence for word in words), sentence
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("function", [name for name in ON_MODELS if name != "densify"])
def test_another_architecture(function: str, tiny_model: Any, tmp_path: Any) -> None:
    sentence = sentence_of(lambda: ON_MODELS[function](gpt2(tiny_model), tmp_path))
    assert "'gpt2' is not supported; supported: bert, distilbert" in sentence
    assert list(tmp_path.iterdir()) == []


def shared_weight(model: Any) -> Any:
    layers = model.bert.encoder.layer
    layers[1].output.dense.weight = layers[0].output.dense.weight
    return model


def shared_module(model: Any) -> Any:
    model.bert.encoder.layer[1] = model.bert.encoder.layer[0]
    return model


@pytest.mark.parametrize("function", ["collect_statistics", "compress"])
@pytest.mark.parametrize("share", [shared_weight, shared_module])
def test_layers_that_share_weights(function: str, share: Call, tiny_model: Any, tmp_path: Any) -> None:
    sentence = sentence_of(lambda: ON_MODELS[function](share(tiny_model), tmp_path))
    assert "encoder.layer.1." in sentence
    assert "has the same weights in memory as encoder.layer.0." in sentence
    assert "give each its own with copy.deepcopy" in sentence


@pytest.mark.parametrize("function", ["collect_statistics", "compress"])
def test_a_model_made_under_inference_mode(function: str, tiny_folder: Any, tmp_path: Any) -> None:
    with torch.inference_mode():
        model = AutoModel.from_pretrained(tiny_folder)
        model = model.to(torch.float64).to(torch.float32)
    assert next(model.parameters()).is_inference()
    sentence = sentence_of(lambda: ON_MODELS[function](model, tmp_path))
    assert "was made under torch.inference_mode()" in sentence
    assert "load the model outside of that block" in sentence


def test_answers_are_cut_from_texts_that_batches_do_not_hold() -> None:
    model = tiny_head("BertForQuestionAnswering")
    said = sentence_of(lambda: fe.evaluate(model, [batch(labels=None)], task="squad"))
    assert "a batch has no windows, and answers are texts" in said
    assert "fwsvd-export evaluate --task squad" in said
