"""A last layer of which one token is read costs two inner products per token, under the heads that read no more."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from fwsvd_export import compress
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.export.encoder import with_fast_encoder
from tests.helpers import FAST_HEADS


@pytest.mark.parametrize("rank", [None, 3])
@pytest.mark.parametrize("class_name", FAST_HEADS)
def test_the_last_layer_is_for_the_first_token_alone_where_no_other_is_read(
    class_name: str, rank: int | None, make_head: Any
) -> None:
    model = make_head(class_name)
    model = model if rank is None else compress(model, method="svd", rank=rank)
    encoder = encoder_of(model)
    base = encoder.head.auto_class == "AutoModel"
    fast: Any = with_fast_encoder(encoder_of(copy.deepcopy(model)), math.inf)
    fast = fast if base else getattr(fast, fast.base_model_prefix)
    *_, last = next(module for module in fast.modules() if isinstance(module, torch.nn.ModuleList))
    width = model.config.hidden_size

    def operations(length: int) -> int:
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            out = last(torch.zeros(1, length, width), torch.zeros(1, length))
        assert out.shape[1] == (1 if encoder.head.reads_first_token else length)
        return counter.get_total_flops()

    more = operations(40) - operations(8)
    inner_products = 2 * 2 * 32 * width * model.config.num_attention_heads
    assert (more == inner_products) is encoder.head.reads_first_token
    assert more >= inner_products


def test_heads_that_read_the_first_token_are_those_whose_output_depends_on_no_other(make_head: Any) -> None:
    for class_name in FAST_HEADS:
        model = make_head(class_name).eval()
        head = encoder_of(model).head
        states = torch.randn(1, 6, model.config.hidden_size, generator=torch.Generator().manual_seed(0))
        changed = states + torch.arange(6).sign()[None, :, None]  # every token but the first

        def outputs(hidden: torch.Tensor, model: Any = model, head: Any = head) -> list[torch.Tensor]:
            base = encoder_of(model).base
            layers = next(module for module in base.modules() if isinstance(module, torch.nn.ModuleList))
            hook = layers[-1].register_forward_hook(lambda _, __, out: (hidden,) if isinstance(out, tuple) else hidden)
            ids = torch.zeros(1, 1, 6, dtype=torch.long) if head.has_choices else torch.zeros(1, 6, dtype=torch.long)
            with torch.inference_mode():
                found = model(input_ids=ids)
            hook.remove()
            return [getattr(found, name) for name in encoder_of(model).outputs]

        same = all(map(torch.equal, outputs(states), outputs(changed)))
        assert same is head.reads_first_token, class_name
