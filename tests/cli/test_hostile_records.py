"""Records, statistics and tokenizers that nobody's tool wrote: one clear sentence, and nothing outside the output."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file

Refused = Callable[..., str]
Changed = Callable[..., Path]
Succeed = Callable[..., str]

LAYER = "encoder.layer.0.attention.self.query"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"format": 2}, "has format 2, this version reads 1; read it with fwsvd-export "),
        ({"format": 2, "versions": 3}, "this version reads 1; read it with the version that wrote it, or take"),
        (
            {"format": 0, "versions": {"fwsvd-export": "\x1b"}},
            "has format 0, this version reads 1; read it with the ver",
        ),
        ({"format": "1"}, "format is '1', a whole number from 0 to 10^15 is needed"),
        ({"base_model": ["x"]}, "base_model is ['x'], a text of one line and at most 500 characters is needed"),
        ({"base_model": "a\n# b"}, "base_model is 'a\\n# b', a text of one line and at most 500 characters is needed"),
        ({"method": "x" * 501}, "a text of one line and at most 500 characters is needed"),
        ({"base_sha256": 5}, "base_sha256 is 5, a text of one line and at most 500 characters or null is needed"),
        ({"parameters": None}, "parameters is None, an object is needed"),
        ({"parameters": {}}, "parameters has no linear_dense; take the file from a backup"),
        ({"layers": {}}, "layers is {}, a list is needed"),
        ({"layers": ["x"]}, "layers[0] is 'x', an object is needed"),
        ({"layers": [{"name": LAYER, "shape": [32]}]}, "layers[0].shape is [32], [out, in] is needed"),
        (
            {"layers": [{"name": LAYER, "shape": [1, 1], "rank": 10**16}]},
            "rank is 10000000000000000, a whole number from 1 to 10^15 or null is needed",
        ),
        ({"base_weights": {"bytes": 10**400, "dtype": "float32"}}, "base_weights.bytes is 1000"),
        ({"base_weights": {"bytes": 5}}, "base_weights has no dtype; take the file from a backup"),
        (
            {"base_card": {"license": {"a": 1}}},
            "an object of texts and lists of texts or null is needed",
        ),
        ({"command": "rm"}, "command is 'rm', a list of texts or null is needed"),
        ({"gate": {}}, "gate has no max_drop; take the file from a backup"),
        ({"fisher": "sst2"}, "fisher is 'sst2', an object or null is needed"),
        (
            {"files": {"a": {"bytes": 1, "sha256": "x"}, "b\n": {"bytes": -1}}},
            "files.b\\n.bytes is -1, a whole number from 0 to 10^15 is needed",
        ),
        ({"files": {"model.safetensors": 5}}, "files.model.safetensors is 5, an object is needed"),
        ({"history": {}}, "history is {}, a list is needed"),
        ({"history": [{"action": "melt"}]}, "history[0].action is 'melt', accept or compress or densify or"),
        ({"history": [{"action": "save", "sha256": 3}]}, "history[0].sha256 is 3, a text of one line"),
        (
            {"history": [{"action": "save", "details": {"a": [1]}}]},
            "history[0].details is {'a': [1]}, an object is needed",
        ),
        ({"seconds": {"load": "long"}}, "seconds is {'load': 'long'}, an object is needed"),
        ({"asked": {"rank": "x"}}, "asked.rank is 'x', a whole number from 0 to 10^15 or null is needed"),
        ({"fisher": {"task": None, "data": None}}, "fisher has no examples; take the file from a backup"),
    ],
)
def test_records_that_compress_never_wrote(
    values: dict[str, Any], reason: str, changed_small: Changed, tmp_path: Path, refused: Refused
) -> None:
    model = changed_small("compression.json", **values)
    for command in (
        ["inspect", model, "--json"],
        ["compress", model, tmp_path / "out", "--method", "svd", "--rank", 3],
    ):
        sentence = refused(*command)
        assert sentence.startswith(f"Error: {model / 'compression.json'}")
        assert reason in sentence


def test_names_that_look_like_markup_are_shown_as_they_are(changed_small: Changed, succeed: Succeed) -> None:
    assert "[/bold] :smile:" in succeed("inspect", changed_small("compression.json", base_model="[/bold] :smile:"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"examples": 10**400}, "a whole number from 0 to 10^15 is needed; collect again"),
        ({"examples": -1}, "examples is -1, a whole number from 0 to 10^15 is needed; collect again"),
        ({"examples": 2.5}, "examples is 2.5, a whole number from 0 to 10^15 is needed"),
        ({"layers": ["../../outside"]}, "do not have the model's sizes"),
        ({"layers": [LAYER]}, "do not have the model's sizes"),
        ({"layers": ["a\nb"]}, "layers[0] is 'a\\nb', a text of one line and at most 500 characters is needed"),
        ({"inputs": []}, "inputs is [], an object is needed"),
        ({"format": 3}, "has format 3, this version reads 2"),
        ({"source": {}}, "source has no model_sha256; collect again"),
        ({"collected": "x" * 10**5}, "a list is needed; collect again"),
        ({"collected": ["hessian"]}, "collect hessian: choose one or more of kfac, row, element"),
    ],
)
def test_statistics_that_fisher_never_wrote(
    change: dict[str, Any], reason: str, tiny_folder: Path, statistics_file: Path, tmp_path: Path, refused: Refused
) -> None:
    file = tmp_path / "fisher.safetensors"
    with safe_open(statistics_file, framework="pt") as stored:
        description = {**json.loads(stored.metadata()["statistics"]), **change}
    save_file(load_file(statistics_file), file, metadata={"statistics": json.dumps(description)})
    assert reason in refused("compress", tiny_folder, tmp_path / "out", "--fisher", file, "--rank", 4)


def test_deep_statistics(tiny_folder: Path, statistics_file: Path, tmp_path: Path, refused: Refused) -> None:
    file = tmp_path / "fisher.safetensors"
    save_file(load_file(statistics_file), file, metadata={"statistics": "[" * 10_000})
    assert "damaged or cut short" in refused("compress", tiny_folder, tmp_path / "out", "--fisher", file, "--rank", 4)


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        (f"{LAYER}.element", lambda sums: sums[:-1], f"the statistics of {LAYER} do not have the model's sizes"),
        (f"{LAYER}.gradient_gram", lambda sums: sums[None], f"the statistics of {LAYER} do not have the model's sizes"),
        ("embedding.row", lambda sums: sums[:3], "of the word embeddings do not have the model's sizes"),
        (f"{LAYER}.gradient_gram", lambda sums: sums.int(), "damaged or cut short (ValueError)"),
        (f"{LAYER}.gradient_gram", lambda sums: sums * torch.nan, "hold NaN or infinite values"),
    ],
)
def test_statistics_with_other_sums(
    name: str,
    change: Callable[[torch.Tensor], torch.Tensor],
    reason: str,
    tiny_folder: Path,
    statistics_file: Path,
    tmp_path: Path,
    refused: Refused,
) -> None:
    file = tmp_path / "fisher.safetensors"
    tensors = load_file(statistics_file)
    with safe_open(statistics_file, framework="pt") as stored:
        metadata = stored.metadata()
    file.write_bytes(save({**tensors, name: change(tensors[name]).contiguous()}, metadata))
    assert reason in refused("compress", tiny_folder, tmp_path / "out", "--fisher", file, "--rank", 4)


@pytest.mark.parametrize(
    ("file", "change", "reason"),
    [
        ("tokenizer.json", lambda text: text[:100], "the tokenizer of model cannot be read: "),
        ("tokenizer.json", lambda text: "[" * 10_000, "the tokenizer of model cannot be read: "),
        ("tokenizer.json", lambda text: text.replace('"WordPiece"', '"NoSuchModel"'), "cannot be read: "),
        (
            "tokenizer.json",
            lambda text: text.replace('"good": 11', '"good": 11000'),
            "makes input_ids 11000 of it, and",
        ),
        (
            "tokenizer_config.json",
            lambda text: json.dumps({**json.loads(text), "pad_token": None}),
            "has no padding token that the model knows",
        ),
        (
            "tokenizer_config.json",
            lambda text: json.dumps({**json.loads(text), "model_input_names": ["input_ids"]}),
            "does not make attention_mask; correct model_input_names",
        ),
    ],
    ids=["cut", "deep", "unknown", "large", "padding", "inputs"],
)
def test_tokenizers_that_do_not_fit(
    file: str,
    change: Callable[[str], str],
    reason: str,
    changed_model: Changed,
    data_file: Path,
    refused: Refused,
) -> None:
    model = changed_model()
    text = (model / file).read_text()
    (model / file).write_text(change(text))
    assert change(text) != text
    assert reason in refused("evaluate", model, "--task", "sst2", "--data", data_file)


@pytest.mark.parametrize("setting", ["tokenizer_file", "vocab_file", "merges_file"])
def test_a_tokenizer_that_names_files_elsewhere(
    setting: str, changed_model: Changed, data_file: Path, tmp_path: Path, refused: Refused
) -> None:
    """A text file of the user's would be read as a vocabulary, and written into every output."""
    model, secret = changed_model(), tmp_path / "secret.txt"
    secret.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\nsecret\n")
    config = model / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), setting: str(secret)}))
    (model / "tokenizer.json").rename(model / "vocab.txt")
    sentence = refused("evaluate", model, "--task", "sst2", "--data", data_file)
    assert sentence.startswith(f"Error: {config} names '{str(secret)[:30]}")
    assert sentence.endswith(f" as its {setting}, and only the folder's own files are read; take it out")


@pytest.mark.parametrize("path", ["../../outside", "/tmp/outside-of-everything", "..", "a/../../b"])
def test_names_that_look_like_paths_lead_nowhere(
    path: str, changed_small: Changed, tmp_path: Path, succeed: Succeed
) -> None:
    folder = changed_small("compression.json", base_model=path, method=path)
    for name, values in {
        "config.json": {"_name_or_path": path, "name_or_path": path, "tokenizer_class": path},
        "tokenizer_config.json": {"name_or_path": path, "tokenizer_config_file": path},
    }.items():
        settings = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**settings, **values}))
    shutil.copytree(folder, tmp_path / "deep" / "deeper" / "small")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    model, out = tmp_path / "deep" / "deeper" / "small", tmp_path / "deep" / "deeper" / "out"
    for command in (["inspect", model], ["densify", model, out / "plain"], ["onnx", model, "-o", out / "exported"]):
        out.mkdir(exist_ok=True)
        succeed(*command)
    after = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file() and out not in file.parents}
    assert after == before
    assert {folder.name for folder in out.iterdir()} == {"plain", "exported"}
    assert not Path("/tmp/outside-of-everything").exists()
