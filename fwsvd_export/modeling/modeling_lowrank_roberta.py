"""RoBERTa with factorised linear layers and, where asked for, word embeddings (written by fwsvd-export).

All but the factors is transformers' own RoBERTa, whichever version is installed, with its attention implementations.

This file travels inside the checkpoint; it needs only its two neighbours and transformers.
"""

from transformers import (
    RobertaForMaskedLM,
    RobertaForMultipleChoice,
    RobertaForQuestionAnswering,
    RobertaForSequenceClassification,
    RobertaForTokenClassification,
    RobertaModel,
)

from .configuration_lowrank_roberta import LowRankRobertaConfig
from .lowrank_layers import LowRankModelMixin


class _LowRankRoberta(LowRankModelMixin):
    config_class = LowRankRobertaConfig
    tied_layer = ("lm_head.decoder", "lm_head.bias")


class LowRankRobertaModel(_LowRankRoberta, RobertaModel):
    """``RobertaModel`` with factorised layers."""


class LowRankRobertaForMaskedLM(_LowRankRoberta, RobertaForMaskedLM):
    """``RobertaForMaskedLM`` with factorised layers."""


class LowRankRobertaForSequenceClassification(_LowRankRoberta, RobertaForSequenceClassification):
    """``RobertaForSequenceClassification`` with factorised layers."""


class LowRankRobertaForTokenClassification(_LowRankRoberta, RobertaForTokenClassification):
    """``RobertaForTokenClassification`` with factorised layers."""


class LowRankRobertaForQuestionAnswering(_LowRankRoberta, RobertaForQuestionAnswering):
    """``RobertaForQuestionAnswering`` with factorised layers."""


class LowRankRobertaForMultipleChoice(_LowRankRoberta, RobertaForMultipleChoice):
    """``RobertaForMultipleChoice`` with factorised layers."""
