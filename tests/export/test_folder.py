"""What lies beside the ONNX file, whom it belongs to, and how it is run."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoConfig

from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.errors import ExportError
from fwsvd_export.export.folder import open_exported, plain_settings, write_surroundings
from fwsvd_export.export.identity import Identity
from fwsvd_export.export.place import Place
from fwsvd_export.export.session import OnnxModel
from fwsvd_export.storage.file_names import ONNX_FILE, ONNX_FOLDER

IDENTITY = Identity("small", "LowRankBertForSequenceClassification", "a" * 64, "b" * 64, "{}")


@pytest.fixture(scope="module")
def place(graph: Any, small_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with onnx/, stamped with IDENTITY. Do not write into it."""
    parent = tmp_path_factory.mktemp("place")
    folder = parent / ONNX_FOLDER
    folder.mkdir()
    stamped = onnx.ModelProto()
    stamped.CopyFrom(graph)
    IDENTITY.stamp(stamped)
    onnx.save(stamped, folder / ONNX_FILE)
    (folder / "config.json").write_text(json.dumps(plain_settings(encoder_of(small_model))))
    return parent


def test_the_configuration_is_that_of_the_plain_architecture(small_model: Any, tmp_path: Path) -> None:
    settings = plain_settings(encoder_of(small_model))
    assert not {"auto_map", "low_rank"} & settings.keys()
    expected = {"model_type": "bert", "architectures": ["BertForSequenceClassification"], "torch_dtype": "float32"}
    assert {name: settings[name] for name in expected} == expected
    (tmp_path / "config.json").write_text(json.dumps(settings))
    config = AutoConfig.from_pretrained(tmp_path)
    for name in ("hidden_size", "num_attention_heads", "max_position_embeddings", "id2label", "vocab_size"):
        assert getattr(config, name) == getattr(small_model.config, name)


def test_names_of_labels_and_the_kind_of_problem_are_carried(make_head: Callable[..., Any]) -> None:
    names = {0: "bad", 1: "so-so", 2: "good"}
    model = make_head(
        "BertForSequenceClassification",
        id2label=names,
        label2id={name: index for index, name in names.items()},
        problem_type="single_label_classification",
        dtype="float16",
    )
    settings = json.loads(json.dumps(plain_settings(encoder_of(model))))
    assert settings["id2label"] == {str(index): name for index, name in names.items()}
    assert settings["label2id"]["good"] == 2
    assert settings["problem_type"] == "single_label_classification"
    assert (settings["torch_dtype"], "dtype" in settings) == ("float32", False)


def test_a_vocabulary_alone_becomes_a_tokenizer_for_the_tokenizers_library(tiny_folder: Path, tmp_path: Path) -> None:
    model, out = tmp_path / "model", tmp_path / "out"
    model.mkdir()
    out.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(tiny_folder / name, model / name)
    vocabulary = Tokenizer.from_file(str(tiny_folder / "tokenizer.json")).get_vocab()
    (model / "vocab.txt").write_text(
        "".join(f"{word}\n" for word in sorted(vocabulary, key=lambda word: vocabulary[word]))
    )
    write_surroundings(load_checkpoint(str(model)), out)
    assert {file.name for file in out.iterdir()} == {"config.json", "tokenizer.json", "vocab.txt"}
    text = "the film was never dull"
    expected = Tokenizer.from_file(str(tiny_folder / "tokenizer.json")).encode(text)
    assert Tokenizer.from_file(str(out / "tokenizer.json")).encode(text).ids == expected.ids


def test_files_of_a_tokenizer_without_its_vocabulary_are_left_out(tiny_folder: Path, tmp_path: Path) -> None:
    model, out = tmp_path / "model", tmp_path / "out"
    model.mkdir()
    out.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer_config.json"):
        shutil.copyfile(tiny_folder / name, model / name)
    write_surroundings(load_checkpoint(str(model)), out)
    assert [file.name for file in out.iterdir()] == ["config.json"]


