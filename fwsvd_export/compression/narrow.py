"""Feed-forward parts with fewer neurons: what they are predicted to lose, and their factors.

A neuron is a row of the layer before the activation and a column of the readout behind it. The readout is fitted again
to the neurons that are left (``linalg.surgeon``), so that the removal costs half of tr(D A D^T G), D the readout minus
the refitted one, A and G its Kronecker factors: a loss like that of a rank, in the same unit. What a rank loses of the
refitted readout adds to it exactly, because what the refit leaves is uncorrelated with the neurons that are left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.compression.solution import truncated
from fwsvd_export.linalg.decomposition import decompose
from fwsvd_export.linalg.surgeon import refitted, removal_order
from fwsvd_export.linalg.weighting import GRADIENT_DAMPING, INPUT_DAMPING, Weighting, damped_root
from fwsvd_export.ranks.curves import NarrowLosses, WidthChoices
from fwsvd_export.records import Decomposition, FeedForward, RankPlan, Solution, Statistics
from fwsvd_export.runtime.progress import Steps, silent

# Shares of a feed-forward part's neurons that may be left, beside all of them
SHARES = (0.75, 0.5, 0.375, 0.25, 0.1875, 0.125)
MULTIPLE = 16  # of which the numbers of neurons are, where there are enough: so many a matrix product takes at once


@dataclass(frozen=True)
class Surgery:
    """One feed-forward part whose neurons are ordered by need.

    Attributes:
        part: whose.
        encoder: of the dense model.
        statistics: with "kfac".
        order: neurons, those that go first first.
    """

    part: FeedForward
    encoder: Encoder
    statistics: Statistics
    order: Tensor

    @classmethod
    def of(cls, part: FeedForward, encoder: Encoder, statistics: Statistics) -> Surgery:
        """Orders the neurons by the dense model's activations."""
        readout = encoder.module(part.output.name).weight.detach().double()
        inputs, outputs = _weightings(part.output.name, statistics, readout.device)
        whitened = damped_root(outputs).transposed_times(readout)
        order = removal_order(whitened, inputs.damped(), keep=min(widths_of(part.neurons)))
        return cls(part, encoder, statistics, order)

    def choices(self) -> WidthChoices:
        """What every width is predicted to lose."""
        found = {}
        for width in widths_of(self.part.neurons):
            first, second, removal = self._decomposed(width)
            found[width] = NarrowLosses(first.losses, second.losses + removal)
        biased = self.encoder.module(self.part.intermediate.name).bias is not None
        return WidthChoices(self.part, found, biased)

    def solutions(self, width: int, plan: RankPlan) -> dict[str, Solution]:
        """Both layers' factors at a width, and at the plan's ranks."""
        first, second, removal = self._decomposed(width)
        names = self.part.intermediate.name, self.part.output.name
        inner, outer = (
            truncated(form, plan.ranks[name], name) for form, name in zip((first, second), names, strict=True)
        )
        kept = self._kept(width)
        return {
            names[0]: replace(inner, neurons=kept),
            names[1]: replace(outer, neurons=kept, loss=outer.loss + removal),
        }

    def _kept(self, width: int) -> Tensor:
        return self.order[-width:].sort().values

    def _decomposed(self, width: int) -> tuple[Decomposition, Decomposition, float]:
        """Both layers at every rank, and what the removal costs."""
        kept, (inner, outer) = self._kept(width), self.part.layers
        weight, readout = (self.encoder.module(layer.name).weight.detach() for layer in self.part.layers)
        inputs, outputs = _weightings(inner.name, self.statistics, weight.device)
        rows = replace(outputs, values=outputs.values[kept][:, kept])
        first = decompose(weight[kept], rows, inputs, inner.name)
        inputs, outputs = _weightings(outer.name, self.statistics, readout.device)
        moment = inputs.damped()
        fitted = refitted(readout, moment, kept)
        lost = readout.double().clone()
        lost[:, kept] -= fitted
        removal = 0.5 * float((outputs.damped() @ lost @ moment).mul_(lost).sum())
        columns = Weighting(moment[kept][:, kept], damping=0.0)
        return first, decompose(fitted, outputs, columns, outer.name), removal


def surgeries_of(encoder: Encoder, statistics: Statistics, steps: Steps = silent) -> dict[str, Surgery]:
    """Every feed-forward part's, by the name of its first layer.

    Args:
        encoder: of the dense model.
        statistics: with "kfac".
        steps: progress.
    """
    parts = encoder.feed_forwards
    found = {}
    with steps("ordering neurons", len(parts)) as advance:
        for part in parts:
            if widths_of(part.neurons) and _tells_neurons_apart(part, statistics):
                found[part.intermediate.name] = Surgery.of(part, encoder, statistics)
            advance()
    return found


def widths_of(neurons: int) -> tuple[int, ...]:
    """Numbers of neurons that may be left of so many, beside all, the largest first."""
    multiple = MULTIPLE if neurons * min(SHARES) >= MULTIPLE else 1
    found = {max(multiple, int(neurons * share) // multiple * multiple) for share in SHARES}
    return tuple(sorted((width for width in found if width < neurons), reverse=True))


def _tells_neurons_apart(part: FeedForward, statistics: Statistics) -> bool:
    """Whether the statistics say anything of a part; the neurons of one that the task never uses all stay."""
    inner, outer = (statistics.layers[layer.name] for layer in part.layers)
    needed = (inner.gradient_gram, outer.gradient_gram, outer.input_gram)
    return all(gram is not None and bool(gram.any()) for gram in needed)


def _weightings(name: str, statistics: Statistics, device: torch.device) -> tuple[Weighting, Weighting]:
    """A and G of a layer, damped as its decomposition damps them."""
    sums = statistics.layers[name]
    assert sums.input_gram is not None, "kfac statistics have it"
    assert sums.gradient_gram is not None, "kfac statistics have it"
    return (
        Weighting(sums.input_gram.to(device), INPUT_DAMPING, statistics.tokens),
        Weighting(sums.gradient_gram.to(device), GRADIENT_DAMPING, statistics.examples),
    )
