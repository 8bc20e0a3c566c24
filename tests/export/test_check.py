"""The check finds what differs."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.export.check import Shape, differences, shapes_up_to, worst_of
from tests.helpers import tiny_head

SHAPES = shapes_up_to(64)


class Echo:
    """A torch model in the place of the exported one; ``change`` is done to its logits."""

    def __init__(self, model: Any, change: Any = lambda logits, inputs: logits) -> None:
        self._model, self._change = model, change

    def __call__(self, **inputs: Tensor) -> SimpleNamespace:
        with torch.inference_mode():
            return SimpleNamespace(logits=self._change(self._model(**inputs).logits, inputs))


def largest(model: Any, exported: Any) -> float:
    return worst_of(differences(encoder_of(model), exported, SHAPES)).max_difference


def test_lengths_stay_within_the_positions_and_one_token_is_never_padded() -> None:
    assert {shape.length for shape in shapes_up_to(512)} == {1, 7, 128, 512}
    assert {shape.length for shape in SHAPES} == {1, 7, 64}
    assert {shape.length for shape in shapes_up_to(3)} == {1, 3}
    for length in (7, 128, 512):
        found = {(shape.batch_size, shape.padded) for shape in shapes_up_to(1024) if shape.length == length}
        assert found == {(1, False), (1, True), (8, False), (8, True)}
    assert {shape.padded for shape in SHAPES if shape.length == 1} == {False}
    assert str(Shape(8, 64, padded=True)) == "batch 8, length 64, padded"


def test_the_model_itself_does_not_differ_and_every_shape_is_told(tiny_model: Any) -> None:
    steps: list[str] = []
    found = differences(encoder_of(tiny_model), Echo(tiny_model), SHAPES, lambda: steps.append(""))
    assert [row.shape for row in found] == list(SHAPES)
    assert {row.max_difference for row in found} == {0.0}
    assert len(steps) == len(SHAPES)


@pytest.mark.parametrize("name", ["bert.embeddings.token_type_embeddings.weight", "classifier.bias"])
def test_another_weight_is_seen(name: str, tiny_model: Any) -> None:
    other = copy.deepcopy(tiny_model)
    with torch.no_grad():
        dict(other.named_parameters())[name].view(-1)[-1] += 0.1
    assert largest(tiny_model, Echo(other)) > 1e-3


def test_a_mask_that_is_not_looked_at_is_seen_where_there_is_padding(tiny_model: Any) -> None:
    def unmasked(logits: Tensor, inputs: dict[str, Tensor]) -> Tensor:
        result: Tensor = tiny_model(**{**inputs, "attention_mask": torch.ones_like(inputs["input_ids"])}).logits
        return result

    found = differences(encoder_of(tiny_model), Echo(tiny_model, unmasked), SHAPES)
    assert all((row.max_difference > 1e-3) == row.shape.padded for row in found)
    assert worst_of(found).shape.padded


@pytest.mark.parametrize(
    "change", [lambda logits, inputs: logits[:, :1], lambda logits, inputs: logits * math.nan], ids=["shape", "nan"]
)
def test_another_shape_and_nan_are_infinitely_far(change: Any, tiny_model: Any) -> None:
    assert largest(tiny_model, Echo(tiny_model, change)) == math.inf


@pytest.mark.parametrize(("where", "seen"), [("padding", False), ("tokens", True)])
def test_padding_is_not_looked_at_where_the_ways_to_compute_it_differ(where: str, seen: bool) -> None:
    model = tiny_head("ModernBertForTokenClassification")

    def change(logits: Tensor, inputs: dict[str, Tensor]) -> Tensor:
        kept = inputs["attention_mask"].bool()
        return logits + (kept if where == "tokens" else ~kept)[..., None]

    found = differences(encoder_of(model), Echo(model, change), [Shape(8, 64, padded=True)])
    assert (worst_of(found).max_difference > 0.9) is seen


def test_padding_is_looked_at_where_it_is_defined(make_head: Any) -> None:
    model = make_head("BertForTokenClassification")

    def change(logits: Tensor, inputs: dict[str, Tensor]) -> Tensor:
        return logits + ~inputs["attention_mask"].bool()[..., None]

    found = differences(encoder_of(model), Echo(model, change), [Shape(8, 64, padded=True)])
    assert worst_of(found).max_difference > 0.9
