"""The divergence of two predictions is that of torch's own distributions, and what the Fisher approximates."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, Normal, kl_divergence
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from fwsvd_export.fisher.divergence import divergences
from fwsvd_export.fisher.targets import SQUARED_ERROR_DEVIATION, Prediction, example_losses, predictions_of

Pair = tuple[Tensor, Tensor]


@pytest.fixture
def pair() -> Pair:
    """Values of two predictions: 4 examples, 5 positions, 3 classes."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 5, 3, generator=generator), torch.randn(4, 5, 3, generator=generator)


def rises(kind: str, before: Tensor, after: Tensor, present: Tensor | None = None) -> Tensor:
    return divergences([Prediction(kind, before, None, present)], [Prediction(kind, after, None, present)])


def test_classes_at_every_position_are_averaged(pair: Pair) -> None:
    old, new = (Categorical(logits=values) for values in pair)
    torch.testing.assert_close(rises("categorical", *pair), kl_divergence(old, new).mean(dim=1))


def test_padding_does_not_count(pair: Pair) -> None:
    lengths = torch.tensor([5, 3, 1, 0])
    present = torch.arange(5) < lengths[:, None]
    old, new = (Categorical(logits=values) for values in pair)
    expected = (kl_divergence(old, new) * present).sum(dim=1) / lengths.clamp_min(1)
    torch.testing.assert_close(rises("categorical", *pair, present), expected)
    assert expected[3] == 0
    changed = pair[1].clone()
    changed[~present] = 17.0
    assert torch.equal(rises("categorical", pair[0], changed, present), rises("categorical", *pair, present))


def test_single_decisions_are_averaged(pair: Pair) -> None:
    old, new = (Bernoulli(logits=values) for values in pair)
    torch.testing.assert_close(rises("bernoulli", *pair), kl_divergence(old, new).mean(dim=(1, 2)))


def test_numbers_differ_by_the_squared_error(pair: Pair) -> None:
    found = rises("gaussian", *pair)
    torch.testing.assert_close(found, (pair[0] - pair[1]).square().mean(dim=(1, 2)))
    old, new = (Normal(values, SQUARED_ERROR_DEVIATION) for values in pair)
    torch.testing.assert_close(found, kl_divergence(old, new).mean(dim=(1, 2)))


def test_several_predictions_add_up_and_two_ends_of_a_span_are_averaged(pair: Pair) -> None:
    before, after = ([Prediction("categorical", values, None)] * 2 for values in pair)
    torch.testing.assert_close(divergences(before, after), 2 * rises("categorical", *pair))
    before, after = ([Prediction("categorical", values[:, :1], None)] * 2 for values in pair)
    torch.testing.assert_close(divergences(before, after), rises("categorical", pair[0][:, :1], pair[1][:, :1]))


@pytest.mark.parametrize("kind", ["categorical", "bernoulli", "gaussian"])
def test_equal_predictions_do_not_diverge_and_others_do(kind: str, pair: Pair) -> None:
    assert torch.equal(rises(kind, pair[0], pair[0].clone()), torch.zeros(4))
    assert (rises(kind, *pair) > 0).all()


def test_classes_that_both_rule_out_do_not_matter(pair: Pair) -> None:
    ruled_out = torch.full((4, 5, 1), float("-inf"))
    wider = [torch.cat([values, ruled_out], dim=2) for values in pair]
    torch.testing.assert_close(rises("categorical", *wider), rises("categorical", *pair))


@pytest.mark.parametrize("size", [1e2, 1e30])
def test_predictions_that_are_all_but_certain_give_numbers(size: float, pair: Pair) -> None:
    certain = pair[0].sign() * size
    assert torch.equal(rises("bernoulli", certain, certain), torch.zeros(4))
    assert (rises("bernoulli", certain, -certain) > 0.99 * size).all()
    assert torch.isfinite(rises("categorical", certain, pair[1])).all()


def test_half_precision_is_widened_first(pair: Pair) -> None:
    halves = [values.bfloat16() for values in pair]
    assert torch.equal(rises("categorical", *halves), rises("categorical", *[values.float() for values in halves]))


@pytest.mark.parametrize(
    ("class_name", "settings", "predicts", "decisions"),
    [
        ("BertForSequenceClassification", {"num_labels": 3}, "sequence", 1),
        ("BertForSequenceClassification", {"num_labels": 1, "problem_type": "regression"}, "sequence", 1),
        ("BertForSequenceClassification", {"problem_type": "multi_label_classification"}, "sequence", 2),
        ("BertForQuestionAnswering", {}, "span", 2),
        ("BertForTokenClassification", {}, "tokens", 9),
    ],
)
def test_small_steps_diverge_by_half_the_form_of_the_sampled_fisher(
    class_name: str,
    settings: dict[str, Any],
    predicts: str,
    decisions: int,
    make_head: Callable[..., Any],
    head_inputs: Callable[[str], dict[str, Tensor]],
) -> None:
    """A loss that is the mean of several decisions has a Fisher as many times smaller: their labels are independent."""
    model = make_head(class_name, **settings)
    one = {name: tensor[:1] for name, tensor in head_inputs(class_name).items()}
    weight = [model.get_submodule("bert.encoder.layer.1.output.dense").weight]
    generator = torch.Generator().manual_seed(1)

    def predict(moved: Any) -> list[Prediction]:
        return predictions_of(predicts, moved.config, moved(**one, return_dict=True), one)

    direction = torch.randn(weight[0].numel(), generator=generator)
    slopes = []
    before = predict(model)
    for draw in range(1500):
        (loss,) = example_losses(before, "sampled", seed=1, indices=[draw])
        (gradient,) = torch.autograd.grad(loss, weight, retain_graph=True)
        slopes.append(gradient.flatten() @ direction)
    predicted = 0.5 * decisions * torch.stack(slopes).square().mean()

    found = []
    for step in (2e-3, -2e-3):  # the third order of the two steps cancels
        moved = copy.deepcopy(model)
        changed = [moved.get_submodule("bert.encoder.layer.1.output.dense").weight]
        vector_to_parameters(parameters_to_vector(changed) + step * direction, changed)
        with torch.no_grad():
            (rise,) = divergences(before, predict(moved))
        found.append(float(rise) / step**2)
    assert sum(found) / 2 == pytest.approx(float(predicted), rel=0.15)
