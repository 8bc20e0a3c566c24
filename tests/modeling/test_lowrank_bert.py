from __future__ import annotations

import ast
import importlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import BertConfig
from transformers.dynamic_module_utils import get_relative_imports

from fwsvd_export import compress
from fwsvd_export.architectures.registry import FAMILIES, encoder_of
from fwsvd_export.modeling.configuration_lowrank_bert import LowRankBertConfig
from fwsvd_export.modeling.lowrank_layers import LowRankLinear, factorize
from fwsvd_export.modeling.modeling_lowrank_bert import LowRankBertForMaskedLM, LowRankBertModel
from tests.helpers import HEADS, TIED_HEADS, attentions_of, decoder_of, words_of

AUTO_MAP = LowRankBertConfig.complete_auto_map()
AUTO_MAPS = [family.low_rank_config_class().complete_auto_map() for family in FAMILIES.values()]
CODE_FILES = sorted({family.shipped(name) for family in FAMILIES.values() for name in family.code_files})
LAYER = "encoder.layer.0.output.dense"


def parsed(file: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))


def absolute_imports(file: Path) -> set[str]:
    nodes = parsed(file)
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0}


@pytest.mark.parametrize("bias", [True, False])
def test_a_low_rank_layer_applies_down_then_up(bias: bool) -> None:
    layer = LowRankLinear(6, 4, rank=3, bias=bias)
    states = torch.randn(2, 5, 6)
    expected = functional.linear(functional.linear(states, layer.down.weight), layer.up.weight, layer.up.bias)
    assert torch.equal(layer(states), expected)
    assert (layer.down.bias, layer.up.bias is not None) == (None, bias)
    assert "in_features=6, out_features=4, rank=3" in repr(layer)


@pytest.mark.parametrize("rank", [-1, 0, 5, 10**12, 2.0, float("nan"), True])
def test_a_low_rank_layer_refuses_ranks_outside_its_smaller_side(rank: int) -> None:
    with pytest.raises(ValueError, match=f"rank {rank} of a 4 x 6 layer"):
        LowRankLinear(6, 4, rank)


@pytest.mark.parametrize("name", ["encoder.layer.7.output.dense", "encoder.layer.0.output", "bert." + LAYER])
def test_factorize_refuses_names_that_are_no_linear_layer(make_head: Callable[..., Any], name: str) -> None:
    with pytest.raises(ValueError, match=f"low_rank names {re.escape(name)}"):
        factorize(make_head("BertModel"), {name: 3})


def test_factorize_keeps_dtype_and_the_absence_of_a_bias() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(6, 4, bias=False, dtype=torch.bfloat16))
    factorize(model, {"0": 2})
    assert {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in model.state_dict().items()} == {
        "0.down.weight": ((2, 6), torch.bfloat16),
        "0.up.weight": ((4, 2), torch.bfloat16),
    }


@pytest.mark.parametrize("rank", [0, -3, "4", 4.0, float("nan"), True, None])
def test_the_configuration_refuses_ranks_that_are_no_positive_whole_number(rank: Any) -> None:
    with pytest.raises(ValueError, match=f"of {LAYER}: a whole number of at least 1"):
        LowRankBertConfig(low_rank={"ranks": {LAYER: rank}})


@pytest.mark.parametrize(
    ("layer", "rank", "largest"),
    [
        (LAYER, 33, 32),
        ("encoder.layer.1.intermediate.dense", 10**12, 32),
        ("encoder.layer.0.attention.self.value", 10**12, 32),
        ("encoder.layer.0.attention.output.dense", 33, 32),
        ("embeddings.word_embeddings", 26, 25),
    ],
)
def test_the_configuration_refuses_ranks_above_the_smaller_side(layer: str, rank: int, largest: int) -> None:
    sizes = {"vocab_size": 25, "hidden_size": 32, "intermediate_size": 64}
    LowRankBertConfig(low_rank={"ranks": {layer: largest}}, **sizes)
    with pytest.raises(ValueError, match=f"rank {rank} of {re.escape(layer)}: at most {largest}, its smaller side"):
        LowRankBertConfig(low_rank={"ranks": {layer: rank}}, **sizes)


@pytest.mark.parametrize("size", ["wide", 0, -1, True])
def test_the_configuration_refuses_ranks_of_layers_without_a_size(size: Any) -> None:
    with pytest.raises(ValueError, match=f"intermediate_size {size!r}: a whole number of at least 1 is needed"):
        LowRankBertConfig(low_rank={"ranks": {LAYER: 4}}, intermediate_size=size)


@pytest.mark.parametrize("low_rank", [[], "svd", 3, {}, {"ranks": [4]}, {"ranks": None}])
def test_the_configuration_refuses_a_low_rank_without_an_object_of_ranks(low_rank: Any) -> None:
    with pytest.raises(ValueError, match='"ranks" object'):
        LowRankBertConfig(low_rank=low_rank)


def test_the_saved_configuration_has_every_class_and_no_local_path(tmp_path: Path) -> None:
    LowRankBertConfig(low_rank={"ranks": {LAYER: 4}, "method": "svd"}).save_pretrained(tmp_path)
    loaded = LowRankBertConfig.from_pretrained(tmp_path)
    # What AutoConfig and save_pretrained of one class leave behind
    loaded._name_or_path = str(tmp_path)
    loaded.auto_map = {"AutoConfig": "only.One"}
    assert loaded.to_dict()["auto_map"] == loaded.to_diff_dict()["auto_map"] == AUTO_MAP
    loaded.save_pretrained(tmp_path)
    text = (tmp_path / "config.json").read_text(encoding="utf-8")
    saved = json.loads(text)
    assert saved["auto_map"] == AUTO_MAP
    assert saved["low_rank"] == {"ranks": {LAYER: 4}, "method": "svd"}
    assert saved["model_type"] == "lowrank_bert"
    assert "_name_or_path" not in saved
    assert str(tmp_path) not in text


