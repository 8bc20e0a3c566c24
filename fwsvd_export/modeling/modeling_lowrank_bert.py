"""BERT with factorised linear layers and, where asked for, word embeddings (written by fwsvd-export).

All but the factors is transformers' own BERT, whichever version is installed, with its attention implementations.

This file travels inside the checkpoint; it needs only its two neighbours and transformers.
"""

from transformers import (
    BertForMaskedLM,
    BertForMultipleChoice,
    BertForNextSentencePrediction,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
)

from .configuration_lowrank_bert import LowRankBertConfig
from .lowrank_layers import LowRankModelMixin


class _LowRankBert(LowRankModelMixin):
    config_class = LowRankBertConfig
    tied_layer = ("cls.predictions.decoder", "cls.predictions.bias")


class LowRankBertModel(_LowRankBert, BertModel):
    """``BertModel`` with factorised layers."""


class LowRankBertForMaskedLM(_LowRankBert, BertForMaskedLM):
    """``BertForMaskedLM`` with factorised layers."""


class LowRankBertForSequenceClassification(_LowRankBert, BertForSequenceClassification):
    """``BertForSequenceClassification`` with factorised layers."""


class LowRankBertForTokenClassification(_LowRankBert, BertForTokenClassification):
    """``BertForTokenClassification`` with factorised layers."""


class LowRankBertForQuestionAnswering(_LowRankBert, BertForQuestionAnswering):
    """``BertForQuestionAnswering`` with factorised layers."""


class LowRankBertForMultipleChoice(_LowRankBert, BertForMultipleChoice):
    """``BertForMultipleChoice`` with factorised layers."""


class LowRankBertForNextSentencePrediction(_LowRankBert, BertForNextSentencePrediction):
    """``BertForNextSentencePrediction`` with factorised layers."""


class LowRankBertForPreTraining(_LowRankBert, BertForPreTraining):
    """``BertForPreTraining`` with factorised layers."""
