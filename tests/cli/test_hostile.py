"""Checkpoints that somebody made to do harm, or that came damaged: one clear sentence, nothing run, nothing written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from fwsvd_export.architectures.registry import FAMILIES

Refused = Callable[..., str]
Changed = Callable[..., Path]
Succeed = Callable[..., str]

LAYER = "encoder.layer.0.attention.self.query"
SIZE = "and a whole number of at least 1 is allowed"
HEADER_LENGTH_BYTES = 8


def with_header(file: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Rewrites the header of a safetensors file and leaves the numbers."""
    content = file.read_bytes()
    length = int.from_bytes(content[:HEADER_LENGTH_BYTES], "little")
    header = json.loads(content[HEADER_LENGTH_BYTES:][:length])
    text = json.dumps(change(header) or header).encode()
    rest = content[HEADER_LENGTH_BYTES + length :]
    file.write_bytes(len(text).to_bytes(HEADER_LENGTH_BYTES, "little") + text + rest)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"hidden_size": 10**12}, "hidden_size is 1000000000000 by config.json and 32 by the weights"),
        ({"vocab_size": 10**12}, "vocab_size is 1000000000000 by config.json and 25 by the weights"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000 by config.json and 2 by the weights"),
        ({"num_hidden_layers": 1}, "num_hidden_layers is 1 by config.json and 2 by the weights"),
        ({"max_position_embeddings": 10**12}, "max_position_embeddings is 1000000000000 by config.json and 64 by"),
        ({"type_vocab_size": 10**12}, "type_vocab_size is 1000000000000 by config.json and 2 by the weights"),
        ({"intermediate_size": 10**12}, "intermediate_size is 1000000000000 by config.json and 64 by the weights"),
        ({"hidden_size": -1}, f"hidden_size is -1 in config.json, {SIZE}"),
        ({"hidden_size": True}, f"hidden_size is True in config.json, {SIZE}"),
        ({"hidden_size": "3" * 10**6}, f"hidden_size is '{'3' * 78}… in config.json, {SIZE}"),
        ({"num_attention_heads": 0}, f"num_attention_heads is 0 in config.json, {SIZE}"),
        ({"num_labels": 10**9}, "num_labels is 1000000000 in config.json, and a whole number of at most 1000000 is"),
        ({"num_labels": 65}, "config.json has 65 labels, and no layer of the weights so many outputs"),
        ({"label2id": {"good": "first"}}, "and an object of names and numbers is allowed"),
        ({"id2label": {"first": "good"}}, "and an object of numbers and names is allowed"),
        ({"layer_norm_eps": -1}, "layer_norm_eps is -1 in config.json, and a number from 0 to 1 is allowed"),
        ({"dtype": "int8"}, "and null or one of bfloat16, float16, float32, float64 is allowed"),
        ({"hidden_act": 5}, "hidden_act is 5 in config.json, and a name is allowed"),
        ({"architectures": "BertModel"}, "architectures is 'BertModel' in config.json, and a list of class names is"),
        ({"chunk_size_feed_forward": 3}, "chunk_size_feed_forward is 3 in config.json, and 0 is allowed"),
        ({"return_dict": False}, "return_dict is False in config.json, and null or true is allowed"),
        ({"torchscript": 1}, "torchscript is 1 in config.json, and null or false is allowed"),
        ({"pruned_heads": {"0": [1]}}, "pruned_heads is {'0': [1]} in config.json, and empty is allowed"),
        ({"attn_implementation": "someone/kernel"}, "and eager or sdpa or null is allowed"),
        ({"quantization_config": {}}, "quantization_config is {} in config.json, and null is allowed"),
        ({"to_dict": 1}, "config.json sets 'to_dict', which is no setting; take it out"),
        ({"__class__": "x"}, "config.json sets '__class__', which is no setting; take it out"),
        (
            {"problem_type": "\x1b[31m\nError"},
            "problem_type is '\\x1b[31m\\nError' in config.json, and multi_label",
        ),
    ],
)
def test_settings_that_no_model_has(
    settings: dict[str, Any], reason: str, changed_model: Changed, refused: Refused
) -> None:
    model = changed_model(**settings)
    sentence = refused("inspect", model)
    assert sentence.startswith(f"Error: the model in {model} cannot be read: ")
    assert reason in sentence


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"hidden_size": NaN}', "it holds NaN or an infinite number, which is no JSON"),
        ('{"hidden_size": 1e999}', "it holds NaN or an infinite number, which is no JSON"),
        ('{"hidden_size": ' + "9" * 5000 + "}", "limit (4300 digits)"),
        ('{"a": ' * 10_000 + "1" + "}" * 10_000, "lists and objects are nested too deeply"),
        ('{"a": ' * 40 + "1" + "}" * 40, "nested more than 32 levels deep"),
        ('{"a": "\\ud800"}', "surrogates not allowed"),
        ("\ufeff{}", "Unexpected UTF-8 BOM"),
        ('{"a": "' + "x" * 2**24 + '"}', "it has 16.8 MB, and at most 16 are read"),
    ],
)
@pytest.mark.parametrize("file", ["config.json", "compression.json"])
def test_json_that_others_could_not_read(
    file: str, text: str, reason: str, changed_small: Changed, refused: Refused
) -> None:
    model = changed_small()
    (model / file).write_text(text, encoding="utf-8")
    sentence = refused("inspect", model)
    assert sentence.startswith(f"Error: {model / file} is not readable JSON: ")
    assert reason in sentence


