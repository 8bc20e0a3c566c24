"""ModernBERT with factorised linear layers and, where asked for, word embeddings (written by fwsvd-export).

All but the factors is transformers' own ModernBERT, whichever version is installed, with its attention implementations.

This file travels inside the checkpoint; it needs only its two neighbours and transformers.
"""

import transformers
from transformers import (
    ModernBertForMaskedLM,
    ModernBertForSequenceClassification,
    ModernBertForTokenClassification,
    ModernBertModel,
)

from .configuration_lowrank_modernbert import LowRankModernBertConfig
from .lowrank_layers import LowRankEmbedding, LowRankLinear, LowRankModelMixin, TiedDecoder


class _LowRankModernBert(LowRankModelMixin):
    config_class = LowRankModernBertConfig
    tied_layer = ("decoder", "")

    def post_init(self) -> None:
        """As transformers does, which would ask some modules for weights that are gone once layers are factorised."""
        for module in self.modules():
            if any(isinstance(child, (LowRankLinear, LowRankEmbedding, TiedDecoder)) for child in module.children()):
                module._is_hf_initialized = True
        super().post_init()


class LowRankModernBertModel(_LowRankModernBert, ModernBertModel):
    """``ModernBertModel`` with factorised layers."""


class LowRankModernBertForMaskedLM(_LowRankModernBert, ModernBertForMaskedLM):
    """``ModernBertForMaskedLM`` with factorised layers."""


class LowRankModernBertForSequenceClassification(_LowRankModernBert, ModernBertForSequenceClassification):
    """``ModernBertForSequenceClassification`` with factorised layers."""


class LowRankModernBertForTokenClassification(_LowRankModernBert, ModernBertForTokenClassification):
    """``ModernBertForTokenClassification`` with factorised layers."""


# Of versions of transformers that have them
if hasattr(transformers, "ModernBertForQuestionAnswering"):

    class LowRankModernBertForQuestionAnswering(_LowRankModernBert, transformers.ModernBertForQuestionAnswering):
        """``ModernBertForQuestionAnswering`` with factorised layers."""


if hasattr(transformers, "ModernBertForMultipleChoice"):

    class LowRankModernBertForMultipleChoice(_LowRankModernBert, transformers.ModernBertForMultipleChoice):
        """``ModernBertForMultipleChoice`` with factorised layers."""
