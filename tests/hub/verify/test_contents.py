"""What a folder may hold: stray files, pickles, links and files that cannot be read are findings."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from fwsvd_export.hub.verify.folder import verify_folder
from tests.hub.verify.changed_files import found

Change = Callable[..., Path]
PICKLED = pickle.dumps({"weights": [1.0]})
HF_TOKEN = "hf_" + "aB3" * 11


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
        ("checkpoint-x/optimizer.pt", PICKLED, "checkpoint-x/", "is a folder that is no part of a checkpoint"),
        ("onnx/training_args.bin", b"", "onnx/training_args.bin", "is in a format (.bin) that can run code"),
        ("onnx.old/model.onnx", b"", "onnx.old/", "is a folder that is no part of a checkpoint"),
        ("pytorch_model.bin", b"", "pytorch_model.bin", "is in a format (.bin) that can run code when it is loaded"),
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


def test_what_the_trainer_left_is_neither_sent_nor_looked_into(changed: Change) -> None:
    names = ["training_args.bin", "optimizer.pt", "rng_state_0.pth", "trainer_state.json", "checkpoint-500/", "runs/"]
    secret = f"token {HF_TOKEN}".encode()
    folder = changed({name + "model.bin" * name.endswith("/"): secret for name in names})
    verified = verify_folder(folder)
    assert verified.findings == ()
    assert set(verified.training) == set(names)
    assert not [path for path in verified.files if path.partition("/")[0] in {name.strip("/") for name in names}]


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
