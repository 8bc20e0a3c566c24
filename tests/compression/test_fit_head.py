"""The head fitted to the compressed model's hidden states: nearer to the dense model, or as it was."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.head_alone import HeadAlone
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.checkpoints.weights import weights_sha256
from fwsvd_export.compression import fit_head as module
from fwsvd_export.compression.fit_head import FEWEST_TEXTS, fit_head
from fwsvd_export.compression.states import HiddenStates
from fwsvd_export.fisher.divergence import divergences
from fwsvd_export.fisher.targets import predictions_of
from tests.helpers import HEADS, tiny_head

STAY = ("Model", "ForMaskedLM", "ForPreTraining", "ForMultipleChoice")
FITTED = [name for name in HEADS if not name.endswith(STAY)]
LEFT = [name for name in HEADS if name.endswith(STAY)]


def states_of(texts: int, seed: int = 0) -> list[Tensor]:
    """Hidden states of texts of two lengths, in packs."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(texts // 4, length, 32, generator=generator) for length in (3, 3, 5, 5)]


def shrunken(states: list[Tensor], apart: bool = False) -> list[Tensor]:
    """As a regression's outputs are: nearer to a mean, and off it a little.

    Args:
        states: of the dense model.
        apart: in some directions more than in others, which a norm behind the last layer does not undo.
    """
    scale, shift = (torch.linspace(0.2, 0.6, 32), torch.linspace(0, 0.6, 32)) if apart else (0.4, 0.3)
    return [state * scale + shift + 0.05 * torch.randn(state.shape, generator=torch.Generator()) for state in states]


@torch.no_grad()
def divergence(dense: Encoder, small: Encoder, before: list[Tensor], after: list[Tensor]) -> float:
    """Mean over texts of how far the small model's predictions are from the dense one's."""
    found = []
    for right, own in zip(before, after, strict=True):
        pair = (HeadAlone(dense)(right), HeadAlone(small)(own))
        found.append(divergences(*(predictions_of(dense.head.predicts, dense.model.config, out, {}) for out in pair)))
    return float(torch.cat(found).mean())


def pair_of(name: str) -> tuple[Encoder, Encoder]:
    """Two models with the same weights."""
    first, second = tiny_head(name).eval(), tiny_head(name).eval()
    second.load_state_dict(first.state_dict())
    return encoder_of(first), encoder_of(second)


@pytest.mark.parametrize("name", FITTED)
def test_other_texts_are_predicted_more_as_the_dense_model_does(name: str) -> None:
    dense, small = pair_of(name)
    before, fresh = states_of(400), states_of(400, seed=1)
    after, fresh_after = (shrunken(part, apart=dense.closing is not None) for part in (before, fresh))
    at_first = divergence(dense, small, fresh, fresh_after)
    untouched = {key: value.clone() for key, value in small.base.state_dict().items() if not key.startswith("pooler")}
    assert fit_head(dense, small, HiddenStates(before), HiddenStates(after)) in module.PULLS
    assert divergence(dense, small, fresh, fresh_after) < 0.5 * at_first
    assert all(torch.equal(value, small.base.state_dict()[key]) for key, value in untouched.items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in small.model.parameters())


def test_the_linear_head_is_where_the_objective_is_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ITERATIONS", 500)
    dense, small = pair_of("BertForTokenClassification")
    before = states_of(200)
    after = shrunken(before)
    pull = fit_head(dense, small, HiddenStates(before), HiddenStates(after))
    assert pull is not None
    weight, bias = (value.detach().double() for value in small.model.classifier.parameters())
    old_weight, old_bias = (value.detach().double() for value in dense.model.classifier.parameters())
    slope_weight, slope_bias = pull * (weight - old_weight), pull * (bias - old_bias)
    for right, own in zip(before, after, strict=True):  # d KL / d logits = their softmax - the dense model's
        wanted = (right.double() @ old_weight.T + old_bias).softmax(-1)
        wrong = (own.double() @ weight.T + bias).softmax(-1) - wanted
        slope_weight += torch.einsum("slk,slw->kw", wrong, own.double()) / (200 * own.shape[1])
        slope_bias += wrong.sum(dim=(0, 1)) / (200 * own.shape[1])
    assert float(slope_weight.abs().max()) < 1e-4
    assert float(slope_bias.abs().max()) < 1e-4


@pytest.mark.parametrize("name", FITTED[:2])
def test_a_head_that_is_right_stays_bit_for_bit(name: str) -> None:
    dense, small = pair_of(name)
    states = states_of(200)
    digest = weights_sha256(small.model)
    assert fit_head(dense, small, HiddenStates(states), HiddenStates(states)) is None
    assert weights_sha256(small.model) == digest


@pytest.mark.parametrize(("name", "texts"), [*((name, 400) for name in LEFT), (FITTED[0], FEWEST_TEXTS - 4)])
def test_heads_without_weights_of_their_own_and_few_texts_are_left_alone(name: str, texts: int) -> None:
    dense, small = pair_of(name)
    digest, before = weights_sha256(small.model), states_of(texts)
    assert fit_head(dense, small, HiddenStates(before), HiddenStates(shrunken(before))) is None
    assert weights_sha256(small.model) == digest


def test_the_model_keeps_its_dtype_and_what_is_frozen_stays_so() -> None:
    dense, small = pair_of("BertForSequenceClassification")
    small.model.to(torch.bfloat16)
    small.model.classifier.requires_grad_(False)
    before = states_of(400)
    after: list[Any] = [state.bfloat16() for state in shrunken(before)]
    assert fit_head(dense, small, HiddenStates(before), HiddenStates(after)) is not None
    assert {parameter.dtype for parameter in small.model.parameters()} == {torch.bfloat16}
    assert not any(parameter.requires_grad for parameter in small.model.classifier.parameters())
