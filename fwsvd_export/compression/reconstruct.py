"""Layer after layer, every factorised layer is fitted again: to the dense model's output, on its own inputs.

A closed form approximates each weight as if the layers before it were still dense. In the compressed model they are
not: its inputs x' differ from the dense model's x. So each layer's factors are solved anew, first layer first, for

    min over U, V, b of the sum over calibration tokens of (t - U V x' - b)^T G (t - U V x' - b),

a reduced-rank regression in the gradient norm G (Izenman 1975; for networks: "asymmetric reconstruction", Zhang et
al. 2015, arXiv 1505.06798, section 2.3). The target t is the dense layer's output W x + b; where the output is added to
a residual stream r, it is W x + b + r - r', so that what went wrong before is made up for.

A feed-forward part that loses neurons keeps those which its readout needs most on these inputs (``linalg.surgeon``):
they are chosen when all are fitted, and then both layers are fitted to them alone.

Behind the last layer pooler and head are fitted in the same way (``fit_head``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.encoder_layer import Stage
from fwsvd_export.architectures.inputs import IDS
from fwsvd_export.compression.fit_head import fit_head
from fwsvd_export.compression.moments import Moments
from fwsvd_export.compression.regression import Regressed, regressed, ridged
from fwsvd_export.compression.report import Reconstruction
from fwsvd_export.compression.sequences import entering_states, packed_sequences
from fwsvd_export.compression.states import HiddenStates
from fwsvd_export.errors import DataError
from fwsvd_export.fisher.hooks import eval_mode
from fwsvd_export.linalg.surgeon import refitted, removal_order
from fwsvd_export.linalg.weighting import GRADIENT_DAMPING, Weighting, damped_root
from fwsvd_export.records import Statistics
from fwsvd_export.runtime.progress import Steps, silent


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
        narrowed = self._loses_neurons()
        read = self._read(before, after) if any(map(self._factorised, dense.projections)) else None
        if read is not None and not narrowed:
            beside = dict(dense.beside)
            wider = self._read(before, after, next(iter(beside.values()))) if beside else read
            for name in dense.projections:
                if self._factorised(name):
                    self._take(name, self._regressed(name, self._given(name, wider if name in beside else read)))
        # Each place in the list is replaced as soon as it is used up: three states per token are held of either model
        readout = self.dense.module(dense.readout)
        for place, hidden in enumerate(before):
            before[place] = readout(dense.inner(hidden)) + hidden
        if read is not None and narrowed:
            self._fit_narrowed(read, before, after)
        elif self._factorised(dense.readout):
            self._take(dense.readout, self._regressed(dense.readout, self._behind(before, after)))
        readout = self.small.module(small.readout)
        for place, hidden in enumerate(after):
            after[place] = small.norm(readout(small.inner(hidden)) + hidden)
            before[place] = dense.norm(before[place])

    def _read(
        self, before: HiddenStates, after: HiddenStates, beside: Callable[[int], Tensor] | None = None
    ) -> Moments:
        """Moments of what the projections read, in the compressed model and in the dense one.

        Args:
            before: what enters the dense model's stage.
            after: what enters the compressed model's.
            beside: what they read in every sequence too, by its length: the same in both.
        """
        entries = self.small_stage.entry, self.dense_stage.entry

        def packs() -> Iterator[tuple[Tensor, Tensor, int]]:
            for own, right in zip(after, before, strict=True):
                yield entries[0](own), entries[1](right), 1
                if beside is not None:
                    rows = beside(own.shape[1])
                    yield rows, rows, len(own)

        return Moments.of(packs(), self._biased(self.dense_stage.projections[0]))

    def _behind(self, before: HiddenStates, after: HiddenStates) -> Moments:
        """Moments of what the readout reads, and what it shall give: what is missing to the dense model's sum."""
        packs = ((self.small_stage.inner(own), total - own, 1) for total, own in zip(before, after, strict=True))
        return Moments.of(packs, self._biased(self.dense_stage.readout))

    def _biased(self, name: str) -> bool:
        return self.dense.module(name).bias is not None

    def _fit_narrowed(self, read: Moments, before: HiddenStates, after: HiddenStates) -> None:
        """Chooses the neurons of a feed-forward part, and fits both of its layers to them.

        Args:
            read: moments of what enters the stage.
            before: what the dense model's stage adds up to, before its norm.
            after: what enters the compressed model's stage.
        """
        (first,), second, activation = (
            self.dense_stage.projections,
            self.dense_stage.readout,
            self.small_stage.activation,
        )
        assert activation is not None, "of every feed-forward part"
        weight, readout = (self.dense.module(name).weight for name in (first, second))
        given = self._given(first, read)
        whole = self._regressed(first, given)
        if whole is None:
            return
        up, down, bias = whole.factors.up, whole.factors.down, whole.bias.float()
        entry = self.small_stage.entry
        moments = Moments.of(
            (activation(entry(own).float() @ down.T @ up.T + bias), total - own, 1)
            for total, own in zip(before, after, strict=True)
        )
        inputs, needed = ridged(moments), self._regressed(second, moments)
        if inputs is None or needed is None:
            return
        damped, width = inputs.damped(), self.small.module(first).out_features
        whitened = damped_root(self._output_weighting(second)).transposed_times(needed.factors.up.double())
        kept = removal_order(whitened @ needed.factors.down.double(), damped, keep=width)[-width:].sort().values
        rows = self._output_weighting(first)
        rows = Weighting(rows.values[kept][:, kept], rows.damping, rows.count)
        rank = self.small.module(first).rank
        self._take(first, regressed(given.of_outputs(kept), weight[kept], rows, rank, first))
        rank = self.small.module(second).rank
        fitted, behind = refitted(readout, damped, kept), self._behind(before, after)
        self._take(second, regressed(behind, fitted, self._output_weighting(second), rank, second))

    def _loses_neurons(self) -> bool:
        """Whether it is a feed-forward part, with fewer neurons than the dense model's."""
        name = self.dense_stage.projections[0]
        left, all_of_them = (encoder.module(name).out_features for encoder in (self.small, self.dense))
        return bool(left < all_of_them)

    def _factorised(self, name: str) -> bool:
        return hasattr(self.small.module(name), "down")

    def _given(self, name: str, read: Moments) -> Moments:
        """Moments of what the dense layer gives, by those of what it reads."""
        linear = self.dense.module(name)
        return read.through(linear.weight, linear.bias)

    def _regressed(self, name: str, moments: Moments) -> Regressed | None:
        """Of a layer, with all of its inputs and outputs, at its rank."""
        weight, rank = self.dense.module(name).weight, self.small.module(name).rank
        return regressed(moments, weight, self._output_weighting(name), rank, name)

    def _output_weighting(self, name: str) -> Weighting:
        gradients = cast(Tensor, self.statistics.layers[name].gradient_gram).to(self.dense.device)
        return Weighting(gradients, GRADIENT_DAMPING, self.statistics.examples)

    def _take(self, name: str, found: Regressed | None) -> None:
        """Puts what was fitted into the compressed model's layer; nothing where nothing could be learned."""
        if found is not None:
            layer = self.small.module(name)
            layer.down.weight.copy_(found.factors.down)
            layer.up.weight.copy_(found.factors.up)
            if layer.up.bias is not None:
                layer.up.bias.copy_(found.bias)
