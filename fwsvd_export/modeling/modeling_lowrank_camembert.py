"""CamemBERT with factorised linear layers and, where asked for, word embeddings (written by fwsvd-export).

All but the factors is transformers' own CamemBERT, whichever version is installed, with its attention implementations.

This file travels inside the checkpoint; it needs only its two neighbours and transformers.
"""

from transformers import (
    CamembertForMaskedLM,
    CamembertForMultipleChoice,
    CamembertForQuestionAnswering,
    CamembertForSequenceClassification,
    CamembertForTokenClassification,
    CamembertModel,
)

from .configuration_lowrank_camembert import LowRankCamembertConfig
from .lowrank_layers import LowRankModelMixin


class _LowRankCamembert(LowRankModelMixin):
    config_class = LowRankCamembertConfig
    tied_layer = ("lm_head.decoder", "lm_head.bias")


class LowRankCamembertModel(_LowRankCamembert, CamembertModel):
    """``CamembertModel`` with factorised layers."""


class LowRankCamembertForMaskedLM(_LowRankCamembert, CamembertForMaskedLM):
    """``CamembertForMaskedLM`` with factorised layers."""


class LowRankCamembertForSequenceClassification(_LowRankCamembert, CamembertForSequenceClassification):
    """``CamembertForSequenceClassification`` with factorised layers."""


class LowRankCamembertForTokenClassification(_LowRankCamembert, CamembertForTokenClassification):
    """``CamembertForTokenClassification`` with factorised layers."""


class LowRankCamembertForQuestionAnswering(_LowRankCamembert, CamembertForQuestionAnswering):
    """``CamembertForQuestionAnswering`` with factorised layers."""


class LowRankCamembertForMultipleChoice(_LowRankCamembert, CamembertForMultipleChoice):
    """``CamembertForMultipleChoice`` with factorised layers."""