def test_the_session_answers_as_the_model(
    place: Path, small_model: Any, head_inputs: Callable[[str], dict[str, torch.Tensor]]
) -> None:
    exported = OnnxModel(place / ONNX_FOLDER, ONNX_FILE, threads=1)
    inputs = head_inputs("BertForSequenceClassification")
    with torch.no_grad():
        torch.testing.assert_close(exported(**inputs).logits, small_model(**inputs).logits, rtol=0, atol=1e-5)
        tokens = inputs["input_ids"][:1, :5]
        expected = small_model(input_ids=tokens).logits
    for given in (tokens, tokens.int()):
        torch.testing.assert_close(exported(given).logits, expected, rtol=0, atol=1e-5)
    assert exported.config.id2label == small_model.config.id2label
    assert exported.device == torch.device("cpu")


def test_an_identity_is_read_back_from_the_file(place: Path) -> None:
    exported = open_exported(Place(place, "small"), ONNX_FILE, replace(IDENTITY, model="renamed", file_sha256=""))
    assert Identity.read(exported.metadata) == IDENTITY


@pytest.mark.parametrize("name", ["class_name", "weights_sha256", "settings"])
def test_another_checkpoint_is_refused(name: str, place: Path) -> None:
    with pytest.raises(ExportError, match=r"was made from another checkpoint, small with weights aaaa.* --overwrite"):
        open_exported(Place(place, "mine"), ONNX_FILE, replace(IDENTITY, **{name: "c" * 64}))


def test_what_cannot_be_opened_says_which_command_makes_it(place: Path, graph: Any, tmp_path: Path) -> None:
    own = Place(tmp_path, str(tmp_path))
    with pytest.raises(ExportError, match=rf"has no onnx/model\.onnx; make it with fwsvd-export onnx {tmp_path}$"):
        open_exported(own, ONNX_FILE, IDENTITY)
    with pytest.raises(ExportError, match=rf"make it with fwsvd-export onnx mine -o {place} --int8 --overwrite$"):
        open_exported(Place(place, "mine"), "model_quantized.onnx", IDENTITY)
    folder = tmp_path / ONNX_FOLDER
    shutil.copytree(place / ONNX_FOLDER, folder)
    onnx.save(graph, folder / ONNX_FILE)
    with pytest.raises(ExportError, match="does not say which checkpoint it was made from"):
        open_exported(own, ONNX_FILE, IDENTITY)
    whole = (place / ONNX_FOLDER / ONNX_FILE).read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"no protobuf"):
        (folder / ONNX_FILE).write_bytes(damaged)
        with pytest.raises(ExportError, match=r"model\.onnx cannot be read \(.+\); export again"):
            open_exported(own, ONNX_FILE, IDENTITY)


def test_the_identity_of_a_checkpoint_names_its_file_and_what_it_computes(tiny_folder: Path) -> None:
    identity = Identity.of(load_checkpoint(str(tiny_folder)))
    assert (identity.model, identity.class_name) == (tiny_folder.name, "BertForSequenceClassification")
    assert len(identity.weights_sha256) == len(identity.file_sha256) == 64
    assert json.loads(identity.settings)["num_attention_heads"] == 4


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"num_labels": 10**12}, "num_labels is 1000000000000 in config.json"),
        ({"model_type": "gpt2"}, "architecture 'gpt2' is not supported"),
        (
            {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil"}},
            "architecture 'evil' is not supported",
        ),
    ],
)
def test_a_configuration_beside_the_onnx_file_is_checked_and_runs_no_code(
    values: dict[str, Any], reason: str, place: Path, tmp_path: Path
) -> None:
    folder, ran = tmp_path / ONNX_FOLDER, tmp_path / "ran"
    shutil.copytree(place / ONNX_FOLDER, folder)
    (folder / "evil.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, **values}))
    with pytest.raises(ExportError, match=re.escape(reason)):
        OnnxModel(folder, ONNX_FILE)
    assert not ran.exists()


def test_an_input_that_the_onnx_model_fails_on(place: Path) -> None:
    with pytest.raises(ExportError, match=r"the ONNX model fails on its input .*; export again with fwsvd-export onnx"):
        OnnxModel(place / ONNX_FOLDER, ONNX_FILE)(torch.tensor([[10**6]]))
