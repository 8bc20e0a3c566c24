"""Configuration of a ModernBERT whose linear layers are factorised (written by fwsvd-export).

This file travels inside the checkpoint; it needs only lowrank_layers.py beside it, and transformers.
"""

from typing import Any

from transformers import ModernBertConfig

from .lowrank_layers import LowRankConfigMixin


class LowRankModernBertConfig(LowRankConfigMixin, ModernBertConfig):
    """A ``ModernBertConfig`` with the ranks of the factorised layers.

    Args:
        low_rank: ``{"ranks": {"layers.0.attn.Wqkv": 37, ...}, "method": ...}``. Names are relative
            to the base model, without a head's ``model.`` prefix; layers that are not named stay dense. Factorised
            word embeddings are named ``embeddings.tok_embeddings``.
        kwargs: everything ``ModernBertConfig`` takes.

    Raises:
        ValueError: a size is no whole number of at least 1, or a rank none from 1 to the smaller side of its
            layer.
    """

    model_type = "lowrank_modernbert"
    export_model_type = "modernbert"  # optimum reads it: an exported model has the dense one's signature
    sides = (
        (r"layers\.\d+\.attn\.(Wqkv|Wo)", ("hidden_size",)),
        (r"layers\.\d+\.mlp\.Wi", ("hidden_size",)),
        (r"layers\.\d+\.mlp\.Wo", ("hidden_size", "intermediate_size")),
        (r"embeddings\.tok_embeddings", ("vocab_size", "hidden_size")),
    )
    endings = (
        "Model",
        "ForMaskedLM",
        "ForSequenceClassification",
        "ForTokenClassification",
        "ForQuestionAnswering",
        "ForMultipleChoice",
    )

    def __init__(self, low_rank: Any = None, **kwargs: Any) -> None:
        super().__init__(low_rank, **kwargs)
