"""Balanced factors have one size and the same product."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

import fwsvd_export as fe
from fwsvd_export.architectures.registry import FAMILIES, encoder_of
from fwsvd_export.training.balance import balance_factors
from tests.helpers import tiny_head


@how(max_examples=12)
@given(family=st.sampled_from(sorted(FAMILIES)), rank=st.integers(1, 10), scale=st.floats(1e-3, 1e3))
def test_the_product_stays_and_the_sizes_are_equal(family: str, rank: int, scale: float) -> None:
    small = fe.compress(tiny_head(f"{FAMILIES[family].prefix}ForSequenceClassification"), method="svd", rank=rank)
    encoder = encoder_of(small)
    factorised = [encoder.module(layer.name) for layer in encoder.layers]
    with torch.no_grad():
        for layer in factorised:
            layer.up.weight.mul_(scale)
            layer.down.weight.div_(scale)
    before = [(layer.up.weight @ layer.down.weight).detach() for layer in factorised]
    assert balance_factors(encoder) == len(factorised)
    for layer, product in zip(factorised, before, strict=True):
        assert torch.allclose(layer.up.weight @ layer.down.weight, product, atol=1e-4 * float(product.abs().max()))
        assert torch.allclose(layer.up.weight.norm(dim=0), layer.down.weight.norm(dim=1), rtol=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_dense_model_stays_as_it_is(family: str) -> None:
    model = tiny_head(f"{FAMILIES[family].prefix}ForSequenceClassification")
    before = {name: values.clone() for name, values in model.state_dict().items()}
    assert balance_factors(encoder_of(model)) == 0
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())
