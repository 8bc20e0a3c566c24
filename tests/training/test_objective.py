"""What is minimised is zero at the teacher, has a gradient for every head, and refuses teachers that do not fit."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

import fwsvd_export as fe
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.errors import TrainingError
from fwsvd_export.fisher import hidden_states
from fwsvd_export.fisher.divergence import divergences
from fwsvd_export.fisher.hidden_states import hidden_state_roots
from fwsvd_export.fisher.targets import Prediction
from fwsvd_export.training.objective import Distillation, check_teacher, has_comparable_states, hidden_loss
from fwsvd_export.training.teacher import Teacher
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
    loss = Distillation(Teacher(encoder), hidden_state_roots(encoder, [batch]))
    assert float(loss(teacher, encoder, batch).detach().abs()) < 1e-5
    small = fe.compress(teacher, method="svd", rank=4)
    found = loss(small, encoder_of(small), batch)
    found.backward()
    gradients = [encoder_of(small).module(layer.name).up.weight.grad for layer in encoder.layers]
    assert float(found.detach()) > 1e-4
    assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
    assert float(gradients[0].abs().max()) > 0


def test_padding_does_not_count(tiny_model: Any) -> None:
    small, teacher, batch = fe.compress(tiny_model, method="svd", rank=4), encoder_of(tiny_model), batch_of(tiny_model)
    loss = Distillation(Teacher(teacher), hidden_state_roots(teacher, [batch]))
    encoder = encoder_of(small)
    parts = [
        {name: values[place : place + 1, :length] for name, values in batch.items()}
        for place, length in ((0, 6), (1, 4))
    ]
    apart = torch.stack([loss(small, encoder, part) for part in parts]).mean()
    assert torch.allclose(loss(small, encoder, batch), apart, rtol=1e-4)


def test_labels_count_only_with_a_weight(tiny_model: Any) -> None:
    small = fe.compress(tiny_model, method="svd", rank=4)
    batch = {**batch_of(tiny_model), "labels": torch.tensor([0, 1])}
    plain, other = (Distillation(Teacher(encoder_of(tiny_model)), label_weight=weight) for weight in (0.0, 1.0))
    own = small(**batch).loss
    assert torch.allclose(other(small, encoder_of(small), batch), plain(small, encoder_of(small), batch) + own)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_hidden_states_loss_is_what_their_errors_do_to_the_softened_predictions(
    tiny_model: Any, monkeypatch: pytest.MonkeyPatch, temperature: float
) -> None:
    monkeypatch.setattr(hidden_states, "DAMPING", 0.01)
    # The head reads the first token of the last layer alone, through the pooler: errors there are what counts
    teacher = encoder_of(tiny_model)
    batches = [{"input_ids": torch.randint(5, VOCABULARY, (64, 5), generator=torch.Generator().manual_seed(2))}] * 64
    root = hidden_state_roots(teacher, batches, temperature=temperature)[-1]
    with torch.no_grad():
        state = tiny_model(**batches[0], output_hidden_states=True).hidden_states[-1]
        error = torch.zeros_like(state)
        error[:, 0] = 1e-2 * torch.randn(64, state.shape[-1], generator=torch.Generator().manual_seed(3))
        logits = [tiny_model.classifier(tiny_model.bert.pooler(found)) for found in (state, state + error)]
        before, after = ([Prediction("categorical", found[:, None] / temperature, None)] for found in logits)
        moved = temperature**2 * divergences(before, after).mean()
        found = hidden_loss((state,), (state + error,), (root,), None, 64)
    assert 0.7 * moved < found < 1.5 * moved, "damping and the mean over examples are the difference"


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