NEURONS = "encoder.layer.1.intermediate.dense"


@pytest.mark.parametrize(
    ("ranks", "reason"),
    [
        ({LAYER: 10**12}, f"rank 1000000000000 of {LAYER}: at most 32, its smaller side, is allowed"),
        ({LAYER: 33}, f"rank 33 of {LAYER}: at most 32, its smaller side, is allowed"),
        ({LAYER: 0}, f"rank 0 of {LAYER}: a whole number of at least 1 is needed"),
        ({LAYER: -1}, f"rank -1 of {LAYER}: a whole number of at least 1 is needed"),
        ({LAYER: "37"}, f"rank '37' of {LAYER}: a whole number of at least 1 is needed"),
        ({LAYER: True}, f"rank True of {LAYER}: a whole number of at least 1 is needed"),
        ({LAYER: 4.0}, f"rank 4.0 of {LAYER}: a whole number of at least 1 is needed"),
        ({LAYER: None}, f"rank None of {LAYER}: a whole number of at least 1 is needed"),
        ({LAYER: "x" * 10**6}, f"rank '{'x' * 39} of {LAYER}: a whole number"),
        ({"embeddings.word_embeddings": 26}, "rank 26 of embeddings.word_embeddings: at most 25"),
        ({"../../outside": 4}, "low_rank names ../../outside, which is neither a linear layer nor an embedding"),
        ({"/tmp/outside": 4}, "low_rank names /tmp/outside, which is neither a linear layer nor an embedding"),
        ({"encoder.layer.7.output.dense": 4}, "low_rank names encoder.layer.7.output.dense, which is neither"),
        ({"encoder": 4}, "low_rank names encoder, which is neither a linear layer nor an embedding"),
        ([4], 'low_rank must be an object with a "ranks" object in it'),
    ],
)
def test_ranks_that_no_layer_can_have(
    ranks: Any, reason: str, changed_small: Changed, tmp_path: Path, refused: Refused
) -> None:
    model = changed_small(low_rank={"ranks": ranks})
    for command in (["inspect", model], ["densify", model, tmp_path / "out"]):
        assert f"Error: the model in {model} cannot be read: {reason}" in refused(*command)


@pytest.mark.parametrize(
    ("widths", "reason"),
    [
        ([4], '"widths" of low_rank must be an object: layer name -> neurons'),
        ({NEURONS: 0}, f"width 0 of {NEURONS}: a whole number of at least 1 is needed"),
        ({NEURONS: "8"}, f"width '8' of {NEURONS}: a whole number of at least 1 is needed"),
        ({NEURONS: True}, f"width True of {NEURONS}: a whole number of at least 1 is needed"),
        ({NEURONS: 65}, f"width 65 of {NEURONS}: at most intermediate_size, 64, is allowed"),
        ({LAYER: 8}, f"low_rank gives {LAYER} a width, which is no layer before neurons"),
        ({"encoder.layer.7.intermediate.dense": 8}, "low_rank gives encoder.layer.7.intermediate.dense a width, which"),
        (
            {"encoder.layer.0.intermediate.dense": 8},
            "8 of 64 neurons (intermediate_size) are left by config.json, and the weights have 64; 64 of",
        ),
    ],
)
def test_widths_that_no_layer_can_have(
    widths: Any, reason: str, changed_small: Changed, tmp_path: Path, refused: Refused
) -> None:
    model = changed_small(low_rank={"ranks": {}, "widths": widths})
    for command in (["inspect", model], ["densify", model, tmp_path / "out"]):
        assert f"Error: the model in {model} cannot be read: {reason}" in refused(*command)


def test_a_compressed_model_that_says_nothing_of_ranks(changed_small: Changed, refused: Refused) -> None:
    assert "lack bert.encoder.layer.0.attention" in refused("inspect", changed_small(low_rank=None))


