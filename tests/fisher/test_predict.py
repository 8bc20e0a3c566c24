"""One forward pass: of the adapter's model or another, with the batch's labels, softened when asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.fisher.predict import predict

BATCH = {
    "input_ids": torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]]),
    "attention_mask": torch.tensor([[1] * 4, [1] * 3 + [0]]),
}


def test_a_head_predicts_its_logits_divided_by_the_temperature_and_keeps_the_labels(
    make_head: Callable[..., Any],
) -> None:
    model = make_head("BertForSequenceClassification")
    labels = torch.tensor([0, 1])
    with torch.no_grad():
        (prediction,) = predict(encoder_of(model), {**BATCH, "labels": labels}, temperature=2.0)
        torch.testing.assert_close(prediction.values[:, 0], model(**BATCH).logits / 2)
    assert prediction.labels is not None
    assert torch.equal(prediction.labels, labels)


def test_another_model_of_the_kind_can_be_asked(make_head: Callable[..., Any]) -> None:
    model, other = (make_head("BertForSequenceClassification") for _ in range(2))
    torch.nn.init.normal_(other.classifier.weight)
    with torch.no_grad():
        (prediction,) = predict(encoder_of(model), BATCH, model=other)
        torch.testing.assert_close(prediction.values[:, 0], other(**BATCH).logits)
        assert not torch.equal(other(**BATCH).logits, model(**BATCH).logits)


def test_a_bare_encoder_predicts_its_embedding_as_the_adapter_makes_it(make_head: Callable[..., Any]) -> None:
    model = make_head("BertModel")
    first = encoder_of(model, lambda hidden, mask: hidden[:, 0])
    with torch.no_grad():
        hidden = model(**BATCH).last_hidden_state
        (mean,), (cls,) = predict(encoder_of(model), BATCH), predict(first, BATCH)
    torch.testing.assert_close(cls.values[:, 0], hidden[:, 0])
    torch.testing.assert_close(mean.values[1, 0], hidden[1, :3].mean(dim=0))
