"""The exported folder works in processes that can import neither torch nor this package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from fwsvd_export import compress
from fwsvd_export.exporting import OnnxRequest, run_onnx
from fwsvd_export.pipeline import Source

TEXTS = ["a very good movie but never dull", "poor cast", "the plot is not bad and the film was fine"]

BLOCK = '''
import json, sys

class Blocked:
    """Makes every import of these packages fail, wherever they are installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())

def is_blocked(name):
    try:
        __import__(name)
    except ImportError:
        return name not in sys.modules
    return False
'''

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
import torch
from optimum.onnxruntime import ORTModelForFeatureExtraction, ORTModelForSequenceClassification
from transformers import AutoTokenizer, pipeline

folder, base, texts = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
tokenizer = AutoTokenizer.from_pretrained(folder)
batch = tokenizer(texts, padding=True, return_tensors="pt")
answers = {}
for name in ("model.onnx", "model_quantized.onnx"):
    model = ORTModelForSequenceClassification.from_pretrained(folder, file_name=name)
    answers[name] = model(**batch).logits.tolist()
model = ORTModelForSequenceClassification.from_pretrained(folder, file_name="model.onnx")
scores = pipeline("text-classification", model=model, tokenizer=tokenizer)(texts, top_k=None)
hidden = ORTModelForFeatureExtraction.from_pretrained(base)(**batch).last_hidden_state
print(json.dumps({
    "answers": answers,
    "scores": [{row["label"]: row["score"] for row in rows} for rows in scores],
    "hidden": hidden.tolist(),
    "blocked": [is_blocked(name) for name in BLOCKED],
}))
"""


def answer_of(program: str, blocked: list[str], folder: Path, *arguments: object) -> Any:
    """What a process without some packages prints."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_HOME": str(folder.parent / "home"), "HF_HUB_OFFLINE": "1"}
    source = f"BLOCKED = {blocked!r}\n{BLOCK}{program}"
    command = [sys.executable, "-c", source, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


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


def test_onnxruntime_and_tokenizers_alone(classifier: tuple[Any, Path], batch: Any) -> None:
    model, folder = classifier
    blocked = ["fwsvd_export", "torch", "transformers"]
    found = answer_of(PLAIN, blocked, folder, folder, json.dumps(TEXTS))
    assert found["blocked"] == [True] * len(blocked)
    with torch.no_grad():
        assert_near(found["answers"], model(**batch).logits)
    assert found["labels"] == {str(index): name for index, name in model.config.id2label.items()}


def test_optimum_loads_the_folder_without_being_told_to_trust_it(
    classifier: tuple[Any, Path], export: Callable[[str], tuple[Any, Path]], batch: Any
) -> None:
    pytest.importorskip("optimum.onnxruntime")  # optimum-onnx does not exist for transformers 5
    model, folder = classifier
    encoder, encoder_folder = export("BertModel")
    found = answer_of(OPTIMUM, ["fwsvd_export"], folder, folder, encoder_folder, json.dumps(TEXTS))
    assert found["blocked"] == [True]
    with torch.no_grad():
        logits, hidden = model(**batch).logits, encoder(**batch).last_hidden_state
    assert_near(found["answers"], logits)
    for scores, row in zip(found["scores"], logits.softmax(dim=-1), strict=True):
        assert scores == pytest.approx(
            {model.config.id2label[index]: float(p) for index, p in enumerate(row)}, abs=1e-5
        )
    torch.testing.assert_close(torch.tensor(found["hidden"]), hidden, rtol=0, atol=1e-4)
