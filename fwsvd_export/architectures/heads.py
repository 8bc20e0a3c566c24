"""The heads of all families: one row each, by the ending of their class names."""

from __future__ import annotations

from dataclasses import dataclass

BATCH, CHOICES, LENGTH = "batch_size", "num_choices", "sequence_length"

Axes = dict[int, str]
"""Number of a dimension that is free -> its name."""

_PER_SEQUENCE: Axes = {0: BATCH}
_PER_TOKEN: Axes = {0: BATCH, 1: LENGTH}
_PER_CHOICE: Axes = {0: BATCH, 1: CHOICES}
_OF_CHOICES: Axes = {0: BATCH, 1: CHOICES, 2: LENGTH}
POOLED = "pooler_output"  # an output that only families with a pooler have


@dataclass(frozen=True)
class Head:
    """One kind of model.

    Attributes:
        ending: of the class names: "ForMaskedLM" of ``BertForMaskedLM``.
        predicts: what kind of prediction it makes, and so which loss it has (``fisher.targets`` reads it).
        outputs: name -> free axes, in order.
        auto_class: transformers' class that loads it.
        input_axes: the free axes, the same for all inputs.
        pipeline: the Hub's name of what it does, None where it has none.
        ort_class: optimum's reader of its ONNX file, None where it has none.
    """

    ending: str
    predicts: str
    outputs: dict[str, Axes]
    auto_class: str
    input_axes: Axes
    pipeline: str | None = None
    ort_class: str | None = None

    @property
    def has_choices(self) -> bool:
        """Whether an example is several sequences to choose from."""
        return CHOICES in self.input_axes.values()

    @property
    def reads_first_token(self) -> bool:
        """Whether it looks at the hidden state of a sequence's first token and at no other."""
        return self.predicts in ("sequence", "choice")


_ROWS = (
    Head(
        ending="Model",
        predicts="embedding",
        outputs={"last_hidden_state": _PER_TOKEN, POOLED: _PER_SEQUENCE},
        auto_class="AutoModel",
        input_axes=_PER_TOKEN,
        ort_class="ORTModelForFeatureExtraction",
    ),
    Head(
        ending="ForMaskedLM",
        predicts="tokens",
        outputs={"logits": _PER_TOKEN},
        auto_class="AutoModelForMaskedLM",
        input_axes=_PER_TOKEN,
        pipeline="fill-mask",
        ort_class="ORTModelForMaskedLM",
    ),
    Head(
        ending="ForSequenceClassification",
        predicts="sequence",
        outputs={"logits": _PER_SEQUENCE},
        auto_class="AutoModelForSequenceClassification",
        input_axes=_PER_TOKEN,
        pipeline="text-classification",
        ort_class="ORTModelForSequenceClassification",
    ),
    Head(
        ending="ForTokenClassification",
        predicts="tokens",
        outputs={"logits": _PER_TOKEN},
        auto_class="AutoModelForTokenClassification",
        input_axes=_PER_TOKEN,
        pipeline="token-classification",
        ort_class="ORTModelForTokenClassification",
    ),
    Head(
        ending="ForQuestionAnswering",
        predicts="span",
        outputs={"start_logits": _PER_TOKEN, "end_logits": _PER_TOKEN},
        auto_class="AutoModelForQuestionAnswering",
        input_axes=_PER_TOKEN,
        pipeline="question-answering",
        ort_class="ORTModelForQuestionAnswering",
    ),
    Head(
        ending="ForMultipleChoice",
        predicts="choice",
        outputs={"logits": _PER_CHOICE},
        auto_class="AutoModelForMultipleChoice",
        input_axes=_OF_CHOICES,
        ort_class="ORTModelForMultipleChoice",
    ),
    Head(
        ending="ForNextSentencePrediction",
        predicts="choice",
        outputs={"logits": _PER_SEQUENCE},
        auto_class="AutoModelForNextSentencePrediction",
        input_axes=_PER_TOKEN,
    ),
    Head(
        ending="ForPreTraining",
        predicts="pretraining",
        outputs={"prediction_logits": _PER_TOKEN, "seq_relationship_logits": _PER_SEQUENCE},
        auto_class="AutoModelForPreTraining",
        input_axes=_PER_TOKEN,
    ),
)

HEADS: dict[str, Head] = {row.ending: row for row in _ROWS}


def head_of_auto_class(auto_class: str) -> Head:
    """The head that an Auto class loads.

    Raises:
        KeyError: none does.
    """
    return {row.auto_class: row for row in _ROWS}[auto_class]
