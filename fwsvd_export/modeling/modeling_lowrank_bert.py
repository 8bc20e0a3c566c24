"""BERT with factorised encoder linear layers and, where asked for, word embeddings (written by fwsvd-export).

Each factorised layer computes ``up(down(x))`` with ``down.weight`` (rank, in) and ``up.weight`` (out, rank), plus the
original bias; factorised word embeddings compute ``projection(table(words))``. All else is transformers' own BERT,
whichever version is installed, with its attention implementations.

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


def _is_rank(rank: Any, largest: int) -> bool:
    """Whether a value, which may come from anybody's config.json, is a rank that a layer can have."""
    return isinstance(rank, int) and not isinstance(rank, bool) and 1 <= rank <= largest


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
        if not _is_rank(rank, min(in_features, out_features)):
            raise ValueError(
                f"rank {rank!r:.40} of a {out_features} x {in_features} layer: 1 to its smaller side is allowed"
            )
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


class LowRankEmbedding(nn.Module):
    """An embedding table that is the product of two thin factors: ``weight = table.weight @ projection.weight.T``.

    Args:
        num_embeddings: size of the vocabulary.
        embedding_dim: size of the vectors that come out.
        rank: size of the vectors in the table.
        padding_idx: as in ``nn.Embedding``.

    Raises:
        ValueError: the rank is outside 1 … embedding_dim.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, rank: int, padding_idx: Any = None) -> None:
        super().__init__()
        if not _is_rank(rank, min(num_embeddings, embedding_dim)):
            raise ValueError(
                f"rank {rank!r:.40} of a {num_embeddings} x {embedding_dim} embedding: 1 to its smaller side is allowed"
            )
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.rank = rank
        self.table = nn.Embedding(num_embeddings, rank, padding_idx=padding_idx)
        self.projection = nn.Linear(rank, embedding_dim, bias=False)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Maps (...) word numbers to (..., embedding_dim)."""
        return self.projection(self.table(input_ids))

    def scores(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """The product of (..., embedding_dim) with every word's vector, (..., num_embeddings)."""
        return nn.functional.linear(hidden_states @ self.projection.weight, self.table.weight)

    def extra_repr(self) -> str:
        """What ``print(model)`` shows beside the two factors."""
        return f"{self.num_embeddings}, {self.embedding_dim}, rank={self.rank}"


class TiedDecoder(nn.Module):
    """The output layer of a language model whose weight is the factorised word embeddings' own.

    Args:
        embeddings: whose factors it uses; they stay parameters of that module alone.
        bias: (num_embeddings), shared with the prediction head as in BERT.
    """

    def __init__(self, embeddings: LowRankEmbedding, bias: nn.Parameter) -> None:
        super().__init__()
        self._embeddings = (embeddings,)  # in a tuple: no submodule, so its weights are saved once
        self.bias = bias

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Maps (..., embedding_dim) to scores of all words, (..., num_embeddings)."""
        return self._embeddings[0].scores(hidden_states) + self.bias


def factorize(base_model: nn.Module, ranks: dict[str, int]) -> None:
    """Puts (untrained) factors in the place of every linear or embedding layer of ``base_model`` that has a rank.

    Raises:
        ValueError: a name that is neither in this model.
    """
    modules = dict(base_model.named_modules())
    for name, rank in ranks.items():
        dense = modules.get(name)
        if isinstance(dense, nn.Linear):
            layer: nn.Module = LowRankLinear(dense.in_features, dense.out_features, rank, dense.bias is not None)
        elif isinstance(dense, nn.Embedding):
            layer = LowRankEmbedding(dense.num_embeddings, dense.embedding_dim, rank, dense.padding_idx)
        else:
            raise ValueError(
                f"low_rank names {name!s:.100}, which is neither a linear layer nor an embedding of this model"
            )
        parent, _, attribute = name.rpartition(".")
        setattr(modules[parent], attribute, layer.to(device=dense.weight.device, dtype=dense.weight.dtype))


class _LowRankMixin:
    """What all classes below share: the layers are swapped once the dense skeleton stands; the code saves itself."""

    config_class = LowRankBertConfig
    _tied_weights_keys: Any

    def __init__(self, config: LowRankBertConfig, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        # A head builds its encoder as a plain BertModel, so the swap happens once, at the outermost class.
        factorize(getattr(self, "bert", self), config.low_rank["ranks"])
        embeddings = self.get_input_embeddings()
        predictions = getattr(getattr(self, "cls", None), "predictions", None)
        if isinstance(embeddings, LowRankEmbedding) and predictions is not None and config.tie_word_embeddings:
            predictions.decoder = TiedDecoder(embeddings, predictions.bias)
            # A list in transformers 4, a mapping in 5; the decoder's weight is no longer one to be tied
            tied = self._tied_weights_keys
            kept = [name for name in tied if not name.endswith("decoder.weight")]
            self._tied_weights_keys = {name: tied[name] for name in kept} if isinstance(tied, dict) else kept
        self.post_init()

    def get_output_embeddings(self) -> Any:
        """As transformers does, but None where there is no weight that could be tied or resized."""
        found = super().get_output_embeddings()
        return None if isinstance(found, TiedDecoder) else found

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> Any:
        """As transformers does, for a table that is not factorised.

        The projection spans only the directions that the old words need, so a new word could not be learned freely: it
        has to be added to the dense model.

        Raises:
            ValueError: the word embeddings are factorised.
        """
        embeddings = self.get_input_embeddings()
        if isinstance(embeddings, LowRankEmbedding):
            raise ValueError(
                f"word embeddings of rank {embeddings.rank} cannot be resized, new words would be confined to the old "
                "ones' directions; resize the dense model and compress it again"
            )
        return super().resize_token_embeddings(*args, **kwargs)

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
