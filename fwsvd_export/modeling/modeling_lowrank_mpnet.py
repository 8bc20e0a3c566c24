"""MPNet with factorised linear layers and, where asked for, word embeddings (written by fwsvd-export).

All but the factors is transformers' own MPNet, whichever version is installed, with its attention implementations.

This file travels inside the checkpoint; it needs only its two neighbours and transformers.
"""

from transformers import (
    MPNetForMaskedLM,
    MPNetForMultipleChoice,
    MPNetForQuestionAnswering,
    MPNetForSequenceClassification,
    MPNetForTokenClassification,
    MPNetModel,
)

from .configuration_lowrank_mpnet import LowRankMPNetConfig
from .lowrank_layers import LowRankModelMixin


class _LowRankMPNet(LowRankModelMixin):
    config_class = LowRankMPNetConfig
    tied_layer = ("lm_head.decoder", "lm_head.bias")


class LowRankMPNetModel(_LowRankMPNet, MPNetModel):
    """``MPNetModel`` with factorised layers."""


class LowRankMPNetForMaskedLM(_LowRankMPNet, MPNetForMaskedLM):
    """``MPNetForMaskedLM`` with factorised layers."""


class LowRankMPNetForSequenceClassification(_LowRankMPNet, MPNetForSequenceClassification):
    """``MPNetForSequenceClassification`` with factorised layers."""


class LowRankMPNetForTokenClassification(_LowRankMPNet, MPNetForTokenClassification):
    """``MPNetForTokenClassification`` with factorised layers."""


class LowRankMPNetForQuestionAnswering(_LowRankMPNet, MPNetForQuestionAnswering):
    """``MPNetForQuestionAnswering`` with factorised layers."""


class LowRankMPNetForMultipleChoice(_LowRankMPNet, MPNetForMultipleChoice):
    """``MPNetForMultipleChoice`` with factorised layers."""
