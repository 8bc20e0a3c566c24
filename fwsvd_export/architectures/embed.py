"""How the hidden states of a text become its embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

QUERY, DOCUMENT = "query", "document"  # kinds of text that a model may put something before


class Embed(Protocol):
    """What makes an embedding of hidden states.

    One that has ``described`` too, a line that tells it from every other, has its statistics told from others'.
    """

    @property
    def similarity(self) -> str:
        """How two embeddings are compared: "cosine" or "dot"."""

    def __call__(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """The embeddings of some texts, (texts, size).

        Args:
            hidden: (texts, length, width).
            mask: (texts, length), 0 for padding; None for none.
        """

    def prompt(self, kind: str | None) -> str:
        """What is put before a text.

        Args:
            kind: ``QUERY``, ``DOCUMENT`` or None for any other text.
        """


class MeanPooled:
    """The mean over the tokens that are not padding: what most sentence encoders hand out.

    Example:
        >>> import torch
        >>> MeanPooled()(torch.tensor([[[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]]), torch.tensor([[1, 1, 0]]))
        tensor([[2., 3.]])
    """

    similarity = "cosine"
    described = "the mean of the tokens"

    def __call__(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """The embeddings."""
        if mask is None:
            return hidden.mean(dim=1)
        weights = mask.to(hidden.dtype)[..., None]
        return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(1)

    def prompt(self, kind: str | None) -> str:
        """Nothing."""
        return ""


mean_pooled = MeanPooled()


def modules_of(embed: Embed) -> str | None:
    """What an embedding is made by where it is not the mean of the tokens; None where it is, or does not say."""
    return None if embed is mean_pooled else description_of(embed)


def description_of(embed: Embed) -> str | None:
    """How an embedding is made; None where it does not say."""
    return getattr(embed, "described", None)
