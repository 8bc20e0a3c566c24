"""ESM with factorised linear layers and, where asked for, word embeddings (written by fwsvd-export).

All but the factors is transformers' own ESM, whichever version is installed, with its attention implementations.

This file travels inside the checkpoint; it needs only its two neighbours and transformers.
"""

from typing import Any, ClassVar

from transformers import (
    EsmForMaskedLM,
    EsmForSequenceClassification,
    EsmForTokenClassification,
    EsmModel,
)

from .configuration_lowrank_esm import LowRankEsmConfig
from .lowrank_layers import LowRankModelMixin


class _LowRankEsm(LowRankModelMixin):
    config_class = LowRankEsmConfig
    tied_layer = ("lm_head.decoder", "")
    # Buffers that versions of transformers keep in different places and all compute anew
    _keys_to_ignore_on_load_missing: ClassVar[list[str]] = [r"rotary_embeddings\.inv_freq"]
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [
        r"rotary_embeddings\.inv_freq",
        "position_embeddings.weight",
    ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        embeddings = self.base_model.embeddings
        if embeddings.position_embedding_type != "absolute" and hasattr(embeddings, "position_embeddings"):
            del embeddings.position_embeddings  # some versions make them for such models too, and do not use them
        self._keys_to_ignore_on_save = [
            name for name, _ in self.named_buffers() if name.endswith("embeddings.inv_freq")
        ]


class LowRankEsmModel(_LowRankEsm, EsmModel):
    """``EsmModel`` with factorised layers."""


class LowRankEsmForMaskedLM(_LowRankEsm, EsmForMaskedLM):
    """``EsmForMaskedLM`` with factorised layers."""


class LowRankEsmForSequenceClassification(_LowRankEsm, EsmForSequenceClassification):
    """``EsmForSequenceClassification`` with factorised layers."""


class LowRankEsmForTokenClassification(_LowRankEsm, EsmForTokenClassification):
    """``EsmForTokenClassification`` with factorised layers."""
