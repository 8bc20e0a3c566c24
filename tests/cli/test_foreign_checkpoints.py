"""Checkpoints as others make them: whatever lies in the weights is read, or told, or refused with what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.helpers import HEADS, tiny_head

Run = Callable[..., Result]
Refused = Callable[..., str]
Succeed = Callable[..., str]
Changed = Callable[..., Path]

SVD = ("--method", "svd", "--rank", 4)
SHARDS = {"max_shard_size": "20KB"}
# Classes whose tensors other classes can have as well: whoever has them is asked
MODERN = ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice")
ALIKE = {
    "BertForSequenceClassification": "BertForSequenceClassification or BertForTokenClassification",
    "BertForMultipleChoice": "BertForSequenceClassification or BertForTokenClassification or BertForMultipleChoice",
    "DistilBertForMultipleChoice": "DistilBertForSequenceClassification or DistilBertForMultipleChoice",
    **{
        f"{prefix}ForMultipleChoice": f"{prefix}ForTokenClassification or {prefix}ForMultipleChoice"
        for prefix in ("Roberta", "MPNet")
    },
    "DebertaV2ForSequenceClassification": "DebertaV2ForSequenceClassification or DebertaV2ForTokenClassification",
    "DebertaV2ForMultipleChoice": "DebertaV2ForSequenceClassification or DebertaV2ForTokenClassification or "
    "DebertaV2ForMultipleChoice",
    **{f"ModernBert{ending}": " or ".join(f"ModernBert{one}" for one in MODERN[:3]) for ending in MODERN[:3]},
    "ModernBertForMultipleChoice": " or ".join(f"ModernBert{one}" for one in MODERN),
}


def edit_settings(folder: Path, **values: Any) -> None:
    """Sets values in a folder's config.json; None takes one out."""
    file = folder / "config.json"
    settings = {**json.loads(file.read_text()), **values}
    file.write_text(json.dumps({name: value for name, value in settings.items() if value is not None}))


def add_tensors(folder: Path, tensors: dict[str, Tensor]) -> None:
    """Stores more tensors, in the last shard and the index where there are several files."""
    *_, file = sorted(folder.glob("*.safetensors"))
    save_file({**load_file(file), **tensors}, file, metadata={"format": "pt"})
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        document = json.loads(index.read_text())
        document["weight_map"] |= dict.fromkeys(tensors, file.name)
        index.write_text(json.dumps(document))


