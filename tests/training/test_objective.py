"""What is minimised is zero at the teacher, has a gradient for every head, and refuses teachers that do not fit."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

import fwsvd_export as fe
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.errors import TrainingError
from fwsvd_export.training.objective import Distillation, check_teacher, has_comparable_states, hidden_error
from tests.helpers import HEADS, VOCABULARY, tiny_head


def batch_of(model: Any) -> dict[str, torch.Tensor]:
    """Two examples, one of them padded; two choices each where the head has choices."""
    shape = (2, 2, 6) if encoder_of(model).head.has_choices else (2, 6)
    ids = torch.randint(5, VOCABULARY, shape, generator=torch.Generator().manual_seed(1))
    mask = torch.ones(shape, dtype=torch.int64)
    mask[1, ..., 4:] = 0
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("head", HEADS)
def test_a_loss_of_every_head_is_zero_at_the_teacher_and_has_a_gradient_elsewhere(head: str) -> None:
    teacher = tiny_head(head)
    encoder, batch = encoder_of(teacher), batch_of(teacher)
    loss = Distillation(encoder)
    assert float(loss(teacher, encoder, batch).detach().abs()) < 1e-5
    small = fe.compress(teacher, method="svd", rank=4)
    found = loss(small, encoder_of(small), batch)
    found.backward()
    gradients = [encoder_of(small).module(layer.name).up.weight.grad for layer in encoder.layers]
    assert float(found.detach()) > 1e-4
    assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
    assert float(gradients[0].abs().max()) > 0


def test_padding_does_not_count(tiny_model: Any) -> None:
    small, loss = fe.compress(tiny_model, method="svd", rank=4), Distillation(encoder_of(tiny_model), hidden_weight=0)
    encoder, batch = encoder_of(small), batch_of(tiny_model)
    parts = [
        {name: values[place : place + 1, :length] for name, values in batch.items()}
        for place, length in ((0, 6), (1, 4))
    ]
    apart = torch.stack([loss(small, encoder, part) for part in parts]).mean()
    assert torch.allclose(loss(small, encoder, batch), apart, atol=1e-6)
    states = [small(**part, output_hidden_states=True).hidden_states for part in (batch, parts[0])]
    right = tuple(torch.zeros_like(state) + torch.arange(float(state.shape[-1])) for state in states[0])
    one = hidden_error(tuple(state[:1] for state in right), tuple(state[:1] for state in states[0]), None)
    masked = hidden_error(right, states[0], torch.tensor([[1] * 6, [0] * 6]))
    assert torch.allclose(one, masked, rtol=1e-4)


def test_labels_count_only_with_a_weight(tiny_model: Any) -> None:
    small = fe.compress(tiny_model, method="svd", rank=4)
    batch = {**batch_of(tiny_model), "labels": torch.tensor([0, 1])}
    plain, other = (Distillation(encoder_of(tiny_model), label_weight=weight) for weight in (0.0, 1.0))
    own = small(**batch).loss
    assert torch.allclose(other(small, encoder_of(small), batch), plain(small, encoder_of(small), batch) + own)


def test_hidden_error_is_relative_to_the_spread_of_the_teacher() -> None:
    right = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))
    states = (right, right), (right, right * 2)
    scaled = tuple((first * 100, second * 100) for first, second in states)
    assert torch.allclose(hidden_error(*states, None), hidden_error(*scaled, None), rtol=1e-4)
    mean = right.flatten(0, 1).mean(dim=0)
    assert torch.allclose(hidden_error((right, right), (right, mean.expand_as(right)), None), torch.tensor(1.0))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_labels": 3}, "number of outputs is 3, and the model's is 2"),
        ({"id2label": {0: "bad", 1: "good"}}, "classes is bad, good, and the model's is LABEL_0, LABEL_1"),
        ({"vocab_size": VOCABULARY + 1}, f"vocabulary size is {VOCABULARY + 1}, and the model's is {VOCABULARY}"),
    ],
)
def test_a_teacher_of_another_kind_is_refused(tiny_model: Any, changes: dict[str, Any], said: str) -> None:
    teacher = tiny_head("BertForSequenceClassification", **changes)
    with pytest.raises(TrainingError, match=said) as caught:
        check_teacher(encoder_of(tiny_model), encoder_of(teacher))
    assert "give the dense model that it was compressed from" in str(caught.value)


def test_a_problem_type_counts_where_both_have_one(tiny_model: Any) -> None:
    teacher = tiny_head("BertForSequenceClassification", problem_type="multi_label_classification")
    check_teacher(encoder_of(tiny_model), encoder_of(teacher))
    tiny_model.config.problem_type = "single_label_classification"
    with pytest.raises(TrainingError, match="problem type is multi_label_classification, and the model's is single_"):
        check_teacher(encoder_of(tiny_model), encoder_of(teacher))


def test_a_teacher_with_another_head_is_refused(tiny_model: Any) -> None:
    with pytest.raises(TrainingError, match="head is ForTokenClassification, and the model's is ForSequence"):
        check_teacher(encoder_of(tiny_model), encoder_of(tiny_head("BertForTokenClassification")))


def test_a_teacher_of_another_family_may_not_take_what_the_model_does_not() -> None:
    model, teacher = (tiny_head(f"{family}ForSequenceClassification") for family in ("DistilBert", "Bert"))
    with pytest.raises(TrainingError, match="give a teacher of the same architecture"):
        check_teacher(encoder_of(model), encoder_of(teacher))


def test_hidden_states_are_compared_only_where_shapes_are_the_same(tiny_model: Any) -> None:
    deeper = tiny_head("BertForSequenceClassification", num_hidden_layers=3)
    assert has_comparable_states(encoder_of(tiny_model), encoder_of(copy.deepcopy(tiny_model)))
    assert not has_comparable_states(encoder_of(tiny_model), encoder_of(deeper))
