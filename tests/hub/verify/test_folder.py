"""What verification finds in folders that are not fit for the Hub; that a model loads is tested in test_fresh.py."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from fwsvd_export.errors import CheckpointError
from fwsvd_export.hub.verify.folder import Verified, verify_folder
from fwsvd_export.hub.verify.secrets import redacted

Change = Callable[..., Path]
PICKLED = pickle.dumps({"weights": [1.0]})
HF_TOKEN = "hf_" + "aB3" * 11
AWS_KEY = "AKIA" + "Q7" * 8
GITHUB_TOKEN = "ghp_" + "x9" * 18


@pytest.fixture(autouse=True)
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Leaves the fresh process out; the Auto classes that it would have been started for."""
    asked: list[str] = []

    def check_loading(folder: Path, auto_class: str) -> list[Any]:
        asked.append(auto_class)
        return []

    monkeypatch.setattr("fwsvd_export.hub.verify.folder.check_loading", check_loading)
    return asked


def found(folder: Path) -> dict[str, str]:
    """File -> problem."""
    findings = verify_folder(folder).findings
    assert all(finding.advice for finding in findings)
    return {finding.file: finding.problem for finding in findings}


def edited(path: Path, **values: Any) -> bytes:
    """The JSON object of a file with other values."""
    return json.dumps({**json.loads(path.read_text()), **values}).encode()


def test_a_finished_checkpoint_is_fit(checkpoint: Path, loads: list[str]) -> None:
    verified: Verified = verify_folder(checkpoint)
    assert verified.findings == ()
    assert verified.auto_class == "AutoModelForSequenceClassification"
    assert loads == ["AutoModelForSequenceClassification"]
    paths = [path for path in checkpoint.rglob("*") if path.is_file()]
    assert verified.files == {path.relative_to(checkpoint).as_posix(): path.stat().st_size for path in paths}


def test_legal_texts_and_attributes_belong_to_a_checkpoint(changed: Change) -> None:
    files = {"LICENSE": b"Apache", "NOTICE.txt": b"", ".gitattributes": b"*.onnx filter=lfs\n"}
    assert found(changed(files)) == {}


@pytest.mark.parametrize(
    ("name", "content", "file", "problem"),
    [
        ("notes.txt", b"mine", "notes.txt", "is no part of a checkpoint"),
        (".env", b"A=1", ".env", "is no part of a checkpoint"),
        ("handler.py", b"", "handler.py", "is no part of a checkpoint"),
        ("onnx/notes.txt", b"mine", "onnx/notes.txt", "is no part of a checkpoint"),
        ("__pycache__/a.pyc", b"", "__pycache__/", "is a folder that is no part of a checkpoint"),
        ("checkpoint-500/optimizer.pt", PICKLED, "checkpoint-500/", "is a folder that is no part of a checkpoint"),
        ("onnx.old/model.onnx", b"", "onnx.old/", "is a folder that is no part of a checkpoint"),
        ("training_args.bin", b"", "training_args.bin", "is in a format (.bin) that can run code when it is loaded"),
        ("model.PT", b"", "model.PT", "is in a format (.PT) that can run code when it is loaded"),
        ("vocab.txt", PICKLED, "vocab.txt", "is a pickle, or an archive, which can run code when it is loaded"),
        (
            "LICENSE",
            b"PK\x03\x04data.pkl",
            "LICENSE",
            "is a pickle, or an archive, which can run code when it is loaded",
        ),
        ("model.safetensors", PICKLED, "model.safetensors", "is no safetensors file"),
        ("red\x1b[31m.txt", b"", "'red\\x1b[31m.txt'", "is no part of a checkpoint"),
    ],
)
def test_stray_files_and_pickles(name: str, content: bytes, file: str, problem: str, changed: Change) -> None:
    assert found(changed({name: content}))[file].startswith(problem)


