"""Embeddings of texts: how similar pairs are, and how far a model agrees with another one on the same texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fwsvd_export.architectures.embed import Embed
from fwsvd_export.data.batches import Batches
from fwsvd_export.errors import DataError, MissingExtraError
from fwsvd_export.evaluation.embedded import embeddings
from fwsvd_export.evaluation.forward import Forward
from fwsvd_export.evaluation.measures import NEIGHBOURS, is_agreement
from fwsvd_export.evaluation.outcomes import Outcomes

MOST_TEXTS = 10_000  # whose similarities to each other are compared: 800 MB of them


def pair_outcomes(forward: Forward, batches: Iterable[Mapping[str, Tensor]], embed: Embed) -> Outcomes:
    """The label of every pair, and the cosine of its two embeddings.

    Raises:
        DataError: a batch without labels.
    """
    outcomes = Outcomes()
    for batch in batches:
        if "labels" not in batch:
            raise DataError("a batch has no labels; name the label column")
        first, second = embeddings(forward, batch, embed).chunk(2)
        outcomes.add(batch["labels"].tolist(), torch.cosine_similarity(first, second).tolist())
    return outcomes


def agreement_outcomes(forward: Forward, batches: Iterable[Mapping[str, Tensor]], embed: Embed) -> Outcomes:
    """For every text the three numbers of ``AGREEMENT``; the reference is 1, which a model has with itself.

    Args:
        forward: of the model.
        batches: of texts, whose labels are the other model's embeddings (``referred``).
        embed: of the model.

    Raises:
        DataError: a batch without such labels, one text alone, or more than can be compared.
    """
    ours, theirs = [], []
    for batch in batches:
        if "labels" not in batch:
            raise DataError(
                "these texts have no scores, and without them a model's embeddings are compared with another model's: "
                "give it with --against (finetune: --teacher), or pairs with scores (task sts)"
            )
        ours.append(embeddings(forward, batch, embed))
        theirs.append(batch["labels"])
    texts = sum(map(len, ours))
    if not 2 <= texts <= MOST_TEXTS:
        raise DataError(
            f"{texts:,} texts are to be compared with each other, and 2 to {MOST_TEXTS:,} are allowed; choose some "
            "with --max-samples"
        )
    return Outcomes([1.0] * texts, agreement(torch.cat(ours), torch.cat(theirs)))


def agreement(ours: Tensor, theirs: Tensor) -> list[tuple[float, float, float]]:
    """How far two models agree on every text: the numbers of ``AGREEMENT``.

    Args:
        ours: (texts, size) embeddings.
        theirs: (texts, size) of the same texts; another size has no cosine with it, and is refused.

    Raises:
        DataError: embeddings of another size.
        MissingExtraError: SciPy is not installed.

    Example:
        >>> same = torch.eye(4)
        >>> agreement(same, 2 * same)[0]
        (1.0, 1.0, 1.0)
    """
    if ours.shape != theirs.shape:
        raise DataError(
            f"one model's embeddings have {ours.shape[1]:,} numbers and the other's {theirs.shape[1]:,}; compare a "
            "model with the one that it was made from"
        )
    cosines = torch.cosine_similarity(ours, theirs).tolist()
    left, right = (torch.nn.functional.normalize(side.double()) for side in (ours, theirs))
    count = min(NEIGHBOURS, len(ours) - 1)
    rows = []
    for place, cosine in enumerate(cosines):
        own, other = (np.delete((side @ side[place]).numpy(), place) for side in (left, right))
        shared = len({*_largest(own, count)} & {*_largest(other, count)})
        rows.append((cosine, shared / count, _spearman(own, other)))
    return rows


def referred(batches: Batches, dense: Any, read: Batches | None = None) -> Batches:
    """The same examples; those of texts alone with what a dense model makes of them, to agree with.

    Args:
        batches: of a model that is to be measured.
        dense: in evaluation mode.
        read: the same texts as the dense model reads them; None for the same batches.
    """
    if not is_agreement(batches.task):
        return batches
    read = batches if read is None else read
    forward = Forward(dense, read.task)
    found = torch.cat([embeddings(forward, batch, read.embed) for batch in read]).tolist()
    return batches.labelled(dict(zip(read.indices, found, strict=True)))


def _largest(values: NDArray[np.float64], count: int) -> Sequence[int]:
    """The places of the largest values; of equal ones the first."""
    return list(map(int, np.argsort(-values, kind="stable")[:count]))


def _spearman(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Spearman's correlation; 1 where there is one value, 0 where one side has no spread."""
    try:
        from scipy.stats import rankdata
    except ModuleNotFoundError as error:
        raise MissingExtraError("scipy", "train") from error
    ranks = [side - side.mean() for side in (rankdata(left.round(9)), rankdata(right.round(9)))]
    spreads = float(np.sqrt(np.square(ranks[0]).sum() * np.square(ranks[1]).sum()))
    if spreads == 0:
        return float(np.array_equal(*ranks))
    return float(ranks[0] @ ranks[1]) / spreads
