"""What goes into an exported model and what comes out, per head, with the names that optimum's ORTModels use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fwsvd_export.architectures.registry import any_family_of

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
BATCH, CHOICES, LENGTH = "batch_size", "num_choices", "sequence_length"

Axes = dict[int, str]
"""Number of a dimension that is free -> its name."""

_PER_SEQUENCE: Axes = {0: BATCH}
_PER_TOKEN: Axes = {0: BATCH, 1: LENGTH}
_PER_CHOICE: Axes = {0: BATCH, 1: CHOICES}
# Ending of a dense class name -> its outputs in order
_OUTPUTS: dict[str, dict[str, Axes]] = {
    "Model": {"last_hidden_state": _PER_TOKEN, "pooler_output": _PER_SEQUENCE},
    "ForMaskedLM": {"logits": _PER_TOKEN},
    "ForSequenceClassification": {"logits": _PER_SEQUENCE},
    "ForTokenClassification": {"logits": _PER_TOKEN},
    "ForQuestionAnswering": {"start_logits": _PER_TOKEN, "end_logits": _PER_TOKEN},
    "ForMultipleChoice": {"logits": _PER_CHOICE},
    "ForNextSentencePrediction": {"logits": _PER_SEQUENCE},
    "ForPreTraining": {"prediction_logits": _PER_TOKEN, "seq_relationship_logits": _PER_SEQUENCE},
}


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of one model.

    Attributes:
        dense_class: transformers' class name, also of a compressed model.
        input_axes: the free axes, the same for all inputs.
        outputs: name -> free axes, in order.
    """

    dense_class: str
    input_axes: Axes
    outputs: dict[str, Axes]

    @property
    def has_choices(self) -> bool:
        """Whether an example is several sequences to choose from."""
        return CHOICES in self.input_axes.values()

    @property
    def axes(self) -> dict[str, Axes]:
        """The free axes of every input and output."""
        return {**dict.fromkeys(INPUTS, self.input_axes), **self.outputs}


def signature_of(model: Any) -> Signature:
    """The signature of a dense or compressed model.

    Raises:
        UnsupportedModelError: a class outside the families table.
    """
    dense_class = any_family_of(model.config).head(type(model).__name__).dense
    outputs = next(outputs for ending, outputs in _OUTPUTS.items() if dense_class.endswith(ending))
    choices = dense_class.endswith("ForMultipleChoice")
    return Signature(dense_class, {0: BATCH, 1: CHOICES, 2: LENGTH} if choices else _PER_TOKEN, outputs)