def lying_length(content: bytes) -> bytes:
    return (2**40).to_bytes(HEADER_LENGTH_BYTES, "little") + content[HEADER_LENGTH_BYTES:]


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header["bert.pooler.dense.weight"].update(data_offsets=[0, 2**60]),
        lambda header: header["bert.pooler.dense.weight"].update(
            data_offsets=header["classifier.bias"]["data_offsets"]
        ),
        lambda header: header["bert.pooler.dense.weight"].update(shape=[2**40, 2**40]),
        lambda header: header["bert.pooler.dense.weight"].update(shape=[-1, 4]),
        lambda header: header["bert.pooler.dense.weight"].update(dtype="Q4"),
        lambda header: header["bert.pooler.dense.weight"].update(dtype="F64"),
        lambda header: header.update(__metadata__={"format": 3}),
        lambda header: header.update(__metadata__="a\nb"),
        lambda header: [header],
    ],
    ids=["far", "overlap", "huge", "negative", "unknown", "wider", "number", "text", "list"],
)
def test_weights_whose_header_lies(
    change: Callable[[dict[str, Any]], Any], changed_model: Changed, refused: Refused
) -> None:
    model = changed_model()
    with_header(model / "model.safetensors", change)
    assert f"Error: {model / 'model.safetensors'} cannot be read: " in refused("inspect", model)


def test_weights_whose_header_is_longer_than_the_file(changed_model: Changed, refused: Refused) -> None:
    model = changed_model()
    file = model / "model.safetensors"
    file.write_bytes(lying_length(file.read_bytes()))
    assert f"Error: {file} cannot be read: " in refused("inspect", model)


def test_weights_that_are_whole_numbers(changed_model: Changed, refused: Refused) -> None:
    model = changed_model()
    with_header(model / "model.safetensors", lambda header: header["classifier.bias"].update(dtype="I32"))
    reason = "'classifier.bias' is stored as I32, and F64, F32, F16, BF16 are read"
    assert refused("inspect", model) == f"Error: the model in {model} cannot be read: {reason}"


def test_numbers_of_positions_beside_the_weights_do_no_harm(changed_model: Changed, succeed: Succeed) -> None:
    model = changed_model()
    weights = load_file(model / "model.safetensors")
    weights["bert.embeddings.position_ids"] = torch.arange(64)[None]
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    succeed("inspect", model)


def test_weights_of_another_architecture(changed_model: Changed, refused: Refused) -> None:
    model = changed_model()
    save_file({"wte.weight": torch.zeros(100, 4)}, model / "model.safetensors", metadata={"format": "pt"})
    reason = "its weights have nothing of which vocab_size is a size; is it another architecture?"
    assert refused("inspect", model) == f"Error: the model in {model} cannot be read: {reason}"


@pytest.mark.parametrize("name", ["../model.safetensors", "/etc/passwd", "absent.safetensors", "config.json", ""])
def test_an_index_that_names_files_elsewhere(name: str, changed_model: Changed, refused: Refused) -> None:
    model = changed_model()
    (model / "model.safetensors").rename(model.parent / "model.safetensors")
    index = model / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"classifier.bias": name}}))
    words = f"Error: {index} names {name!r}, which is no safetensors file in the same folder"
    assert refused("inspect", model) == words


def test_an_index_that_names_nothing(changed_model: Changed, refused: Refused) -> None:
    model = changed_model()
    (model / "model.safetensors").unlink()
    for content in ({}, {"weight_map": []}):
        (model / "model.safetensors.index.json").write_text(json.dumps(content))
        assert "names no files; save the model again" in refused("inspect", model)


@pytest.mark.parametrize("name", FAMILIES["bert"].code_files)
def test_foreign_code_is_refused_and_does_not_run(
    name: str, changed_small: Changed, tmp_path: Path, refused: Refused, succeed: Succeed
) -> None:
    model, ran = changed_small(), tmp_path / "ran"
    data = (model / name).read_bytes()
    succeed("inspect", model)  # what compress wrote needs no flag
    (model / name).write_bytes(data.replace(b"rank", b"Rank", 1))
    sentence = (
        f"Error: the code files in {model} are not those of this installation, so they are not run; read them and give "
        "--trust-remote-code if you trust them"
    )
    assert refused("inspect", model) == sentence
    (model / name).write_bytes(f"open({str(ran)!r}, 'w').close()\n".encode() + data)
    for command in (["inspect", model], ["densify", model, tmp_path / "out"], ["onnx", model, "--overwrite"]):
        assert refused(*command) == sentence
    assert not ran.exists()


def test_code_elsewhere_does_not_run_even_when_the_folder_is_trusted(changed_small: Changed, refused: Refused) -> None:
    reference = "someone/elsewhere--evil.LowRankBertForSequenceClassification"
    model = changed_small(auto_map={"AutoModelForSequenceClassification": reference})
    code = model / "modeling_lowrank_bert.py"
    code.write_bytes(code.read_bytes() + b"\n")
    assert refused("inspect", model, "--trust-remote-code") == (
        f"Error: the auto_map in {model}/config.json names {reference!r}, which is outside the folder; only code that "
        "lies in the folder is run"
    )


def test_trusted_code_that_cannot_be_imported(changed_small: Changed, refused: Refused) -> None:
    model = changed_small()
    (model / "modeling_lowrank_bert.py").write_text("raise RuntimeError('no\\nway')\n")
    sentence = refused("inspect", model, "--trust-remote-code")
    assert sentence == f"Error: the code in {model} cannot be imported: no way"