def test_what_other_versions_of_transformers_would_save_is_corrected(monkeypatch: pytest.MonkeyPatch) -> None:
    saved = {"_name_or_path": "/home/someone/model", "auto_map": {"AutoConfig": "only.One"}, "hidden_size": 32}
    monkeypatch.setattr(BertConfig, "to_diff_dict", lambda config: saved)
    low_rank = {"ranks": {LAYER: 4}}
    assert LowRankBertConfig(low_rank=low_rank).to_diff_dict() == {
        "auto_map": AUTO_MAP,
        "hidden_size": 32,
        "low_rank": low_rank,
    }


def test_a_configuration_without_ranks_is_saved_with_none(tmp_path: Path) -> None:
    LowRankBertConfig().save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["low_rank"] == {"ranks": {}}


@pytest.mark.parametrize("reference", [reference for found in AUTO_MAPS for reference in found.values()])
def test_every_class_of_the_auto_map_exists(reference: str) -> None:
    module, _, class_name = reference.partition(".")
    assert isinstance(getattr(importlib.import_module(f"fwsvd_export.modeling.{module}"), class_name), type)


@pytest.mark.parametrize("file", CODE_FILES, ids=lambda file: file.name)
def test_the_code_files_import_only_what_every_user_has(file: Path) -> None:
    roots = {name.partition(".")[0] for name in absolute_imports(file)}
    assert roots <= sys.stdlib_module_names | {"torch", "transformers"}
    relative = {node.module for node in parsed(file) if isinstance(node, ast.ImportFrom) and node.level}
    assert relative <= {other.stem for other in CODE_FILES}
    # transformers finds relative imports by a regular expression over the text and must find the same
    assert set(get_relative_imports(file)) == relative


@pytest.mark.parametrize("file", CODE_FILES, ids=lambda file: file.name)
def test_no_text_in_the_code_files_reads_like_an_import(file: Path) -> None:
    texts = [node.value for node in parsed(file) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert texts
    assert [text for text in texts if re.search(r"^\s*(from\s+\.|import\s)", text, re.MULTILINE)] == []


@pytest.mark.parametrize("file", CODE_FILES, ids=lambda file: file.name)
def test_nothing_is_named_attention(file: Path) -> None:
    """Transformers looks for such class names to decide which attention implementations a model has."""
    names = [file.stem, *(node.name for node in parsed(file) if isinstance(node, ast.ClassDef))]
    assert [name for name in names if "attention" in name.lower()] == []


def test_a_new_model_initialises_its_factors_as_transformers_does(make_head: Callable[..., Any]) -> None:
    settings = make_head("BertModel").config.to_diff_dict() | {"initializer_range": 1e-4}
    settings.pop("model_type")
    layer = LowRankBertModel(LowRankBertConfig(low_rank={"ranks": {LAYER: 4}}, **settings)).get_submodule(LAYER)
    # torch's own initial weights would be about 0.3
    assert 0 < layer.down.weight.abs().max() < 1e-2
    assert 0 < layer.up.weight.abs().max() < 1e-2
    assert torch.equal(layer.up.bias, torch.zeros(32))


@pytest.mark.parametrize(
    ("class_name", "implementation"), [(name, one) for name in HEADS for one in attentions_of(name)]
)
def test_every_head_trains_both_factors_under_each_attention(
    class_name: str,
    implementation: str,
    make_head: Callable[..., Any],
    head_inputs: Callable[[str], dict[str, torch.Tensor]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = compress(make_head(class_name, attn_implementation=implementation), method="svd", rank=5)
    calls = []
    fused = functional.scaled_dot_product_attention
    monkeypatch.setattr(
        functional, "scaled_dot_product_attention", lambda *args, **kwargs: calls.append(1) or fused(*args, **kwargs)
    )
    outputs = model(**head_inputs(class_name)).to_tuple()
    assert model.config._attn_implementation == implementation
    assert len(calls) == (model.config.num_hidden_layers if implementation == "sdpa" else 0)

    sum(output.logsumexp(-1).sum() for output in outputs).backward()
    factors = {name: weight.grad for name, weight in model.named_parameters() if ".down." in name or ".up.w" in name}
    assert len(factors) == 2 * len(model.config.low_rank["ranks"]) == 2 * len(encoder_of(model).layers)
    assert [name for name, gradient in factors.items() if gradient is None or not gradient.abs().max() > 0] == []


@pytest.mark.parametrize("class_name", TIED_HEADS)
def test_heads_with_a_vocabulary_stay_tied(class_name: str, make_head: Callable[..., Any], tmp_path: Path) -> None:
    made = compress(make_head(class_name), method="svd", rank=5)
    made.save_pretrained(tmp_path)
    for model in (made, type(made).from_pretrained(tmp_path)):
        decoder, bias = decoder_of(model)
        assert decoder.weight is words_of(model).weight
        assert decoder.bias is bias


def test_an_untied_head_stays_untied(make_head: Callable[..., Any], tmp_path: Path) -> None:
    made = compress(make_head("BertForMaskedLM", tie_word_embeddings=False), method="svd", rank=5)
    made.save_pretrained(tmp_path)
    loaded = LowRankBertForMaskedLM.from_pretrained(tmp_path)
    decoder, words = loaded.cls.predictions.decoder.weight, loaded.bert.embeddings.word_embeddings.weight
    assert torch.equal(decoder, made.cls.predictions.decoder.weight)
    assert not torch.equal(decoder, words)
