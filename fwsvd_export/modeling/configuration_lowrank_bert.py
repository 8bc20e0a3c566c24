"""Configuration of a BERT whose encoder linear layers are factorised (written by fwsvd-export).

This file travels inside the checkpoint; it needs only the standard library and transformers.
"""

import re
from typing import Any

from transformers import BertConfig

# transformers writes only the class being saved into ``auto_map``; every class belongs there, so it is kept here.
AUTO_MAP = {
    "AutoConfig": "configuration_lowrank_bert.LowRankBertConfig",
    "AutoModel": "modeling_lowrank_bert.LowRankBertModel",
    "AutoModelForMaskedLM": "modeling_lowrank_bert.LowRankBertForMaskedLM",
    "AutoModelForSequenceClassification": "modeling_lowrank_bert.LowRankBertForSequenceClassification",
    "AutoModelForTokenClassification": "modeling_lowrank_bert.LowRankBertForTokenClassification",
    "AutoModelForQuestionAnswering": "modeling_lowrank_bert.LowRankBertForQuestionAnswering",
    "AutoModelForMultipleChoice": "modeling_lowrank_bert.LowRankBertForMultipleChoice",
    "AutoModelForNextSentencePrediction": "modeling_lowrank_bert.LowRankBertForNextSentencePrediction",
    "AutoModelForPreTraining": "modeling_lowrank_bert.LowRankBertForPreTraining",
}

# Names of the layers that may be factorised, and the two settings that are the sides of their weight
SIDES = (
    (r"encoder\.layer\.\d+\.attention\.(self\.(query|key|value)|output\.dense)", ("hidden_size", "hidden_size")),
    (r"encoder\.layer\.\d+\.(intermediate|output)\.dense", ("hidden_size", "intermediate_size")),
    (r"embeddings\.word_embeddings", ("vocab_size", "hidden_size")),
)


class LowRankBertConfig(BertConfig):
    """A ``BertConfig`` with the ranks of the factorised layers.

    Args:
        low_rank: ``{"ranks": {"encoder.layer.0.attention.self.query": 37, ...}, "method": ...}``. Names are relative
            to the base model, without a head's ``bert.`` prefix; layers that are not named stay dense. Factorised
            word embeddings are named ``embeddings.word_embeddings``.
        kwargs: everything ``BertConfig`` takes.

    Raises:
        ValueError: a size is no whole number of at least 1, or a rank none from 1 to the smaller side of its layer.
    """

    model_type = "lowrank_bert"
    export_model_type = "bert"  # optimum reads it: inputs and outputs of an exported model are those of a BERT

    def __init__(self, low_rank: Any = None, **kwargs: Any) -> None:
        self.low_rank = {"ranks": {}} if low_rank is None else low_rank
        ranks = self.low_rank.get("ranks") if isinstance(self.low_rank, dict) else None
        if not isinstance(ranks, dict):
            raise ValueError('low_rank must be an object with a "ranks" object in it: layer name -> rank')
        for name, rank in ranks.items():
            if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
                raise ValueError(f"rank {rank!r:.40} of {name!s:.100}: a whole number of at least 1 is needed")
        for setting in kwargs.keys() & {setting for _, sides in SIDES for setting in sides}:
            size = kwargs[setting]
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise ValueError(f"{setting} {size!r:.40}: a whole number of at least 1 is needed")
        super().__init__(**kwargs)
        # Before a model of these sizes is made, which refuses names that it does not have
        for name, rank in ranks.items():
            for sides in (sides for pattern, sides in SIDES if re.fullmatch(pattern, str(name))):
                largest = min(getattr(self, setting) for setting in sides)
                if rank > largest:
                    raise ValueError(f"rank {rank!r:.40} of {name}: at most {largest}, its smaller side, is allowed")

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON-ready values, always with the complete ``auto_map``."""
        return {**super().to_dict(), "auto_map": dict(AUTO_MAP)}

    def to_diff_dict(self) -> dict[str, Any]:
        """What is saved: no defaults, but always ranks and ``auto_map``; never the folder it was loaded from."""
        saved = {**super().to_diff_dict(), "low_rank": self.low_rank, "auto_map": dict(AUTO_MAP)}
        saved.pop("_name_or_path", None)
        return saved
