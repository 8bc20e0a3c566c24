"""Families that can hold MiniLM-L6's real weights: the same function at every step, from statistics to compression."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import fwsvd_export as fe
from fwsvd_export.architectures.registry import encoder_of
from tests.architectures.relaid import RELAID
from tests.architectures.relaid import minilm as loaded_minilm


@pytest.fixture(scope="module")
def minilm() -> Any:
    return loaded_minilm()


@pytest.fixture(scope="module", params=RELAID)
def relaid(request: pytest.FixtureRequest, minilm: Any) -> Any:
    return RELAID[request.param](minilm)


def batches(examples: int = 24, seed: int = 0) -> list[dict[str, Tensor]]:
    """Padded batches of token ids as they are common in MiniLM's vocabulary."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(4, 25, (examples,), generator=generator)
    ids = torch.randint(1996, 6000, (examples, 24), generator=generator)
    mask = (torch.arange(24)[None, :] < lengths[:, None]).long()
    return [
        {"input_ids": ids[at : at + 8] * mask[at : at + 8], "attention_mask": mask[at : at + 8]} for at in (0, 8, 16)
    ]


@torch.no_grad()
def states(model: Any) -> Tensor:
    """The last hidden states of the unmasked tokens of other batches than the models are calibrated on."""
    found = [(model(**batch).last_hidden_state, batch["attention_mask"].bool()) for batch in batches(seed=1)]
    return torch.cat([hidden[mask] for hidden, mask in found])


def test_the_layout_changes_nothing(minilm: Any, relaid: Any) -> None:
    torch.testing.assert_close(states(relaid), states(minilm), rtol=0, atol=1e-5)


def test_statistics_are_those_of_the_same_layers(minilm: Any, relaid: Any) -> None:
    theirs, ours = (fe.collect_statistics(model, batches(), labels="sampled") for model in (minilm, relaid))
    assert (ours.tokens, ours.examples) == (theirs.tokens, theirs.examples)
    pairs = zip(encoder_of(minilm).layers, encoder_of(relaid).layers, strict=True)
    for bert_layer, layer in pairs:
        for name in ("input_gram", "gradient_gram", "row_input", "row_output"):
            expected, found = (
                getattr(sums.layers[one.name], name) for sums, one in ((theirs, bert_layer), (ours, layer))
            )
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("reconstruct", [False, True])
def test_it_is_compressed_to_the_same_ranks_and_the_same_function(reconstruct: bool, minilm: Any, relaid: Any) -> None:
    # Which of two neurons that are needed alike goes first is decided by rounding, and everything after it follows
    options = {"ratio": 0.25, "labels": "sampled", "reconstruct": reconstruct, "widths": "keep"}
    theirs, ours = (fe.compress(model, batches(), **options) for model in (minilm, relaid))
    expected, found = (list(small.compression.plan.ranks.values()) for small in (theirs, ours))
    # A component more or less, where the losses of two differ by no more than rounding
    assert sum(abs((one or 0) - (other or 0)) for one, other in zip(expected, found, strict=True)) <= 12
    assert (ours.compression.reconstruction is not None) == reconstruct
    distance = (states(ours) - states(theirs)).square().mean()
    lost = (states(theirs) - states(minilm)).square().mean()
    assert distance < 0.01 * lost