@pytest.fixture(params=[{}, SHARDS], ids=["one file", "shards"])
def saved_head(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that saves a small dense model of a class, in one file and in several."""

    def save(class_name: str) -> Path:
        folder = tmp_path_factory.mktemp("saved") / "model"
        tiny_head(class_name).save_pretrained(folder, **request.param)
        assert (folder / "model.safetensors.index.json").is_file() == bool(request.param)
        return folder

    return save


@pytest.mark.parametrize("class_name", HEADS)
def test_a_class_that_is_not_named_is_recognised_or_asked_for(
    class_name: str, saved_head: Callable[[str], Path], run: Run, refused: Refused
) -> None:
    model = saved_head(class_name)
    edit_settings(model, architectures=None)
    if class_name in ALIKE:
        sentence = refused("inspect", model)
        assert (
            f"config.json of {model} names no class, and its tensors can be those of {ALIKE[class_name]};" in sentence
        )
        assert sentence.endswith(f'such as "architectures": ["{ALIKE[class_name].split()[0]}"]')
        edit_settings(model, architectures=[class_name])
        assert json.loads(run("inspect", model, "--json").stdout)["class"] == class_name
        return
    result = run("inspect", model, "--json")
    assert json.loads(result.stdout)["class"] == class_name
    assert result.stderr == (
        f"{model}: config.json names no class, and the model is read as {class_name}, whose tensors it has.\n"
    )


def test_a_compressed_model_whose_class_is_not_named(
    changed_small: Changed, tmp_path: Path, run: Run, succeed: Succeed, refused: Refused
) -> None:
    sentence = refused("densify", changed_small(architectures=[]), tmp_path / "out")
    assert "can be those of LowRankBertForSequenceClassification or LowRankBertForTokenClassification" in sentence
    tiny_head("BertForMaskedLM").save_pretrained(tmp_path / "dense")
    succeed("compress", tmp_path / "dense", tmp_path / "small", *SVD, "--embeddings", 0.5)
    edit_settings(tmp_path / "small", architectures=None)
    result = run("inspect", tmp_path / "small", "--json")
    assert json.loads(result.stdout)["class"] == "LowRankBertForMaskedLM"
    assert "is read as LowRankBertForMaskedLM" in result.stderr


def test_an_embedding_model_that_names_what_it_was_pretrained_as_is_read_as_a_bare_encoder(
    tmp_path: Path, run: Run, refused: Refused
) -> None:
    model = tmp_path / "model"
    tiny_head("MPNetModel").save_pretrained(model)
    edit_settings(model, architectures=["MPNetForMaskedLM"])
    assert "lack lm_head.bias" in refused("inspect", model)
    (model / "modules.json").write_text(
        '[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]'
    )
    result = run("inspect", model, "--json")
    assert json.loads(result.stdout)["class"] == "MPNetModel"
    assert result.stderr.startswith(
        f"{model}: config.json names MPNetForMaskedLM, of whose head the weights have nothing"
    )


def test_tensors_of_no_known_class(tmp_path: Path, refused: Refused) -> None:
    model = tmp_path / "model"
    tiny_head("DistilBertModel").save_pretrained(model)
    add_tensors(model, {"crf.transitions": torch.zeros(3, 3)})
    edit_settings(model, architectures=None)
    sentence = refused("compress", model, tmp_path / "out", *SVD)
    assert "names no class, and no supported class has its tensors" in sentence
    assert 'such as "architectures": ["DistilBertModel"]' in sentence


def test_the_head_of_a_recognised_class_is_in_the_output(tmp_path: Path, succeed: Succeed) -> None:
    dense, small = tmp_path / "dense", tmp_path / "small"
    tiny_head("DistilBertForSequenceClassification").save_pretrained(dense)
    edit_settings(dense, architectures=None)
    succeed("compress", dense, small, *SVD)
    assert json.loads((small / "config.json").read_text())["architectures"] == [
        "LowRankDistilBertForSequenceClassification"
    ]
    before, after = (load_file(folder / "model.safetensors") for folder in (dense, small))
    for name in ("pre_classifier.weight", "classifier.weight", "classifier.bias"):
        assert torch.equal(before[name], after[name])


@pytest.mark.parametrize("class_name", ["BertForTokenClassification", "DistilBertForMaskedLM", "BertModel"])
def test_what_the_class_does_not_take_is_told_recorded_and_on_the_card(
    class_name: str, saved_head: Callable[[str], Path], tmp_path: Path, run: Run, succeed: Succeed
) -> None:
    model, small = saved_head(class_name), tmp_path / "small"
    others = [f"other.{number}.weight" for number in range(5)]
    add_tensors(model, {name: torch.zeros(2, 32) for name in others})
    stored = sum(len(load_file(file)) for file in model.glob("*.safetensors"))
    told = (
        f"{class_name} leaves out 5 of the {stored} tensors in the weights: "
        "other.0.weight, other.1.weight, other.2.weight and 2 more"
    )
    for command in (["inspect", model, "--json"], ["compress", model, small, *SVD]):
        result = run(*command)
        assert result.exit_code == 0, result.output
        assert result.stderr.count(f"{model}: {told}.\n") == 1
    assert json.loads((small / "compression.json").read_text())["left_out"] == [told]
    assert f"- Its base has more than this model: {told}.\n" in (small / "README.md").read_text()
    succeed("densify", small, tmp_path / "plain")
    assert json.loads((tmp_path / "plain" / "compression.json").read_text())["left_out"] == [told]
    assert run("-q", "inspect", model).stderr == ""


def test_a_model_that_is_loaded_often_is_told_of_once(
    tiny_folder: Path, changed_model: Changed, tmp_path: Path, run: Run
) -> None:
    model = changed_model()
    add_tensors(model, {"other.weight": torch.zeros(2)})
    speed = ["--runtime", "torch", "--rounds", 1, "--batch-sizes", 1, "--lengths", 6]
    result = run("bench", tiny_folder, model, *speed, "-o", tmp_path / "bench")
    assert result.exit_code == 0, result.output
    assert (
        result.stderr.count(
            "BertForSequenceClassification leaves out 1 of the 42 tensors in the weights: other.weight."
        )
        == 1
    )
    assert "leaves out" not in run("inspect", tiny_folder).stderr


@pytest.mark.parametrize(
    ("class_name", "extra"),
    [
        ("BertForSequenceClassification", "bert.encoder.layer.1.attention.self.distance_embedding.weight"),
        ("BertModel", "embeddings.projection.weight"),
        ("DistilBertModel", "transformer.layer.0.attention.q_lin.mask_scores"),
    ],
)
def test_tensors_that_would_change_the_encoder_are_refused(
    class_name: str, extra: str, saved_head: Callable[[str], Path], tmp_path: Path, refused: Refused
) -> None:
    model = saved_head(class_name)
    add_tensors(model, {extra: torch.zeros(4, 4)})
    assert refused("compress", model, tmp_path / "out", *SVD) == (
        f"Error: the weights in {model} hold {extra} in the encoder, which {class_name} does not have and would "
        "compute without; save the model with transformers' own class, or take them out of the file"
    )


@pytest.mark.parametrize("start", ["", "bert.encoder.layer.0.", "bert.encoder.layer.0.lora_A."])
def test_names_of_tensors_are_quoted_on_one_line_and_not_at_length(
    start: str, changed_model: Changed, tmp_path: Path, run: Run
) -> None:
    model, hostile = changed_model(), f"{start}\x1b[31m\n\u202e{'x' * 100_000}"
    add_tensors(model, {hostile + str(number): torch.zeros(1) for number in range(9)})
    result = run("compress", model, tmp_path / "out", *SVD)
    assert result.exit_code == (1 if start else 0)
    (line,) = (line for line in result.stderr.splitlines() if "x1b[31m" in line)
    assert "and 6 more" in line
    assert line.isprintable()
    assert len(line) < 700


def rename(folder: Path, new_name: Callable[[str], str]) -> None:
    file = folder / "model.safetensors"
    save_file({new_name(name): tensor for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("class_name", ["BertForSequenceClassification", "DistilBertForSequenceClassification"])
def test_an_adapter_in_the_weights_is_refused(class_name: str, wrapped: bool, tmp_path: Path, refused: Refused) -> None:
    model = tmp_path / "model"
    tiny_head(class_name).save_pretrained(model)
    layer = next(
        name.removesuffix(".weight")
        for name in sorted(load_file(model / "model.safetensors"))
        if name.endswith(("query.weight", "q_lin.weight"))
    )
    inner = ".default" if wrapped else ""
    if wrapped:  # as peft names the layer that it wraps
        rename(model, lambda name: name.replace(f"{layer}.", f"{layer}.base_layer."))
    shapes = {f"{layer}.lora_A{inner}.weight": (4, 32), f"{layer}.lora_B{inner}.weight": (32, 4)}
    add_tensors(model, {name: torch.ones(shape) for name, shape in shapes.items()})
    sentence = refused("compress", model, tmp_path / "out", *SVD)
    count = 4 if wrapped else 2
    assert f"the weights in {model} hold {count} tensors of an adapter that is not merged into the model (" in sentence
    assert "model.merge_and_unload().save_pretrained('merged')" in sentence


def test_weights_under_the_names_of_peft(tmp_path: Path, refused: Refused) -> None:
    model = tmp_path / "model"
    tiny_head("BertModel").save_pretrained(model)
    rename(model, lambda name: f"base_model.model.{name}")
    assert "of an adapter that is not merged" in refused("inspect", model)


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize(
    ("task", "peft_class"),
    [("SEQ_CLS", "AutoPeftModelForSequenceClassification"), (None, "AutoPeftModel"), ([], "AutoPeftModel")],
)
def test_a_folder_with_an_adapter_is_refused(
    task: Any, peft_class: str, alone: bool, changed_model: Changed, refused: Refused
) -> None:
    model = changed_model()
    if alone:
        (model / "config.json").unlink()
        (model / "model.safetensors").rename(model / "adapter_model.safetensors")
    adapter = {"base_model_name_or_path": "someone/else", "peft_type": "LORA", "task_type": task}
    (model / "adapter_config.json").write_text(json.dumps(adapter))
    assert refused("inspect", model) == (
        f"Error: {model} holds an adapter (adapter_config.json) and not a whole model; merge it in Python, and give "
        f"the merged folder with the tokenizer in it: from peft import {peft_class}; {peft_class}.from_pretrained("
        f"'{model}').merge_and_unload().save_pretrained('model-merged')"
    )


@pytest.mark.parametrize("class_name", ["BertForSequenceClassification", "DistilBertForSequenceClassification"])
def test_sizes_of_a_head_that_do_not_fit(
    class_name: str, saved_head: Callable[[str], Path], tmp_path: Path, refused: Refused
) -> None:
    model = saved_head(class_name)
    edit_settings(model, num_labels=9)
    assert refused("compress", model, tmp_path / "out", *SVD) == (
        f"Error: the model in {model} cannot be read: classifier.bias is (2,) in the weights, and (9,) by config.json "
        "(and 1 more); correct config.json, or save the model again"
    )


def test_tensors_that_the_index_does_not_name(tmp_path: Path, refused: Refused) -> None:
    model = tmp_path / "model"
    tiny_head("BertModel").save_pretrained(model, **SHARDS)
    index = model / "model.safetensors.index.json"
    before = index.read_text()
    add_tensors(model, {"other.weight": torch.zeros(2)})
    index.write_text(before)
    *_, last = sorted(model.glob("*.safetensors"))
    assert refused("inspect", model) == (
        f"Error: {index} and {last.name} do not name the same tensors: other.weight; save the model again"
    )


# File -> what the sentence says of it
OTHER_FORMATS = {
    "pytorch_model.bin": "a pickle, which is never read; if you trust it, convert it in Python: from transformers",
    "pytorch_model-00001-of-00002.bin": "a pickle, which is never read; if you trust it, convert it in Python: from",
    "tf_model.h5": "a file of Keras; if you trust it, convert it in Python with transformers 4 and tensorflow: from",
    "flax_model.msgpack": "a file of Flax; if you trust it, convert it in Python with transformers 4 and flax: from",
    "bert_model.ckpt.index": "the index of a TensorFlow 1 checkpoint; if you trust it, convert it in Python with",
    "epoch=3.ckpt": "a pickle, which is never read; load it in the program that saved it, and give the folder that",
    "best.pt": "a pickle, which is never read; load it in the program that saved it, and give the folder that",
    "weights.bin": "load it in the program that saved it, and give the folder that model.save_pretrained('converted')",
    "model.gguf": "quantised for other programs, which cannot be undone; give the checkpoint that it was made from",
    "model.onnx": "a graph to run, not a model to change; give the checkpoint that it was exported from",
    "onnx/model.onnx": "a graph to run, not a model to change; give the checkpoint that it was exported from",
    "model.fp16.safetensors": "not called model.safetensors; rename it to model.safetensors if it holds the whole",
}


@pytest.mark.parametrize(("name", "said"), OTHER_FORMATS.items(), ids=OTHER_FORMATS)
def test_weights_in_another_format(name: str, said: str, changed_model: Changed, refused: Refused) -> None:
    model = changed_model()
    (model / name).parent.mkdir(exist_ok=True)
    (model / "model.safetensors").rename(model / name)
    (model / "training_args.bin").touch()
    sentence = refused("inspect", model)
    assert sentence.startswith(f"Error: {model} has no model.safetensors, and its {name} is ")
    assert said in sentence
    if "Python" in sentence:
        lines = sentence.partition("in Python")[2].partition(": ")[2]
        assert "BertForSequenceClassification" in lines
        compile(lines, name, "exec")
    else:
        (model / "config.json").unlink()
        assert said in refused("inspect", model), "such a folder often has no config.json"


def test_a_folder_that_holds_nothing_of_a_model(changed_model: Changed, refused: Refused) -> None:
    model = changed_model()
    (model / "model.safetensors").unlink()
    (model / "optimizer.pt").touch()
    assert refused("inspect", model) == (
        f"Error: {model} has no model.safetensors; save the model as safetensors first"
    )


def test_the_lines_of_python_convert(
    tiny_folder: Path, changed_model: Changed, refused: Refused, succeed: Succeed
) -> None:
    model = changed_model()
    torch.save(load_file(model / "model.safetensors"), model / "pytorch_model.bin")
    (model / "model.safetensors").unlink()
    exec(refused("inspect", model).partition("in Python: ")[2], {})
    converted, before = (load_file(folder / "model.safetensors") for folder in (model, tiny_folder))
    assert converted.keys() == before.keys()
    assert all(torch.equal(tensor, before[key]) for key, tensor in converted.items())
    succeed("inspect", model)


def test_a_model_on_the_hub_in_another_format(
    tiny_folder: Path, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    shutil.copyfile(tiny_folder / "config.json", snapshot / "config.json")
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda source, allow_patterns: str(snapshot))
    listed = ["config.json", "pytorch_model.bin", "1_Pooling/pytorch_model.bin"]
    monkeypatch.setattr("huggingface_hub.HfApi.list_repo_files", lambda self, source: listed)
    sentence = refused("inspect", "someone/tiny")
    assert "someone/tiny has no model.safetensors, and its pytorch_model.bin is a pickle" in sentence
    assert ".from_pretrained('someone/tiny').save_pretrained('tiny-safetensors'); " in sentence
    assert sentence.endswith("T.from_pretrained('someone/tiny').save_pretrained('tiny-safetensors')")

    def unreachable(self: object, source: str) -> list[str]:
        raise OSError("no way")

    monkeypatch.setattr("huggingface_hub.HfApi.list_repo_files", unreachable)
    assert refused("inspect", "someone/tiny").endswith("has no model.safetensors; save the model as safetensors first")
