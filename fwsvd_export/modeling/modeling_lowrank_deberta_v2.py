"""DeBERTa with factorised linear layers and, where asked for, word embeddings (written by fwsvd-export).

All but the factors is transformers' own DeBERTa, whichever version is installed, with its attention implementations.

This file travels inside the checkpoint; it needs only its two neighbours and transformers.
"""

from transformers import (
    DebertaV2ForMaskedLM,
    DebertaV2ForMultipleChoice,
    DebertaV2ForQuestionAnswering,
    DebertaV2ForSequenceClassification,
    DebertaV2ForTokenClassification,
    DebertaV2Model,
)

from .configuration_lowrank_deberta_v2 import LowRankDebertaV2Config
from .lowrank_layers import LowRankModelMixin


class _LowRankDebertaV2(LowRankModelMixin):
    config_class = LowRankDebertaV2Config
    tied_layer = ("cls.predictions.decoder", "cls.predictions.bias")


class LowRankDebertaV2Model(_LowRankDebertaV2, DebertaV2Model):
    """``DebertaV2Model`` with factorised layers."""


class LowRankDebertaV2ForMaskedLM(_LowRankDebertaV2, DebertaV2ForMaskedLM):
    """``DebertaV2ForMaskedLM`` with factorised layers."""


class LowRankDebertaV2ForSequenceClassification(_LowRankDebertaV2, DebertaV2ForSequenceClassification):
    """``DebertaV2ForSequenceClassification`` with factorised layers."""


class LowRankDebertaV2ForTokenClassification(_LowRankDebertaV2, DebertaV2ForTokenClassification):
    """``DebertaV2ForTokenClassification`` with factorised layers."""


class LowRankDebertaV2ForQuestionAnswering(_LowRankDebertaV2, DebertaV2ForQuestionAnswering):
    """``DebertaV2ForQuestionAnswering`` with factorised layers."""


class LowRankDebertaV2ForMultipleChoice(_LowRankDebertaV2, DebertaV2ForMultipleChoice):
    """``DebertaV2ForMultipleChoice`` with factorised layers."""
