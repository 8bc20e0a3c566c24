"""Configuration of a DistilBERT whose linear layers are factorised (written by fwsvd-export).

This file travels inside the checkpoint; it needs only lowrank_layers.py beside it, and transformers.
"""

from typing import Any

from transformers import DistilBertConfig

from .lowrank_layers import LowRankConfigMixin


class LowRankDistilBertConfig(LowRankConfigMixin, DistilBertConfig):
    """A ``DistilBertConfig`` with the ranks of the factorised layers.

    Args:
        low_rank: ``{"ranks": {"transformer.layer.0.attention.q_lin": 37, ...}, "method": ...}``. Names are relative to
            the base model, without a head's ``distilbert.`` prefix; layers that are not named stay dense. Factorised
            word embeddings are named ``embeddings.word_embeddings``. Feed-forward parts with fewer neurons than
            ``hidden_dim``: ``"widths": {"transformer.layer.0.ffn.lin1": 768, ...}``.
        kwargs: everything ``DistilBertConfig`` takes.

    Raises:
        ValueError: a size or a width is no whole number of at least 1, a rank none from 1 to the smaller side of its
            layer, or a width larger than there are neurons.
    """

    model_type = "lowrank_distilbert"
    export_model_type = "distilbert"  # optimum reads it: an exported model has the dense one's signature
    sides = (
        (r"transformer\.layer\.\d+\.attention\.(q|k|v|out)_lin", ("dim", "dim")),
        (r"transformer\.layer\.\d+\.ffn\.lin[12]", ("dim", "hidden_dim")),
        (r"embeddings\.word_embeddings", ("vocab_size", "dim")),
    )
    readouts = (r"(transformer\.layer\.\d+\.ffn)\.lin1", r"\1.lin2", "hidden_dim")
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
