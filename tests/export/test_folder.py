"""What lies beside the ONNX file, whom it belongs to, and how it is run."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import AutoConfig

from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.errors import ExportError
from fwsvd_export.export.folder import plain_settings, write_surroundings
from fwsvd_export.export.session import OnnxModel
from fwsvd_export.storage.file_names import ONNX_FILE, ONNX_FOLDER


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
    assert {file.name for file in out.iterdir()} == {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    }
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
