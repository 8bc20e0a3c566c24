"""The lines of Python that load a model from the Hub."""

from __future__ import annotations

from collections.abc import Container

from fwsvd_export.architectures.heads import head_of_auto_class
from fwsvd_export.storage.file_names import VOCABULARY_FILES


def loading_snippet(repo_id: str, commit: str, auto_class: str, files: Container[str], *, plain: bool = False) -> str:
    """Lines that load what was pushed, pinned to its commit, and its ONNX model when it has one.

    Args:
        repo_id: of the repository.
        commit: SHA.
        auto_class: that loads the model.
        files: paths in the repository.
        plain: whether the model is of its original architecture, so that no code of the repository is run.
    """
    trust = "" if plain else ", trust_remote_code=True"
    has_tokenizer = any(name in files for name in VOCABULARY_FILES)
    lines = [
        f"from transformers import {auto_class}" + (", AutoTokenizer" if has_tokenizer else ""),
        "",
        f'repo_id, revision = "{repo_id}", "{commit}"',
        f"model = {auto_class}.from_pretrained(repo_id, revision=revision{trust})",
    ]
    if has_tokenizer:
        lines.append(f"tokenizer = AutoTokenizer.from_pretrained(repo_id, revision=revision{trust})")
    onnx_class = head_of_auto_class(auto_class).ort_class
    if "onnx/model.onnx" in files and onnx_class is not None:
        lines += [
            "",
            "# ONNX, without remote code:",
            f"from optimum.onnxruntime import {onnx_class}",
            "",
            f"model = {onnx_class}.from_pretrained(",
            '    repo_id, revision=revision, subfolder="onnx", file_name="model.onnx"',
            ")",
        ]
    return "\n".join(lines)
