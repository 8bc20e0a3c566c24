"""Tokens and keys are found in files and taken out of texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fwsvd_export.hub.verify.folder import verify_folder
from fwsvd_export.hub.verify.secrets import redacted
from tests.hub.verify.changed_files import edited, found

Change = Callable[..., Path]
HF_TOKEN = "hf_" + "aB3" * 11
AWS_KEY = "AKIA" + "Q7" * 8
GITHUB_TOKEN = "ghp_" + "x9" * 18


@pytest.mark.parametrize(
    ("name", "secret", "problem"),
    [
        ("README.md", HF_TOKEN, "holds a Hugging Face token"),
        ("vocab.txt", AWS_KEY, "holds an AWS key"),
        ("LICENSE", GITHUB_TOKEN, "holds a GitHub token"),
        ("onnx/model.onnx", "-----BEGIN RSA PRIVATE KEY-----", "holds a private key"),
        (".gitattributes", "the pusher's own", "holds the very token that pushes"),
    ],
)
def test_secrets_are_found_in_any_file_and_not_told(name: str, secret: str, problem: str, changed: Change) -> None:
    folder = changed({})
    path = folder / name
    before = path.read_bytes() if path.exists() else b""
    path.write_bytes(before + b"\n" + secret.encode() + b"\n")
    findings = verify_folder(folder, own_token="the pusher's own").findings
    assert problem in {finding.problem for finding in findings if finding.file == name}
    assert not any(secret in str(finding) for finding in findings)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"token": "abc"}, "token"),
        ({"hub": {"Auth-Token": "abc"}}, "hub.Auth-Token"),
        ({"tools": [{"openai_api_key": "abc"}]}, "tools[0].openai_api_key"),
        ({"password": "abc"}, "password"),
        ({"aws_secret_access_key": "abc"}, "aws_secret_access_key"),
    ],
)
def test_values_under_keys_for_secrets(values: dict[str, Any], key: str, checkpoint: Path, changed: Change) -> None:
    folder = changed({"tokenizer_config.json": edited(checkpoint / "tokenizer_config.json", **values)})
    problems = found(folder)
    assert problems == {"tokenizer_config.json": f"has a value under the key {key!r}, which is for secrets"}


def test_words_of_a_vocabulary_and_empty_values_are_no_secrets(checkpoint: Path, changed: Change) -> None:
    values = {"use_auth_token": True, "token": None, "api_key": "", "cls_token": "[CLS]", "vocab": {"password": 7}}
    assert found(changed({"tokenizer_config.json": edited(checkpoint / "tokenizer_config.json", **values)})) == {}


def test_the_end_of_a_word_is_no_key_and_a_key_is_one(changed: Change, checkpoint: Path) -> None:
    card, key = (checkpoint / "README.md").read_text(), "sk-" + "aB3_" * 8
    name = "risk-classification-of-news-in-many-languages-task-of-some-length-and-more"
    assert found(changed({"README.md": f"{card}\nSee {name}.\n".encode()})) == {}
    assert redacted(f"{name}: {key}") == f"{name}: ***"


def test_json_that_cannot_be_read(changed: Change) -> None:
    folder = changed({"tokenizer_config.json": b"{", "onnx/export.json": b"[" * 100_000})
    problems = found(folder)
    assert problems["tokenizer_config.json"].startswith("is not readable JSON")
    assert "onnx/export.json" in problems


def test_findings_hold_no_secret_that_a_library_repeated(changed: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    from fwsvd_export.hub.verify.findings import Finding

    told = [Finding("config.json", f"does not load: Bearer abc, {HF_TOKEN}", "try again")]
    monkeypatch.setattr("fwsvd_export.hub.verify.folder.check_loading", lambda *arguments: told)
    assert found(changed({})) == {"config.json": "does not load: Bearer ***, ***"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"with {HF_TOKEN}.", "with ***."),
        ("{'authorization': 'Bearer abc'}", "{'authorization': 'Bearer ***'}"),
        ("for url: https://a/b?X-Amz-Signature=abc&size=7", "for url: https://a/b?X-Amz-Signature=***&size=7"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_texts_are_shown_without_secrets(text: str, expected: str) -> None:
    assert redacted(text) == expected
