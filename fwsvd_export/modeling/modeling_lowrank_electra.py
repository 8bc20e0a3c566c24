"""ELECTRA with factorised linear layers and, where asked for, word embeddings (written by fwsvd-export).

All but the factors is transformers' own ELECTRA, whichever version is installed, with its attention implementations.

This file travels inside the checkpoint; it needs only its two neighbours and transformers.
"""

from transformers import (
    ElectraForMaskedLM,
    ElectraForMultipleChoice,
    ElectraForPreTraining,
    ElectraForQuestionAnswering,
    ElectraForSequenceClassification,
    ElectraForTokenClassification,
    ElectraModel,
)

from .configuration_lowrank_electra import LowRankElectraConfig
from .lowrank_layers import LowRankModelMixin


class _LowRankElectra(LowRankModelMixin):
    config_class = LowRankElectraConfig
    tied_layer = ("generator_lm_head", "")


class LowRankElectraModel(_LowRankElectra, ElectraModel):
    """``ElectraModel`` with factorised layers."""


class LowRankElectraForMaskedLM(_LowRankElectra, ElectraForMaskedLM):
    """``ElectraForMaskedLM`` with factorised layers."""


class LowRankElectraForSequenceClassification(_LowRankElectra, ElectraForSequenceClassification):
    """``ElectraForSequenceClassification`` with factorised layers."""


class LowRankElectraForTokenClassification(_LowRankElectra, ElectraForTokenClassification):
    """``ElectraForTokenClassification`` with factorised layers."""


class LowRankElectraForQuestionAnswering(_LowRankElectra, ElectraForQuestionAnswering):
    """``ElectraForQuestionAnswering`` with factorised layers."""


class LowRankElectraForMultipleChoice(_LowRankElectra, ElectraForMultipleChoice):
    """``ElectraForMultipleChoice`` with factorised layers."""


class LowRankElectraForPreTraining(_LowRankElectra, ElectraForPreTraining):
    """``ElectraForPreTraining`` with factorised layers."""
