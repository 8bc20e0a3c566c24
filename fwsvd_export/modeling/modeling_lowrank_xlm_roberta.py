"""XLM-RoBERTa with factorised linear layers and, where asked for, word embeddings (written by fwsvd-export).

All but the factors is transformers' own XLM-RoBERTa, whichever version is installed, with its attention.

This file travels inside the checkpoint; it needs only its two neighbours and transformers.
"""

from transformers import (
    XLMRobertaForMaskedLM,
    XLMRobertaForMultipleChoice,
    XLMRobertaForQuestionAnswering,
    XLMRobertaForSequenceClassification,
    XLMRobertaForTokenClassification,
    XLMRobertaModel,
)

from .configuration_lowrank_xlm_roberta import LowRankXLMRobertaConfig
from .lowrank_layers import LowRankModelMixin


class _LowRankXLMRoberta(LowRankModelMixin):
    config_class = LowRankXLMRobertaConfig
    tied_layer = ("lm_head.decoder", "lm_head.bias")


class LowRankXLMRobertaModel(_LowRankXLMRoberta, XLMRobertaModel):
    """``XLMRobertaModel`` with factorised layers."""


class LowRankXLMRobertaForMaskedLM(_LowRankXLMRoberta, XLMRobertaForMaskedLM):
    """``XLMRobertaForMaskedLM`` with factorised layers."""


class LowRankXLMRobertaForSequenceClassification(_LowRankXLMRoberta, XLMRobertaForSequenceClassification):
    """``XLMRobertaForSequenceClassification`` with factorised layers."""


class LowRankXLMRobertaForTokenClassification(_LowRankXLMRoberta, XLMRobertaForTokenClassification):
    """``XLMRobertaForTokenClassification`` with factorised layers."""


class LowRankXLMRobertaForQuestionAnswering(_LowRankXLMRoberta, XLMRobertaForQuestionAnswering):
    """``XLMRobertaForQuestionAnswering`` with factorised layers."""


class LowRankXLMRobertaForMultipleChoice(_LowRankXLMRoberta, XLMRobertaForMultipleChoice):
    """``XLMRobertaForMultipleChoice`` with factorised layers."""
