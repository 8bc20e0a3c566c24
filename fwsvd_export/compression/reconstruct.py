"""Layer after layer, every factorised layer is fitted again: to the dense model's output, on its own inputs.

A closed form approximates each weight as if the layers before it were still dense. In the compressed model they are
not: its inputs x' differ from the dense model's x. So each layer's factors are solved anew, first layer first, for

    min over U, V, b of the sum over calibration tokens of (t - U V x' - b)^T G (t - U V x' - b),

a reduced-rank regression in the gradient norm G (Izenman 1975; for networks: "asymmetric reconstruction", Zhang et
al. 2015, arXiv 1505.06798, section 2.3). The target t is the dense layer's output W x + b; where the output is added to
a residual stream r, it is W x + b + r - r', so that what went wrong before is made up for.

Behind the last layer pooler and head are fitted in the same way (``fit_head``).

With centred moments A' of x' and C of (t, x'), the unrestricted solution is M = (C + λ W) (A' + λ)^-1 (ridge regression
towards the dense weight) and the best factors are its truncation in the Kronecker norm of A' + λ and G.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from fwsvd_export.architectures.encoder import Encoder, Stage
from fwsvd_export.architectures.inputs import IDS
from fwsvd_export.compression.fit_head import fit_head
from fwsvd_export.compression.report import Reconstruction
from fwsvd_export.compression.sequences import entering_states, packed_sequences
from fwsvd_export.compression.states import HiddenStates
from fwsvd_export.errors import DataError
from fwsvd_export.fisher.hooks import eval_mode
from fwsvd_export.fisher.sums import GramSum
from fwsvd_export.linalg.decomposition import decompose, truncate
from fwsvd_export.linalg.weighting import GRADIENT_DAMPING, Weighting
from fwsvd_export.records import Statistics
from fwsvd_export.runtime.progress import Steps, silent

# Pull towards the dense weight, as a share of the mean variance of the layer's inputs: the larger of the first, and of
# the second times input features per token, so that few examples cannot mislead (measured: docs/log.md).
RIDGE = 1e-2
RIDGE_OF_FEW_TOKENS = 0.2


@torch.no_grad()
def reconstruct(
    dense: Encoder,
    small: Encoder,
    batches: Iterable[Mapping[str, Any]],
    statistics: Statistics,
    *,
    seed: int = 0,
    steps: Steps = silent,
) -> Reconstruction:
    """Fits factors and biases of the compressed model's factorised layers in place, and its head; dense layers stay.

    Args:
        dense: of the model it was made from.
        small: of the compressed model.
        batches: calibration batches; labels are not looked at.
        statistics: with "kfac", for the gradient norm.
        seed: of the order of the sequences.
        steps: progress.

    Raises:
        DataError: the batches hold no tokens.
    """
    packs = packed_sequences(dense, batches, seed)
    if not packs:
        raise DataError("there is no calibration data to reconstruct layers on; give at least one batch")
    blocks = list(zip(dense.blocks, small.blocks, strict=True))
    with eval_mode(dense.model), eval_mode(small.model), steps("reconstructing layers", len(blocks)) as advance:
        before, after = (HiddenStates(entering_states(encoder, packs)) for encoder in (dense, small))
        for dense_stages, small_stages in blocks:
            for pair in zip(dense_stages, small_stages, strict=True):
                _StagePair(dense, small, *pair, statistics).fit(before, after)
            advance()
        head_pull = fit_head(dense, small, before, after)
    tokens = sum(pack[IDS].numel() for pack in packs)
    return Reconstruction(sum(len(pack[IDS]) for pack in packs), tokens, head_pull)


@dataclass(frozen=True)
class _StagePair:
    """One stage of an encoder layer, dense and compressed."""

    dense: Encoder
    small: Encoder
    dense_stage: Stage
    small_stage: Stage
    statistics: Statistics

    def fit(self, before: HiddenStates, after: HiddenStates) -> None:
        """Fits the stage's linear layers in their order and replaces what enters it by what leaves it.

        Args:
            before: the dense model's hidden states, one (sequences, length, width) per pack.
            after: the compressed model's.
        """
        dense, small = self.dense_stage, self.small_stage
        self._fit_projections(before, after)
        # Each place in the list is replaced as soon as it is used up: three states per token are held of either model
        readout = self.dense.module(dense.readout)
        for place, hidden in enumerate(before):
            before[place] = readout(dense.inner(hidden)) + hidden
        if self._factorised(dense.readout):
            read = ((small.inner(own), total - own) for total, own in zip(before, after, strict=True))
            self._solve(dense.readout, _Moments.of(read))
        readout = self.small.module(small.readout)
        for place, hidden in enumerate(after):
            after[place] = small.norm(readout(small.inner(hidden)) + hidden)
            before[place] = dense.norm(before[place])

    def _fit_projections(self, before: HiddenStates, after: HiddenStates) -> None:
        """Fits layers that read the same hidden states, each to the dense layer's output."""
        names = [name for name in self.dense_stage.projections if self._factorised(name)]
        if not names:
            return
        moments = _Moments.of(zip(after, before, strict=True))
        for name in names:
            linear = self.dense.module(name)
            self._solve(name, moments.through(linear.weight, linear.bias))

    def _factorised(self, name: str) -> bool:
        return hasattr(self.small.module(name), "down")

    def _solve(self, name: str, moments: _Moments) -> None:
        """The best factors at the layer's rank, and their bias."""
        layer, weight = self.small.module(name), self.dense.module(name).weight.double()
        share = max(RIDGE, RIDGE_OF_FEW_TOKENS * weight.shape[1] / moments.tokens)
        inputs = Weighting(moments.input_moment, share)
        ridge, damped = inputs.floor(), inputs.damped()
        if not bool(ridge > 0):
            return  # inputs that never vary: nothing to learn from them
        pulled = moments.cross_moment + ridge * weight
        unrestricted = torch.cholesky_solve(pulled.T, torch.linalg.cholesky(damped)).T
        gradients = cast(Tensor, self.statistics.layers[name].gradient_gram).to(weight.device)
        output = Weighting(gradients, GRADIENT_DAMPING, self.statistics.examples)
        factors = truncate(decompose(unrestricted, output, inputs, name), layer.rank, name)
        layer.down.weight.copy_(factors.down)
        layer.up.weight.copy_(factors.up)
        explained = factors.up.double() @ (factors.down.double() @ moments.input_mean)
        layer.up.bias.copy_(moments.target_mean - explained)


