"""BERT with factorised encoder linear layers (written by fwsvd-export).

Each factorised layer computes ``up(down(x))`` with ``down.weight`` (rank, in) and ``up.weight`` (out, rank), plus the
original bias. All else is transformers' own BERT, whichever version is installed, with its attention implementations.

This file travels inside the checkpoint; it needs only the standard library, torch and transformers.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    BertForMaskedLM,
    BertForMultipleChoice,
    BertForNextSentencePrediction,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
)

from .configuration_lowrank_bert import LowRankBertConfig


class LowRankLinear(nn.Module):
    """A linear layer whose weight is the product of two thin factors: ``weight = up.weight @ down.weight``.

    Args:
        in_features: size of the last dimension that comes in.
        out_features: size of the last dimension that goes out.
        rank: inner size of the product, at most the smaller of the two.
        bias: whether ``up`` has a bias (out_features).

    Raises:
        ValueError: the rank is outside 1 … min(in_features, out_features).
    """

    def __init__(self, in_features: int, out_features: int, rank: int, bias: bool = True) -> None:
        super().__init__()
        if not 1 <= rank <= min(in_features, out_features):
            raise ValueError(f"rank {rank} of a {out_features} x {in_features} layer: 1 to its smaller side is allowed")
        self.in_features = in_features
        self.out_features = out_features
        self.rank = rank
        self.down = nn.Linear(in_features, rank, bias=False)
        self.up = nn.Linear(rank, out_features, bias=bias)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Maps (..., in_features) to (..., out_features)."""
        return self.up(self.down(hidden_states))

    def extra_repr(self) -> str:
        """What ``print(model)`` shows beside the two factors."""
        return f"in_features={self.in_features}, out_features={self.out_features}, rank={self.rank}"


def factorize(base_model: nn.Module, ranks: dict[str, int]) -> None:
    """Puts an (untrained) ``LowRankLinear`` in the place of every linear layer of ``base_model`` that has a rank.

    Raises:
        ValueError: a name that is not a linear layer of this model.
    """
    modules = dict(base_model.named_modules())
    for name, rank in ranks.items():
        dense = modules.get(name)
        if not isinstance(dense, nn.Linear):
            raise ValueError(f"low_rank names {name}, which is not a linear layer of this model")
        parent, _, attribute = name.rpartition(".")
        layer = LowRankLinear(dense.in_features, dense.out_features, rank, bias=dense.bias is not None)
        setattr(modules[parent], attribute, layer.to(device=dense.weight.device, dtype=dense.weight.dtype))


class _LowRankMixin:
    """What all classes below share: the layers are swapped once the dense skeleton stands; the code saves itself."""

    config_class = LowRankBertConfig

    def __init__(self, config: LowRankBertConfig, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        # A head builds its encoder as a plain BertModel, so the swap happens once, at the outermost class.
        factorize(getattr(self, "bert", self), config.low_rank["ranks"])
        self.post_init()

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> Any:
        """As transformers does, and puts both code files beside the weights, whichever way the model was loaded."""
        saved = super().save_pretrained(save_directory, *args, **kwargs)
        for module in (__name__, LowRankBertConfig.__module__):
            source = Path(sys.modules[module].__file__)
            target = Path(save_directory) / source.name
            if source.resolve() != target.resolve():
                shutil.copyfile(source, target)
        return saved


class LowRankBertModel(_LowRankMixin, BertModel):
    """``BertModel`` with factorised encoder layers."""


class LowRankBertForMaskedLM(_LowRankMixin, BertForMaskedLM):
    """``BertForMaskedLM`` with factorised encoder layers."""


class LowRankBertForSequenceClassification(_LowRankMixin, BertForSequenceClassification):
    """``BertForSequenceClassification`` with factorised encoder layers."""


class LowRankBertForTokenClassification(_LowRankMixin, BertForTokenClassification):
    """``BertForTokenClassification`` with factorised encoder layers."""


class LowRankBertForQuestionAnswering(_LowRankMixin, BertForQuestionAnswering):
    """``BertForQuestionAnswering`` with factorised encoder layers."""


class LowRankBertForMultipleChoice(_LowRankMixin, BertForMultipleChoice):
    """``BertForMultipleChoice`` with factorised encoder layers."""


class LowRankBertForNextSentencePrediction(_LowRankMixin, BertForNextSentencePrediction):
    """``BertForNextSentencePrediction`` with factorised encoder layers."""


class LowRankBertForPreTraining(_LowRankMixin, BertForPreTraining):
    """``BertForPreTraining`` with factorised encoder layers."""
