"""The Fisher information of hidden states: its definition, example by example, and what must not change it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.fisher import hidden_states as module
from fwsvd_export.fisher.hidden_states import hidden_state_roots
from tests.helpers import VOCABULARY, tiny_head


def batches_of(sizes: tuple[int, ...]) -> list[dict[str, torch.Tensor]]:
    rows = torch.randint(5, VOCABULARY, (sum(sizes), 6), generator=torch.Generator().manual_seed(0))
    return [{"input_ids": part} for part in rows.split(list(sizes))]


def test_it_is_the_second_moment_of_gradients_at_the_hidden_states(tiny_model: Any) -> None:
    # A regression's loss is squared error: with labels drawn with variance one half its gradient has a known moment
    model = tiny_head("BertForSequenceClassification", num_labels=1, problem_type="regression")
    encoder = encoder_of(model)
    batch = batches_of((module.EXAMPLES,))[0]
    (root,) = hidden_state_roots(encoder, [batch])[-1:]
    state = model(**batch, output_hidden_states=True).hidden_states[-1].detach().requires_grad_()
    (gradient,) = torch.autograd.grad(model.classifier(model.bert.pooler(state)).sum(), state)
    rows = gradient.flatten(0, 1)
    expected = 2 * rows.T @ rows / len(state)  # E (2 (mean - label))^2 = 4 * 1/2
    found = root @ root.T
    damping = module.DAMPING * found.diagonal().mean() / (1 + module.DAMPING)
    undamped = found - damping * torch.eye(len(found))
    assert torch.linalg.norm(undamped - expected) < 0.25 * torch.linalg.norm(expected), "labels are drawn once"


def test_padding_changes_nothing(tiny_model: Any) -> None:
    encoder = encoder_of(tiny_model)
    (batch,) = batches_of((8,))
    padded = {
        "input_ids": torch.nn.functional.pad(batch["input_ids"], (0, 3)),
        "attention_mask": torch.nn.functional.pad(torch.ones_like(batch["input_ids"]), (0, 3)),
    }
    pairs = zip(hidden_state_roots(encoder, [batch]), hidden_state_roots(encoder, [padded]), strict=True)
    for plain, other in pairs:
        found, expected = other @ other.T, plain @ plain.T
        assert torch.linalg.norm(found - expected) < 1e-3 * torch.linalg.norm(expected)


def test_no_more_batches_are_read_than_are_needed(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXAMPLES", 8)
    read = []

    class Counted(list[Any]):
        def __getitem__(self, place: Any) -> Any:
            read.append(place)
            return super().__getitem__(place)

    before = {name: values.clone() for name, values in tiny_model.state_dict().items()}
    hidden_state_roots(encoder_of(tiny_model), Counted(batches_of((4,) * 10)))
    assert len(read) == 2
    assert all(torch.equal(values, before[name]) for name, values in tiny_model.state_dict().items())
    assert all(parameter.grad is None for parameter in tiny_model.parameters())


def test_a_model_that_predicts_the_same_of_everything_needs_no_direction(tiny_model: Any) -> None:
    with torch.no_grad():
        tiny_model.classifier.weight.zero_()
    for root in hidden_state_roots(encoder_of(tiny_model), batches_of((4,))):
        assert torch.equal(root, torch.zeros_like(root))


def test_a_temperature_is_that_of_the_predictions_and_keeps_their_unit() -> None:
    # Logits half as large, and an error that counts four times: T² times the divergence of softened predictions
    model = tiny_head("BertForSequenceClassification")
    softer = tiny_head("BertForSequenceClassification")
    with torch.no_grad():
        softer.classifier.weight /= 2
        softer.classifier.bias /= 2
    found = hidden_state_roots(encoder_of(model), batches_of((64,)), temperature=2.0)
    expected = hidden_state_roots(encoder_of(softer), batches_of((64,)), temperature=1.0)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours @ ours.T, 4 * theirs @ theirs.T, rtol=1e-3, atol=1e-6)


def test_a_regression_has_no_temperature() -> None:
    encoder = encoder_of(tiny_head("BertForSequenceClassification", num_labels=1, problem_type="regression"))
    pairs = (hidden_state_roots(encoder, batches_of((8,)), temperature=temperature) for temperature in (1.0, 4.0))
    assert all(torch.equal(*pair) for pair in zip(*pairs, strict=True))
