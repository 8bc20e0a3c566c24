"""Optimum's own export of a compressed checkpoint, with and without this package."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoTokenizer

from fwsvd_export import compress, register_with_optimum
from fwsvd_export.errors import MissingExtraError

# Head -> optimum's task, its class, and what of the model it exports: it has no tasks for the last two heads
TASKS = {
    "BertModel": ("feature-extraction", "ORTModelForFeatureExtraction", ["last_hidden_state"]),
    "BertForMaskedLM": ("fill-mask", "ORTModelForMaskedLM", ["logits"]),
    "BertForSequenceClassification": ("text-classification", "ORTModelForSequenceClassification", ["logits"]),
    "BertForTokenClassification": ("token-classification", "ORTModelForTokenClassification", ["logits"]),
    "BertForQuestionAnswering": (
        "question-answering",
        "ORTModelForQuestionAnswering",
        ["start_logits", "end_logits"],
    ),
    "BertForMultipleChoice": ("multiple-choice", "ORTModelForMultipleChoice", ["logits"]),
    "BertForNextSentencePrediction": ("feature-extraction", "ORTModelForFeatureExtraction", ["last_hidden_state"]),
    "BertForPreTraining": ("feature-extraction", "ORTModelForFeatureExtraction", ["last_hidden_state"]),
}

EXPORT = """
import torch
import optimum.onnxruntime
from optimum.exporters.onnx import main_export

answers = {}
for name, job in json.loads(sys.argv[1]).items():
    main_export(job["folder"], output=job["out"], task=job["task"], trust_remote_code=True)
    ort_class = getattr(optimum.onnxruntime, job["class"])
    inputs = {key: torch.tensor(value) for key, value in job["inputs"].items()}
    found = ort_class.from_pretrained(job["out"], trust_remote_code=True)(**inputs)
    answers[name] = {output: getattr(found, output).tolist() for output in job["outputs"]}
config = json.load(open(job["out"] + "/config.json"))
try:
    ort_class.from_pretrained(job["out"])
    untrusted = "loaded"
except ValueError as error:
    untrusted = str(error)
again = ort_class.from_pretrained(job["folder"], export=True, trust_remote_code=True)(**inputs)
print(json.dumps({
    "answers": answers,
    "again": {output: getattr(again, output).tolist() for output in job["outputs"]},
    "model_type": config["model_type"],
    "untrusted": untrusted,
    "blocked": [is_blocked(name) for name in BLOCKED],
}))
"""


def test_optimum_exports_every_head_without_this_package(
    make_head: Callable[..., Any],
    head_inputs: Callable[[str], dict[str, Tensor]],
    tiny_folder: Path,
    tmp_path: Path,
    answer_of: Callable[..., Any],
) -> None:
    pytest.importorskip("optimum.onnxruntime")  # optimum-onnx does not exist for transformers 5
    jobs, expected = {}, {}
    for head, (task, ort_class, outputs) in TASKS.items():
        model, folder = compress(make_head(head), method="svd", rank=5), tmp_path / f"{head}-small"
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(tiny_folder).save_pretrained(folder)
        inputs = head_inputs(head)
        inputs["token_type_ids"] = torch.arange(9).expand_as(inputs["input_ids"]).remainder(2)
        jobs[head] = {
            "folder": str(folder),
            "out": str(tmp_path / f"{head}-onnx"),
            "task": task,
            "class": ort_class,
            "outputs": outputs,
            "inputs": {name: tensor.tolist() for name, tensor in inputs.items()},
        }
        with torch.no_grad():
            found = (model.base_model if outputs == ["last_hidden_state"] else model)(**inputs)
        expected[head] = {name: getattr(found, name) for name in outputs}
    answer = answer_of(EXPORT, ["fwsvd_export"], json.dumps(jobs))
    assert answer["blocked"] == [True]
    assert answer["answers"].keys() == TASKS.keys()
    last = list(TASKS)[-1]
    for head, outputs in [*answer["answers"].items(), (last, answer["again"])]:
        for name, values in outputs.items():
            torch.testing.assert_close(torch.tensor(values), expected[head][name], rtol=0, atol=1e-4)
    # Its folder keeps the configuration of the checkpoint, code and all
    assert answer["model_type"] == "lowrank_bert"
    assert "trust_remote_code=True" in answer["untrusted"]


def test_a_registered_model_type_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    manager: Any = pytest.importorskip("optimum.exporters.onnx.model_configs").TasksManager
    table = manager._SUPPORTED_MODEL_TYPE
    monkeypatch.setitem(table, "lowrank_bert", {})  # so that the table is as before when the test has ended
    for _ in range(2):
        register_with_optimum()
        tasks = {
            name: manager.get_supported_tasks_for_model_type(name, "onnx", library_name="transformers")
            for name in ("bert", "lowrank_bert")
        }
        assert {task for task, _, _ in TASKS.values()} == tasks["lowrank_bert"].keys() == tasks["bert"].keys()
        for task, constructor in tasks["lowrank_bert"].items():
            assert (constructor.func, constructor.keywords) == (tasks["bert"][task].func, {"task": task})


def test_without_optimum_the_line_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optimum.exporters.onnx.model_configs", None)
    with pytest.raises(MissingExtraError) as caught:
        register_with_optimum()
    assert str(caught.value) == 'this needs optimum-onnx, which is not installed: pip install "fwsvd-export[optimum]"'
