"""The embedding of a text as one more output of an exported model, beside its hidden states."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.heads import BATCH, Axes
from fwsvd_export.architectures.inputs import MASK
from fwsvd_export.errors import ExportError

EMBEDDING = "sentence_embedding"  # as sentence-transformers calls it


def check_pooled(encoder: Encoder) -> None:
    """Refuses a model that gives no hidden states to pool.

    Raises:
        ExportError: it has a head.
    """
    if encoder.head.predicts != "embedding":
        raise ExportError(
            f"--pooled writes the embedding of a text, and this is a {encoder.dense_class_name}; leave it out, or give "
            "an encoder without a head"
        )


def outputs_of(encoder: Encoder, pooled: bool) -> dict[str, Axes]:
    """The outputs of the exported model by name, with their free axes, in order."""
    return {**encoder.outputs, **({EMBEDDING: {0: BATCH}} if pooled else {})}


def output_values(encoder: Encoder, model: Any, inputs: dict[str, Tensor], pooled: bool) -> dict[str, Tensor]:
    """The outputs of a torch model, by name.

    Args:
        encoder: whose outputs and embedding they are.
        model: that is called.
        inputs: what it takes by keyword, with a mask.
        pooled: whether the embedding is one of them.
    """
    found = model(**inputs, return_dict=True, output_hidden_states=False, output_attentions=False)
    values = {name: getattr(found, name) for name in encoder.outputs}
    if pooled:
        values[EMBEDDING] = encoder.embed(found.last_hidden_state, inputs[MASK])
    return values
