"""Layer after layer, every factorised layer is fitted again: to the dense model's output, on its own inputs.

A closed form approximates each weight as if the layers before it were still dense. In the compressed model they are
not: its inputs x' differ from the dense model's x. So each layer's factors are solved anew, first layer first, for

    min over U, V, b of the sum over calibration tokens of (t - U V x' - b)^T G (t - U V x' - b),

a reduced-rank regression in the gradient norm G (Izenman 1975; for networks: "asymmetric reconstruction", Zhang et
al. 2015, arXiv 1505.06798, section 2.3). The target t is the dense layer's output W x + b; where the output is added to
a residual stream r, it is W x + b + r - r', so that what went wrong before is made up for.

With centred moments A' of x' and C of (t, x'), the unrestricted solution is M = (C + λ W) (A' + λ)^-1 (ridge regression
towards the dense weight) and the best factors are its truncation in the Kronecker norm of A' + λ and G.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from fwsvd_export.architectures.registry import any_family_of, base_of
from fwsvd_export.compression.sequences import attention_context, entering_states, packed_sequences
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
MOST_TOKENS = 2**15  # of calibration; bounds time and memory (six hidden states of every token are held)
_PROJECTIONS = ("attention.self.query", "attention.self.key", "attention.self.value")


@dataclass(frozen=True)
class Matching:
    """What the layers were fitted on: sequences and unpadded tokens of the calibration data."""

    sequences: int
    tokens: int


@torch.no_grad()
def match_outputs(
    dense: Any,
    small: Any,
    batches: Iterable[Mapping[str, Any]],
    statistics: Statistics,
    *,
    seed: int = 0,
    steps: Steps = silent,
) -> Matching:
    """Fits factors and biases of ``small``'s factorised layers in place; dense layers stay as they are.

    Args:
        dense: the model it was made from.
        small: the compressed model.
        batches: calibration batches; labels are not looked at.
        statistics: with "kfac", for the gradient norm.
        seed: of the choice of sequences when there are more than are used.
        steps: progress.

    Raises:
        DataError: the batches hold no tokens.
    """
    packs = packed_sequences(batches, MOST_TOKENS, seed)
    if not packs:
        raise DataError("there is no calibration data to match layer outputs on; give at least one batch")
    family, modules = any_family_of(dense.config), dict(base_of(dense).named_modules())
    layers = dense.config.num_hidden_layers
    with eval_mode(dense), eval_mode(small), steps("matching layer outputs", layers) as advance:
        before, after = entering_states(dense, packs), entering_states(small, packs)
        for index in range(layers):
            name = family.layer.format(index)
            pair = _LayerPair(name, modules[name], base_of(small).get_submodule(name), statistics)
            pair.match(before, after)
            advance()
    tokens = sum(pack["input_ids"].numel() for pack in packs)
    return Matching(sum(len(pack["input_ids"]) for pack in packs), tokens)


class _LayerPair:
    """One encoder layer, dense and compressed."""

    def __init__(self, name: str, dense: Any, small: Any, statistics: Statistics) -> None:
        self._name = name
        self._dense = dense
        self._small = small
        self._statistics = statistics

    def match(self, before: list[Tensor], after: list[Tensor]) -> None:
        """Fits the layer's linear layers in their order and replaces what enters it by what leaves it.

        Args:
            before: the dense model's hidden states, one (sequences, length, width) per pack.
            after: the compressed model's.
        """
        dense, small = self._dense, self._small
        self._fit_to_outputs(_PROJECTIONS, before, after)
        contexts = [attention_context(small, hidden) for hidden in after]
        # Each place in the list is replaced as soon as it is used up: three states per token are held of either model
        for place, hidden in enumerate(before):
            before[place] = dense.attention.output.dense(attention_context(dense, hidden)) + hidden
        self._fit("attention.output.dense", zip(contexts, before, after, strict=True))
        attended = dense.attention.output.LayerNorm
        for place, hidden in enumerate(after):
            after[place] = small.attention.output(contexts[place], hidden)
            before[place] = attended(before[place])
        del contexts
        self._fit_to_outputs(("intermediate.dense",), before, after)
        for place, hidden in enumerate(before):
            before[place] = dense.output.dense(dense.intermediate(hidden)) + hidden
        inside = ((small.intermediate(hidden), target, hidden) for target, hidden in zip(before, after, strict=True))
        self._fit("output.dense", inside)
        for place, hidden in enumerate(after):
            after[place] = small.output(small.intermediate(hidden), hidden)
            before[place] = dense.output.LayerNorm(before[place])

    def _fit_to_outputs(self, paths: Sequence[str], before: list[Tensor], after: list[Tensor]) -> None:
        """Fits layers that read the same hidden states, each to the dense layer's output."""
        paths = [path for path in paths if self._factorised(path)]
        if not paths:
            return
        moments = _Moments.of(zip(after, before, strict=True))
        for path in paths:
            linear = self._dense.get_submodule(path)
            self._solve(path, moments.through(linear.weight, linear.bias))

    def _fit(self, path: str, states: Iterable[tuple[Tensor, Tensor, Tensor]]) -> None:
        """Fits one layer to (inputs, sum of the dense output and its residual stream, own residual stream)."""
        if self._factorised(path):
            self._solve(path, _Moments.of((inputs, total - residual) for inputs, total, residual in states))

    def _factorised(self, path: str) -> bool:
        return hasattr(self._small.get_submodule(path), "down")

    def _solve(self, path: str, moments: _Moments) -> None:
        """The best factors at the layer's rank, and their bias."""
        name, layer = f"{self._name}.{path}", self._small.get_submodule(path)
        weight = self._dense.get_submodule(path).weight.double()
        share = max(RIDGE, RIDGE_OF_FEW_TOKENS * weight.shape[1] / moments.tokens)
        inputs = Weighting(moments.input_moment, share)
        ridge, damped = inputs.floor(), inputs.damped()
        if not bool(ridge > 0):
            return  # inputs that never vary: nothing to learn from them
        pulled = moments.cross_moment + ridge * weight
        unrestricted = torch.cholesky_solve(pulled.T, torch.linalg.cholesky(damped)).T
        gradients = cast(Tensor, self._statistics.layers[name].gradient_gram).to(weight.device)
        output = Weighting(gradients, GRADIENT_DAMPING, self._statistics.examples)
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
