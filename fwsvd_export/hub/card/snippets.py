"""The lines of a card that load and run the model; they run as they stand, without this package."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from fwsvd_export.architectures.heads import head_of_auto_class
from fwsvd_export.architectures.inputs import ENCODING_FIELDS
from fwsvd_export.architectures.registry import family_of_class
from fwsvd_export.checkpoints.sentence_modules import EMBEDDER
from fwsvd_export.data.tasks import TASKS
from fwsvd_export.hub.card.facts import Facts

_IDS, _OWN_IDS = "[1, 2, 3]", "of your own tokenizer"  # where there is none beside the model
_PAIR = '"What is a sentence?", "This is a sentence."'  # what a reranker scores
_LOCAL_NAME = "this-model"  # where no id is known: the reader's folder


@dataclass(frozen=True)
class Snippets:
    """Python text.

    Attributes:
        torch: through transformers, or sentence-transformers where the model is one of its.
        onnx: through onnxruntime and tokenizers alone.
        optimum: the last lines for optimum's reader; empty where it has none for this head.
    """

    torch: str
    onnx: str
    optimum: str

    @classmethod
    def of(cls, facts: Facts) -> Snippets:
        """The lines for a model's head, and its id on the Hub where it has one."""
        published = facts["measurements"]["published"] or {}
        repo_id, revision = published.get("repo_id"), published.get("revision") or "main"
        auto_class = facts["model"]["auto_class"]
        inputs = family_of_class(facts["model"]["class"]).inputs
        texts = ", ".join(json.dumps(text) for text in _texts(facts))
        return cls(
            _torch(auto_class, repo_id, revision, texts if _has_tokenizer(facts["model"]) else None, facts["model"]),
            _onnx(auto_class, inputs, repo_id, revision, texts if _has_tokenizer(facts["onnx"] or {}) else None),
            _optimum(auto_class),
        )


def _texts(facts: Facts) -> list[str]:
    """One text, or two where the task is about pairs."""
    tasks = [score["task"] for score in facts["measurements"]["scores"]]
    tasks.append((facts["compression"].get("fisher") or {}).get("task"))
    pairs = any(task in TASKS and TASKS[task].text_pair is not None for task in tasks)
    return ["This is a sentence.", "This is another one."] if pairs else ["This is a sentence."]


def _has_tokenizer(part: dict[str, Any]) -> bool:
    return bool(part.get("tokenizer", True))  # facts of before know no models without one


def _torch(auto_class: str, repo_id: str | None, revision: str, texts: str | None, model: dict[str, Any]) -> str:
    options = f"revision={json.dumps(revision)}" + ("" if model.get("plain") else ", trust_remote_code=True")
    hint = "" if repo_id else "  # its folder, or its id on the Hub"
    if sentence_class := model.get("sentence_class"):
        given = f"encode([{texts}])" if sentence_class == EMBEDDER else f"predict([({_PAIR})])"
        return "\n".join(
            [
                f"from sentence_transformers import {sentence_class}",
                "",
                f"name = {json.dumps(repo_id or _LOCAL_NAME)}{hint}",
                f"model = {sentence_class}(name, {options})",
                f"print(model.{given})",
            ]
        )
    in_float = "" if model["weights"]["dtype"] == "float32" else ".float()"
    loading = [
        f"name = {json.dumps(repo_id or _LOCAL_NAME)}{hint}",
        f"model = {auto_class}.from_pretrained(name, {options}){in_float}",
    ]
    if texts is None:
        given = f'inputs = {{"input_ids": torch.tensor([{_IDS}])}}  # {_OWN_IDS}'
        lines = ["import torch", f"from transformers import {auto_class}", "", *loading, given]
    else:
        lines = [
            f"from transformers import {auto_class}, AutoTokenizer",
            "",
            *loading,
            f"tokenizer = AutoTokenizer.from_pretrained(name, {options})",
            f'inputs = tokenizer({texts}, return_tensors="pt")',
        ]
    if head_of_auto_class(auto_class).has_choices:
        lines.append("inputs = {name: values[None] for name, values in inputs.items()}  # one question, one choice")
    return "\n".join([*lines, "print(model(**inputs)[0])"])


def _onnx(auto_class: str, inputs: tuple[str, ...], repo_id: str | None, revision: str, texts: str | None) -> str:
    lines = ["import numpy", "import onnxruntime"]
    if repo_id is None:
        where = json.dumps(f"{_LOCAL_NAME}/onnx")
    else:
        lines.append("from huggingface_hub import snapshot_download")
        arguments = f'{json.dumps(repo_id)}, revision={json.dumps(revision)}, allow_patterns="onnx/*"'
        where = f'snapshot_download({arguments}) + "/onnx"'
    if texts is None:
        imported = "from types import SimpleNamespace"
        encoded = f"SimpleNamespace(ids={_IDS}, attention_mask=[1, 1, 1], type_ids=[0, 0, 0])  # {_OWN_IDS}"
    else:
        imported = "from tokenizers import Tokenizer"
        encoded = f'Tokenizer.from_file(folder + "/tokenizer.json").encode({texts})'
    rows = "[[{}]]" if head_of_auto_class(auto_class).has_choices else "[{}]"
    return "\n".join(
        [
            *lines,
            imported,
            "",
            f"folder = {where}",
            f"encoded = {encoded}",
            "inputs = {",
            *(
                f'    "{name}": numpy.array({rows.format(f"encoded.{ENCODING_FIELDS[name]}")}, dtype=numpy.int64),'
                for name in inputs
            ),
            "}",
            'session = onnxruntime.InferenceSession(folder + "/model.onnx")  # or model_quantized.onnx, where it is',
            "print(session.run(None, inputs)[0])",
        ]
    )


def _optimum(auto_class: str) -> str:
    name = head_of_auto_class(auto_class).ort_class
    if name is None:
        return ""
    return (
        f"from optimum.onnxruntime import {name}\n\n"
        f'model = {name}.from_pretrained(folder, file_name="model.onnx")  # folder as above'
    )
