"""Hooks and evaluation mode leave the model as it was, also when a pass fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from fwsvd_export.checkpoints.weights import weights_sha256
from fwsvd_export.errors import DataError
from fwsvd_export.fisher import collect_statistics
from fwsvd_export.records import Statistics

EVERYTHING = ("kfac", "row", "element")
Batches = list[dict[str, Tensor]]
MakeBatches = Callable[..., Batches]
AssertSame = Callable[[Statistics, Statistics], None]


def state_of(model: Any) -> dict[str, Any]:
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "training": {name: module.training for name, module in model.named_modules()},
        "requires_grad": {name: parameter.requires_grad for name, parameter in model.named_parameters()},
        "gradients": {name: None if p.grad is None else p.grad.tolist() for name, p in model.named_parameters()},
        "weights": weights_sha256(model),
        "hooks": sum(len(getattr(module, kind)) for module in model.modules() for kind in hooks),
    }


def disturb(model: Any, frozen: str) -> None:
    """Modes, gradients and frozen parameters as an ordinary caller may have them."""
    model.train()
    model.bert.encoder.layer[0].eval()
    for index, (name, parameter) in enumerate(model.named_parameters()):
        parameter.requires_grad_(not (frozen == "all" or (frozen == "some" and index % 2 == 0)))
        if "encoder.layer.1" in name:
            parameter.grad = torch.full_like(parameter, 0.5)


@pytest.mark.parametrize("frozen", ["none", "some", "all"])
def test_collecting_leaves_the_model_as_it_was(
    frozen: str, tiny_model: Any, make_batches: MakeBatches, assert_same: AssertSame
) -> None:
    expected = collect_statistics(tiny_model, make_batches(4, 2), collect=EVERYTHING)
    disturb(tiny_model, frozen)
    before = state_of(tiny_model)
    assert_same(collect_statistics(tiny_model, make_batches(4, 2), collect=EVERYTHING), expected)
    assert state_of(tiny_model) == before
    assert before["hooks"] == 0


def test_a_failure_leaves_the_model_as_it_was_too(tiny_model: Any, make_batches: MakeBatches) -> None:
    disturb(tiny_model, "some")
    before = state_of(tiny_model)
    with pytest.raises(DataError, match="no labels"):
        collect_statistics(tiny_model, [*make_batches(2, 2), {"input_ids": torch.tensor([[5, 6]])}])
    assert state_of(tiny_model) == before


def test_collecting_works_where_gradients_are_switched_off(
    tiny_model: Any, make_batches: MakeBatches, assert_same: AssertSame
) -> None:
    expected = collect_statistics(tiny_model, make_batches(4, 2))
    with torch.no_grad():
        assert_same(collect_statistics(tiny_model, make_batches(4, 2)), expected)
        assert not torch.is_grad_enabled()
