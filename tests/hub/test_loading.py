"""Lines that load a pushed model: valid Python, pinned to a commit, trusting no more than needed."""

from __future__ import annotations

import ast

import pytest

from fwsvd_export.hub.loading import loading_snippet


@pytest.mark.parametrize("plain", [True, False])
def test_code_of_the_repository_is_trusted_only_where_it_is_needed(plain: bool) -> None:
    lines = loading_snippet("me/small", "abc", "AutoModel", ["model.safetensors"], plain=plain)
    ast.parse(lines)
    assert ("trust_remote_code=True" in lines) is not plain
    assert 'repo_id, revision = "me/small", "abc"' in lines
    assert "optimum" not in lines


@pytest.mark.parametrize(
    ("auto_class", "onnx_class"),
    [
        ("AutoModelForSequenceClassification", "ORTModelForSequenceClassification"),
        ("AutoModelForPreTraining", None),
    ],
)
def test_an_onnx_file_is_loaded_by_the_class_that_reads_it(auto_class: str, onnx_class: str | None) -> None:
    lines = loading_snippet("me/small", "abc", auto_class, ["onnx/model.onnx"])
    ast.parse(lines)
    assert ("optimum.onnxruntime" in lines) is (onnx_class is not None)
    assert onnx_class is None or f"{onnx_class}.from_pretrained(" in lines


@pytest.mark.parametrize("files", [["model.safetensors"], ["model.safetensors", "tokenizer.json"]])
def test_a_tokenizer_is_loaded_where_there_is_one(files: list[str]) -> None:
    lines = loading_snippet("me/small", "abc", "AutoModel", files)
    ast.parse(lines)
    assert ("AutoTokenizer" in lines) == ("tokenizer.json" in files)