def test_a_safetensors_header_that_begins_like_a_pickle_is_none(changed: Change) -> None:
    folder = changed({})
    weights = folder / "model.safetensors"
    tensors, short = load_file(weights), 0
    # The file begins with the header's length; 0x80 0x02 is how a pickle begins
    while weights.read_bytes()[:2] != b"\x80\x02":
        short += 1
        assert short < 10_000
        save_file({key: tensors[key] for key in list(tensors)[:1]}, weights, metadata={"pad": " " * short})
    assert found(folder)["model.safetensors"] == "does not hold the weights that compression.json describes"


@pytest.mark.parametrize("name", ["README.md", "compression.json", "modeling_lowrank_bert.py"])
def test_a_missing_file_is_named(name: str, changed: Change) -> None:
    assert found(changed({name: None})) == {name: "is missing"}


def test_links_are_refused_and_not_followed(changed: Change, tmp_path: Path) -> None:
    folder = changed({"README.md": None})
    secret = tmp_path / "secret.txt"
    secret.write_text(HF_TOKEN)
    (folder / "README.md").symlink_to(secret)
    (folder / "LICENSE").symlink_to(folder / "tokenizer.json")
    shutil.move(folder / "onnx", tmp_path / "onnx")
    (folder / "onnx").symlink_to(tmp_path / "onnx")
    verified = verify_folder(folder)
    link = "is a link, not a file"
    assert found(folder) == {"README.md": link, "LICENSE": link, "onnx": link}
    assert not {"README.md", "LICENSE", "onnx/model.onnx"} & set(verified.files)


def test_what_is_no_file_is_not_opened(changed: Change) -> None:
    folder = changed({"README.md": None})
    os.mkfifo(folder / "README.md")  # reading it would wait for ever
    assert found(folder) == {"README.md": "is not a plain file"}


def test_an_unreadable_file_is_named(changed: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = changed({})
    monkeypatch.setattr("os.access", lambda path, mode: not str(path).endswith("tokenizer.json"))
    assert found(folder) == dict.fromkeys(("tokenizer.json", "onnx/tokenizer.json"), "cannot be read")


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
    assert problems["tokenizer_config.json"] == "is not readable JSON"
    assert "onnx/export.json" in problems


def test_an_onnx_model_that_failed_its_check_is_not_sent(checkpoint: Path, changed: Change) -> None:
    path = "onnx/export.json"
    check = {**json.loads((checkpoint / path).read_text())["check"], "within": False}
    problem = "says that the ONNX model is further from torch than --atol allows"
    assert found(changed({path: edited(checkpoint / path, check=check)})) == {path: problem}


def test_foreign_code_is_found_and_never_run(changed: Change, checkpoint: Path, loads: list[str]) -> None:
    name = "modeling_lowrank_bert.py"
    folder = changed({name: (checkpoint / name).read_bytes() + b"\nprint('hello')\n"})
    assert found(folder) == {name: "is not the code that this installation writes"}
    assert loads == []


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("config.json", {"AutoConfig": "somebody/code--configuration_lowrank_bert.LowRankBertConfig"}),
        ("config.json", {"AutoConfig": "other.Config"}),
        ("tokenizer_config.json", {"AutoTokenizer": [None, "tokens.Fast"]}),
        ("onnx/config.json", {"AutoConfig": "configuration_lowrank_bert.LowRankBertConfig"}),
    ],
)
def test_configurations_may_name_no_other_code(
    path: str, named: dict[str, Any], checkpoint: Path, changed: Change, loads: list[str]
) -> None:
    before = json.loads((checkpoint / path).read_text()).get("auto_map", {})
    problems = found(changed({path: edited(checkpoint / path, auto_map={**before, **named})}))
    assert problems[path].startswith("names code that is not in this folder, ")
    assert loads == []


def test_a_configuration_without_a_class_of_ours(checkpoint: Path, changed: Change, loads: list[str]) -> None:
    folder = changed({"config.json": edited(checkpoint / "config.json", architectures=["BertModel"])})
    assert found(folder) == {"config.json": "names no class that its code has"}
    assert loads == []


