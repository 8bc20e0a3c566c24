"""The exported folder works in processes that can import neither torch nor this package."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from fwsvd_export import compress
from fwsvd_export.workflows.export import OnnxRequest, run_onnx
from fwsvd_export.workflows.source import Source

TEXTS = ["a very good movie but never dull", "poor cast", "the plot is not bad and the film was fine"]

PLAIN = """
import numpy, onnxruntime
from tokenizers import Tokenizer

folder, texts = sys.argv[1], json.loads(sys.argv[2])
tokenizer = Tokenizer.from_file(folder + "/tokenizer.json")
tokenizer.enable_padding()
encoded = tokenizer.encode_batch(texts)
inputs = {
    "input_ids": numpy.array([row.ids for row in encoded]),
    "attention_mask": numpy.array([row.attention_mask for row in encoded]),
    "token_type_ids": numpy.array([row.type_ids for row in encoded]),
}
answers = {}
for name in ("model.onnx", "model_quantized.onnx"):
    session = onnxruntime.InferenceSession(folder + "/" + name, providers=["CPUExecutionProvider"])
    answers[name] = session.run(["logits"], inputs)[0].tolist()
labels = json.load(open(folder + "/config.json"))["id2label"]
print(json.dumps({"answers": answers, "labels": labels, "blocked": [is_blocked(name) for name in BLOCKED]}))
"""

OPTIMUM = """
from optimum.onnxruntime import ORTModelForFeatureExtraction, ORTModelForSequenceClassification
from transformers import AutoTokenizer, pipeline

checkpoint, base, texts = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
folder = checkpoint + "/onnx"
tokenizer = AutoTokenizer.from_pretrained(folder)
batch = tokenizer(texts, padding=True, return_tensors="pt")
answers, from_root, scores = {}, {}, {}
for name in ("model.onnx", "model_quantized.onnx"):
    model = ORTModelForSequenceClassification.from_pretrained(folder, file_name=name)
    answers[name] = model(**batch).logits.tolist()
    rows = pipeline("text-classification", model=model, tokenizer=tokenizer)(texts, top_k=None)
    scores[name] = [{row["label"]: row["score"] for row in row} for row in rows]
    model = ORTModelForSequenceClassification.from_pretrained(checkpoint, subfolder="onnx", file_name=name)
    from_root[name] = model(**batch).logits.tolist()
hidden = ORTModelForFeatureExtraction.from_pretrained(base)(**batch).last_hidden_state
print(json.dumps({
    "answers": answers,
    "from_root": from_root,
    "scores": scores,
    "hidden": hidden.tolist(),
    "blocked": [is_blocked(name) for name in BLOCKED],
}))
"""


@pytest.fixture(scope="module")
def export(
    tiny_folder: Path, make_head: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Any, Path]]:
    """A function that compresses and exports a new model of a class: the model and its onnx folder."""

    def export(class_name: str) -> tuple[Any, Path]:
        model, folder = compress(make_head(class_name), method="svd", rank=5), tmp_path_factory.mktemp("small")
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(tiny_folder).save_pretrained(folder)
        exported = run_onnx(OnnxRequest(Source(str(folder), device="cpu"), int8=True))
        assert exported.within_atol
        return model, exported.folder

    return export


@pytest.fixture(scope="module")
def classifier(export: Callable[[str], tuple[Any, Path]]) -> tuple[Any, Path]:
    return export("BertForSequenceClassification")


@pytest.fixture(scope="module")
def batch(tiny_folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_folder)(TEXTS, padding=True, return_tensors="pt")


def assert_near(answers: dict[str, Any], expected: torch.Tensor) -> None:
    """The float model's answers are torch's; the quantised one's are near."""
    torch.testing.assert_close(torch.tensor(answers["model.onnx"]), expected, rtol=0, atol=1e-5)
    off = (torch.tensor(answers["model_quantized.onnx"]) - expected).abs().max()
    assert 0 < off < 0.2 * expected.abs().max()


def test_onnxruntime_and_tokenizers_alone(
    classifier: tuple[Any, Path], batch: Any, answer_of: Callable[..., Any]
) -> None:
    model, folder = classifier
    blocked = ["fwsvd_export", "torch", "transformers"]
    found = answer_of(PLAIN, blocked, folder, json.dumps(TEXTS))
    assert found["blocked"] == [True] * len(blocked)
    with torch.no_grad():
        assert_near(found["answers"], model(**batch).logits)
    assert found["labels"] == {str(index): name for index, name in model.config.id2label.items()}


def test_optimum_and_a_pipeline_run_the_folder_without_being_told_to_trust_it(
    classifier: tuple[Any, Path],
    export: Callable[[str], tuple[Any, Path]],
    batch: Any,
    answer_of: Callable[..., Any],
) -> None:
    pytest.importorskip("optimum.onnxruntime")  # optimum-onnx does not exist for transformers 5
    model, folder = classifier
    encoder, encoder_folder = export("BertModel")
    found = answer_of(OPTIMUM, ["fwsvd_export"], folder.parent, encoder_folder, json.dumps(TEXTS))
    assert found["blocked"] == [True]
    with torch.no_grad():
        logits, hidden = model(**batch).logits, encoder(**batch).last_hidden_state
    assert_near(found["answers"], logits)
    assert found["from_root"] == found["answers"]
    for name, answers in found["answers"].items():
        rows = torch.tensor(answers).softmax(dim=-1).tolist()
        expected = [{model.config.id2label[index]: score for index, score in enumerate(row)} for row in rows]
        for scores, wanted in zip(found["scores"][name], expected, strict=True):
            # A pipeline runs the texts one by one, and int8 scales belong to what is run together
            assert scores == pytest.approx(wanted, abs=1e-5 if name == "model.onnx" else 0.05)
    torch.testing.assert_close(torch.tensor(found["hidden"]), hidden, rtol=0, atol=1e-4)
