"""Operations counted by torch, against the sums of the shapes."""

from __future__ import annotations

from typing import Any

from fwsvd_export import compress
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.benchmark.operations import forward_operations


def linear_operations(model: Any, tokens: int, rank: int | None) -> int:
    weights = sum(
        layer.weights if rank is None else rank * (layer.out_features + layer.in_features)
        for layer in encoder_of(model).layers
    )
    return 2 * tokens * weights


def test_factors_save_exactly_the_operations_of_their_weights(tiny_model: Any) -> None:
    small = compress(tiny_model, method="svd", rank=4)
    saved = forward_operations(tiny_model, 2, 7) - forward_operations(small, 2, 7)
    assert saved == linear_operations(tiny_model, 14, None) - linear_operations(tiny_model, 14, 4)


def test_operations_grow_with_the_batch_in_proportion(tiny_model: Any) -> None:
    assert forward_operations(tiny_model, 6, 9) == 3 * forward_operations(tiny_model, 2, 9)


def test_the_products_of_attention_are_counted(tiny_model: Any) -> None:
    layers, hidden = tiny_model.config.num_hidden_layers, tiny_model.config.hidden_size
    linear = {length: forward_operations(tiny_model, 1, length) for length in (5, 10)}
    # Linear layers double with the length, the pooler and the head stay, scores and contexts are length² each
    attention = {length: 2 * 2 * layers * hidden * length**2 for length in linear}
    encoder = {length: linear_operations(tiny_model, length, None) for length in linear}
    rest = {length: linear[length] - attention[length] - encoder[length] for length in linear}
    assert rest[5] == rest[10] > 0


def test_the_training_mode_stays(tiny_model: Any) -> None:
    tiny_model.train()
    forward_operations(tiny_model, 1, 4)
    assert tiny_model.training