def test_weights_that_are_not_those_of_the_record(changed: Change) -> None:
    folder = changed({})
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"] += 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert found(folder) == {
        "model.safetensors": "does not hold the weights that compression.json describes",
        "onnx/export.json": "was made from other weights than this folder's",
    }
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    assert found(folder) == {
        "model.safetensors": "is missing, compression.json names it",
        "model-00001-of-00001.safetensors": "is no part of a checkpoint",
    }


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"files": None}, "files is None, an object is needed; compress the model again"),
        ({"files": {}}, "holds no digest of the weights"),
        ({"files": []}, "files is [], an object is needed; compress the model again"),
    ],
)
def test_a_record_without_digests(content: dict[str, Any], problem: str, checkpoint: Path, changed: Change) -> None:
    folder = changed({"compression.json": edited(checkpoint / "compression.json", **content)})
    (found_file, told) = next(iter(found(folder).items()))
    assert found_file == "compression.json"
    assert told.endswith(problem)


def test_a_record_that_is_no_object(changed: Change) -> None:
    assert found(changed({"compression.json": b"[1]"}))["compression.json"].endswith(
        "holds no JSON object; compress the model again"
    )


def test_onnx_files_that_are_not_those_of_the_record(checkpoint: Path, changed: Change) -> None:
    graph = (checkpoint / "onnx" / "model.onnx").read_bytes()
    folder = changed({"onnx/model.onnx": graph + b"\x00", "onnx/other.onnx": graph})
    expected = "is not the file that export.json describes"
    assert found(folder) == {"onnx/model.onnx": expected, "onnx/other.onnx": expected}
    (folder / "onnx" / "model.onnx").unlink()
    (folder / "onnx" / "other.onnx").unlink()
    assert found(folder) == {"onnx/model.onnx": "is missing, export.json names it"}
    (folder / "onnx" / "export.json").unlink()
    problem = "is missing, so nobody knows what the ONNX files were made from"
    assert found(folder) == {"onnx/export.json": problem}


@pytest.mark.parametrize(
    ("card", "problem"),
    [
        (b"# A model\n", "README.md has no front matter between lines ---"),
        (b"---\n---\n# A model\n", "README.md has no front matter between lines ---"),
        (b"---\ntags: [\n---\n# A model\n", "the front matter of README.md is not YAML"),
        (b"---\ntags: \xff\n---\n", "is not UTF-8"),
        (
            b"---\nlibrary_name: [a]\ntags: [a]\n---\n",
            "the front matter of README.md: library_name is ['a'], a text is",
        ),
    ],
)
def test_cards_that_the_hub_would_not_accept(card: bytes, problem: str, changed: Change) -> None:
    (finding,) = verify_folder(changed({"README.md": card})).findings
    assert finding.problem.startswith(problem)
    assert finding.advice not in ("", finding.problem)


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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "holds no model: it has no config.json"),
        (b"{", "is not readable JSON"),
        (b"[]", "holds no JSON object"),
        (b"{}", "holds no compressed checkpoint (model_type None)"),
        (b'{"model_type": "gpt2"}', "holds no compressed checkpoint (model_type 'gpt2')"),
        (b'{"model_type": ["lowrank_bert"]}', "holds no compressed checkpoint (model_type ['lowrank_bert'])"),
    ],
)
def test_what_is_no_checkpoint_of_ours(content: bytes | None, message: str, changed: Change) -> None:
    with pytest.raises(CheckpointError) as raised:
        verify_folder(changed({"config.json": content}))
    assert message in str(raised.value)


def test_dense_models_and_missing_folders_are_refused(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds no compressed checkpoint \(model_type 'bert'\); only what"):
        verify_folder(tiny_folder)
    with pytest.raises(CheckpointError, match="is not a folder; give the folder that fwsvd-export compress wrote"):
        verify_folder(tmp_path / "nowhere")