@dataclass(frozen=True)
class _Moments:
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
    def of(cls, pairs: Iterable[tuple[Tensor, Tensor]]) -> _Moments:
        """From packs of (inputs, targets), (sequences, length, features) each.

        Inputs are counted from the first token's: a mean far larger than the variance would leave nothing of it in
        float32, and inputs that never vary give exact zeros.
        """
        tokens = 0
        gram: GramSum | None = None
        for inputs, targets in pairs:
            x, t = inputs.flatten(0, 1).float(), targets.flatten(0, 1).float()
            if gram is None:
                first = x[0].clone()
                gram = GramSum(x.shape[1], x.device)
                cross = x.new_zeros(t.shape[1], x.shape[1])
                x_sum, t_sum = x.new_zeros(x.shape[1]).double(), x.new_zeros(t.shape[1]).double()
            x = x - first
            gram.add(x)
            cross.addmm_(t.T, x)
            x_sum += x.sum(dim=0)
            t_sum += t.sum(dim=0)
            tokens += len(x)
        assert gram is not None, "there is at least one pack"
        x_mean, t_mean = x_sum / tokens, t_sum / tokens
        input_moment = (gram.finished().double() / tokens).addr_(x_mean, x_mean, alpha=-1)
        cross_moment = (cross.double() / tokens).addr_(t_mean, x_mean, alpha=-1)
        return cls(tokens, input_moment, cross_moment, x_mean + first.double(), t_mean)

    def through(self, weight: Tensor, bias: Tensor) -> _Moments:
        """The moments with weight @ t + bias as the target."""
        weight = weight.double()
        mean = weight @ self.target_mean + bias.double()
        return _Moments(self.tokens, self.input_moment, weight @ self.cross_moment, self.input_mean, mean)
