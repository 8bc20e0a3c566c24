"""One forward pass of a model, as predictions: what statistics, measurements and training compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.inputs import LABEL_KEYS
from fwsvd_export.fisher.targets import Prediction, predictions_of, softened


def predict(
    encoder: Encoder, batch: Mapping[str, Tensor], temperature: float = 1.0, model: Any = None
) -> list[Prediction]:
    """What a model predicts of a batch, beside the labels that the batch has.

    Args:
        encoder: the adapter of the model.
        batch: on any device.
        temperature: logits are divided by it.
        model: another model of the same kind on the same device, in the place of the adapter's own.
    """
    placed = {name: values.to(encoder.device) for name, values in batch.items()}
    inputs = {name: values for name, values in placed.items() if name not in LABEL_KEYS}
    outputs = (encoder.model if model is None else model)(**inputs, return_dict=True)
    return softened(predictions_in(encoder, outputs, placed), temperature)


def predictions_in(encoder: Encoder, outputs: Any, batch: Mapping[str, Tensor]) -> list[Prediction]:
    """The predictions in what a model of the adapter's kind returned for a batch, with the batch's labels."""
    return predictions_of(encoder.head.predicts, encoder.model.config, outputs, batch, encoder.embed)
