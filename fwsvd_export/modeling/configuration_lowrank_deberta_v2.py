"""Configuration of a DeBERTa-v2 or v3 whose linear layers are factorised (written by fwsvd-export).

This file travels inside the checkpoint; it needs only lowrank_layers.py beside it, and transformers.
"""

from typing import Any

from transformers import DebertaV2Config

from .lowrank_layers import LowRankConfigMixin


class LowRankDebertaV2Config(LowRankConfigMixin, DebertaV2Config):
    """A ``DebertaV2Config`` with the ranks of the factorised layers.

    Args:
        low_rank: ``{"ranks": {"encoder.layer.0.attention.self.query_proj": 37, ...}, "method": ...}``. Names are
            relative to the base model, without a head's ``deberta.`` prefix; layers that are not named stay dense.
            Factorised word embeddings are named ``embeddings.word_embeddings``. Feed-forward parts with fewer neurons
            than ``intermediate_size``: ``"widths": {"encoder.layer.0.intermediate.dense": 768, ...}``.
        kwargs: everything ``DebertaV2Config`` takes.

    Raises:
        ValueError: a size or a width is no whole number of at least 1, a rank none from 1 to the smaller side of its
            layer, or a width larger than there are neurons.
    """

    model_type = "lowrank_deberta_v2"
    export_model_type = "deberta-v2"  # optimum reads it: an exported model has the dense one's signature
    sides = (
        (
            r"encoder\.layer\.\d+\.attention\.(self\.(query|key|value)_proj|output\.dense)",
            ("hidden_size", "hidden_size"),
        ),
        (r"encoder\.layer\.\d+\.(intermediate|output)\.dense", ("hidden_size", "intermediate_size")),
        (r"embeddings\.word_embeddings", ("vocab_size", "hidden_size")),
    )
    readouts = (r"(encoder\.layer\.\d+)\.intermediate\.dense", r"\1.output.dense", "intermediate_size")
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
