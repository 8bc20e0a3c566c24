"""What each layer may become under the limits: the ranks that save weights, or the dense weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from fractions import Fraction

from fwsvd_export.errors import RankError
from fwsvd_export.ranks.cost import factor_weights, grows
from fwsvd_export.records import Budget, LayerSpec, RankLimits
from fwsvd_export.wording import counted


@dataclass(frozen=True)
class RankChoices:
    """The choices of one layer.

    Attributes:
        layer: whose.
        ranks: allowed ranks, rising; each saves weights.
        dense: whether the weight may stay as it is.
    """

    layer: LayerSpec
    ranks: tuple[int, ...]
    dense: bool

    @property
    def least_weights(self) -> int:
        """Of the smallest choice."""
        return factor_weights(self.layer, self.ranks[0]) if self.ranks else self.layer.weights


def choices_of(layers: Sequence[LayerSpec], limits: RankLimits) -> list[RankChoices]:
    """The choices of every layer. A layer without an allowed rank that saves weights stays dense.

    Raises:
        RankError: a pattern of ``limits.keep_dense`` that matches no layer.
    """
    for pattern in limits.keep_dense:
        if not any(fnmatchcase(layer.name, pattern) for layer in layers):
            raise RankError(
                f"keep-dense {pattern!r} matches no layer; names look like {layers[0].name} "
                "(fwsvd-export inspect lists them), and * stands for anything"
            )
    return [choice_of(layer, limits) for layer in layers]


def smallest_ratio(layers: Sequence[LayerSpec], limits: RankLimits) -> float:
    """The share of the linear weights that the smallest allowed ranks use; raises as ``choices_of``."""
    choices = choices_of(layers, limits)
    return sum(choice.least_weights for choice in choices) / sum(choice.layer.weights for choice in choices)


def allowed_weights(layers: Sequence[LayerSpec], budget: Budget, other_parameters: int) -> int:
    """Linear weights that a ratio or a total parameter count leaves."""
    if budget.ratio is not None:
        exact = Fraction(str(budget.ratio))  # as a float, 0.29 of 100 weights would be 28
        return int(exact * sum(layer.weights for layer in layers))
    assert budget.params is not None, "a rank is no budget of weights"
    return budget.params - other_parameters


def check_affordable(choices: Sequence[RankChoices], allowed: int, other_parameters: int) -> None:
    """Refuses a budget below the smallest choices of all layers.

    Raises:
        RankError: with the ratio and the parameters that would be enough.
    """
    smallest = sum(choice.least_weights for choice in choices)
    if smallest <= allowed:
        return
    dense = sum(choice.layer.weights for choice in choices)
    enough = -(-smallest * 10_000 // dense) / 10_000  # rounded up, so that asking for it succeeds
    raise RankError(
        f"the size asked for leaves {counted(max(allowed, 0), 'linear weight')}, less than the smallest ranks "
        f"everywhere need ({smallest:,}); ask for a ratio of at least {enough:g}, or "
        f"{counted(other_parameters + smallest, 'parameter')}"
    )


def choice_of(layer: LayerSpec, limits: RankLimits) -> RankChoices:
    """The choices of one layer."""
    if any(fnmatchcase(layer.name, pattern) for pattern in limits.keep_dense):
        return RankChoices(layer, (), dense=True)
    largest = layer.smaller_side if limits.largest is None else min(limits.largest, layer.smaller_side)
    first = -(-limits.smallest // limits.multiple) * limits.multiple
    ranks = tuple(rank for rank in range(first, largest + 1, limits.multiple) if not grows(layer, rank))
    return RankChoices(layer, ranks, dense=limits.largest is None or not ranks)
