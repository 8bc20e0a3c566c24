"""Models in wrappers and under torch's modes: the Python API works on them as on the plain model."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import fwsvd_export as fe
from fwsvd_export.checkpoints.weights import weights_sha256
from fwsvd_export.records import LayerStatistics

Batches = list[dict[str, Tensor]]
Wrap = Callable[[Any], Any]


def compiled(model: Any) -> Any:
    return torch.compile(model, backend="eager")


def compiled_in_place(model: Any) -> Any:
    model.compile(backend="eager")
    return model


def compiled_in_parallel(model: Any) -> Any:
    return torch.nn.DataParallel(compiled(model))


def in_training(model: Any) -> Any:
    return model.train()


def frozen(model: Any) -> Any:
    return model.requires_grad_(False)


def in_one_storage(model: Any) -> Any:
    """Every parameter as a view into one buffer, as some trainers keep them."""
    flat = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    start = 0
    for parameter in model.parameters():
        parameter.data = flat[start : start + parameter.numel()].view_as(parameter)
        start += parameter.numel()
    return model


WRAPS: dict[str, Wrap] = {
    "DataParallel": torch.nn.DataParallel,
    "torch.compile": compiled,
    "compile in place": compiled_in_place,
    "both": compiled_in_parallel,
    "training mode": in_training,
    "frozen": frozen,
    "one storage": in_one_storage,
}


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


MODES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "default dtype": lambda: default_dtype(torch.bfloat16),
    "default device": lambda: torch.device("meta"),
}


def same(found: fe.Statistics, expected: fe.Statistics) -> bool:
    """Whether the sums are the same to the last bit."""
    pairs = [
        (getattr(found.layers[name], field.name), getattr(layer, field.name))
        for name, layer in expected.layers.items()
        for field in fields(LayerStatistics)
    ]
    assert found.source == expected.source
    assert all(ours is None or ours.dtype == torch.float32 for ours, _ in pairs)
    return all(ours is theirs is None or torch.equal(ours, theirs) for ours, theirs in pairs)


@pytest.fixture
def batches(make_batches: Callable[..., Batches]) -> Batches:
    return make_batches(24, 8)


@pytest.mark.parametrize("wrap", WRAPS)
def test_a_wrapped_model_is_collected_on_and_compressed_as_the_plain_one(
    wrap: str, tiny_model: Any, batches: Batches
) -> None:
    expected = fe.collect_statistics(tiny_model, batches)
    small = fe.compress(tiny_model, batches, rank=5)
    model = WRAPS[wrap](copy.deepcopy(tiny_model))
    assert same(fe.collect_statistics(model, batches), expected)
    for given in ({"batches": batches}, {"statistics": expected}):
        found = fe.compress(model, rank=5, **given)
        assert type(found).__name__ == "LowRankBertForSequenceClassification"
        assert weights_sha256(found) == weights_sha256(small)
        assert found.training is (wrap == "training mode")
        assert all(parameter.requires_grad for parameter in found.parameters())
    assert weights_sha256(getattr(model, "module", getattr(model, "_orig_mod", model))).isalnum()


@pytest.mark.parametrize("wrap", WRAPS)
def test_a_wrapped_model_is_evaluated_exported_and_timed_as_the_plain_one(
    wrap: str, tiny_model: Any, batches: Batches, tmp_path: Path
) -> None:
    model = WRAPS[wrap](copy.deepcopy(tiny_model))
    assert fe.evaluate(model, batches).value == fe.evaluate(tiny_model, batches).value
    assert fe.export_onnx(model, tmp_path / "onnx").within_atol
    assert fe.bench(model, runtimes=["torch"], batch_sizes=[1], lengths=[8], rounds=1).models[0].parameters > 0
    dense = fe.densify(WRAPS[wrap](fe.compress(tiny_model, method="svd", rank=5)))
    assert type(dense).__name__ == "BertForSequenceClassification"


@pytest.mark.parametrize("mode", MODES)
def test_modes_of_torch_change_nothing(mode: str, tiny_model: Any, batches: Batches) -> None:
    expected = fe.collect_statistics(tiny_model, batches, labels="sampled")
    small = fe.compress(tiny_model, batches, rank=5)
    plain = weights_sha256(fe.densify(small))
    with MODES[mode]():
        assert same(fe.collect_statistics(tiny_model, batches, labels="sampled"), expected)
        found = fe.compress(tiny_model, batches, rank=5)
        dense = fe.densify(found)
        assert fe.merge_statistics([expected, expected]).examples == 48
    assert weights_sha256(found) == weights_sha256(small)
    assert weights_sha256(dense) == plain
    for model in (found, dense):
        assert not any(parameter.is_inference() for parameter in model.parameters())
        model(**batches[0]).loss.backward()


def test_batches_made_under_inference_mode(tiny_model: Any, batches: Batches) -> None:
    expected = fe.collect_statistics(tiny_model, batches)
    with torch.inference_mode():
        made = [{name: tensor.clone() for name, tensor in batch.items()} for batch in batches]
    assert made[0]["input_ids"].is_inference()
    assert same(fe.collect_statistics(tiny_model, made), expected)
    with torch.inference_mode():
        assert same(fe.collect_statistics(tiny_model, iter(made)), expected)


def test_class_numbers_of_another_whole_type_and_shape(tiny_model: Any, batches: Batches) -> None:
    expected = fe.collect_statistics(tiny_model, batches)
    value = fe.evaluate(tiny_model, batches).value
    for change in (Tensor.int, Tensor.short, lambda labels: labels[:, None]):
        changed = [{**batch, "labels": change(batch["labels"])} for batch in batches]
        assert same(fe.collect_statistics(tiny_model, changed), expected)
        assert fe.evaluate(tiny_model, changed).value == value


def test_an_input_given_once_for_all_examples(tiny_model: Any, batches: Batches) -> None:
    types = torch.zeros(1, 12, dtype=torch.long)
    given = [{**batch, "token_type_ids": types} for batch in batches]
    spread = [{**batch, "token_type_ids": types.expand(len(batch["labels"]), 12)} for batch in batches]
    assert same(fe.collect_statistics(tiny_model, given), fe.collect_statistics(tiny_model, spread))


def test_sampled_labels_do_not_look_at_those_of_the_data(tiny_model: Any, batches: Batches) -> None:
    expected = fe.collect_statistics(tiny_model, batches, labels="sampled")
    wrong = [{**batch, "labels": batch["labels"] + 7} for batch in batches]
    assert same(fe.collect_statistics(tiny_model, wrong, labels="sampled"), expected)


def test_numbers_of_numpy_are_numbers(tiny_model: Any) -> None:
    import numpy as np

    small = fe.compress(tiny_model, method="svd", rank=np.int64(5), limits=fe.RankLimits(smallest=np.int32(2)))
    assert small.config.to_json_string()
    assert weights_sha256(small) == weights_sha256(fe.compress(tiny_model, method="svd", rank=5))
    half = fe.compress(tiny_model, method="svd", ratio=np.float32(0.5))
    assert weights_sha256(half) == weights_sha256(fe.compress(tiny_model, method="svd", ratio=0.5))
