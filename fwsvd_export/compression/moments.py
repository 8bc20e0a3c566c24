"""Centred second moments of what a layer reads and what it shall give, over all calibration tokens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fwsvd_export.fisher.sums import GramSum


@dataclass(frozen=True)
class Moments:
    """Centred second moments of inputs x' (in) and targets t (out), means over tokens, float64.

    Attributes:
        tokens: how many.
        input_moment: (in, in).
        cross_moment: of t and x', (out, in).
        input_mean: (in).
        target_mean: (out).
    """

    tokens: int
    input_moment: Tensor
    cross_moment: Tensor
    input_mean: Tensor
    target_mean: Tensor

    @classmethod
    def of(cls, packs: Iterable[tuple[Tensor, Tensor, int]], centred: bool = True) -> Moments:
        """From packs of (inputs, targets, how often they count), (sequences, length, features) each.

        Inputs are counted from the first token's: a mean far larger than the variance would leave nothing of it in
        float32, and inputs that never vary give exact zeros.

        Args:
            packs: taken one at a time.
            centred: False for layers without a bias, which could not make up for means: these are zero then.
        """
        tokens = 0
        gram: GramSum | None = None
        for inputs, targets, times in packs:
            x, t = inputs.flatten(0, -2).float(), targets.flatten(0, -2).float()
            if gram is None:
                first = x[0].clone() if centred else torch.zeros_like(x[0])
                gram = GramSum(x.shape[1], x.device)
                cross = x.new_zeros(t.shape[1], x.shape[1])
                x_sum, t_sum = x.new_zeros(x.shape[1]).double(), x.new_zeros(t.shape[1]).double()
            x = x - first
            gram.add(x if times == 1 else times**0.5 * x)
            cross.addmm_(t.T, x, alpha=times)
            if centred:
                x_sum += times * x.sum(dim=0)
                t_sum += times * t.sum(dim=0)
            tokens += times * len(x)
        assert gram is not None, "there is at least one pack"
        x_mean, t_mean = x_sum / tokens, t_sum / tokens
        input_moment = (gram.finished().double() / tokens).addr_(x_mean, x_mean, alpha=-1)
        cross_moment = (cross.double() / tokens).addr_(t_mean, x_mean, alpha=-1)
        return cls(tokens, input_moment, cross_moment, x_mean + first.double(), t_mean)

    def through(self, weight: Tensor, bias: Tensor | None) -> Moments:
        """The moments with weight @ t + bias as the target."""
        weight = weight.double()
        mean = weight @ self.target_mean
        mean = mean if bias is None else mean + bias.double()
        return replace(self, cross_moment=weight @ self.cross_moment, target_mean=mean)

    def of_outputs(self, kept: Tensor) -> Moments:
        """With some of the targets alone."""
        return replace(self, cross_moment=self.cross_moment[kept], target_mean=self.target_mean[kept])
