"""DistilBERT with factorised linear layers and, where asked for, word embeddings (written by fwsvd-export).

All but the factors is transformers' own DistilBERT, whichever version is installed, with its attention implementations.

This file travels inside the checkpoint; it needs only its two neighbours and transformers.
"""

from transformers import (
    DistilBertForMaskedLM,
    DistilBertForMultipleChoice,
    DistilBertForQuestionAnswering,
    DistilBertForSequenceClassification,
    DistilBertForTokenClassification,
    DistilBertModel,
)

from .configuration_lowrank_distilbert import LowRankDistilBertConfig
from .lowrank_layers import LowRankModelMixin


class _LowRankDistilBert(LowRankModelMixin):
    config_class = LowRankDistilBertConfig
    tied_layer = ("vocab_projector", "")


class LowRankDistilBertModel(_LowRankDistilBert, DistilBertModel):
    """``DistilBertModel`` with factorised layers."""


class LowRankDistilBertForMaskedLM(_LowRankDistilBert, DistilBertForMaskedLM):
    """``DistilBertForMaskedLM`` with factorised layers."""


class LowRankDistilBertForSequenceClassification(_LowRankDistilBert, DistilBertForSequenceClassification):
    """``DistilBertForSequenceClassification`` with factorised layers."""


class LowRankDistilBertForTokenClassification(_LowRankDistilBert, DistilBertForTokenClassification):
    """``DistilBertForTokenClassification`` with factorised layers."""


class LowRankDistilBertForQuestionAnswering(_LowRankDistilBert, DistilBertForQuestionAnswering):
    """``DistilBertForQuestionAnswering`` with factorised layers."""


class LowRankDistilBertForMultipleChoice(_LowRankDistilBert, DistilBertForMultipleChoice):
    """``DistilBertForMultipleChoice`` with factorised layers."""
