"""Running sums of Fisher statistics, of a layer or of the word embeddings, fed with one batch at a time.

For one example G_n = sum_t d_t x_t^T. The element Fisher sums G_n∘G_n; its row sums need no G_n, because
sum_i (G_n)_ij² = x_j^T (D D^T) x_j with D the (tokens, out) gradients and x_j a column of the (tokens, in) inputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fwsvd_export.records import EmbeddingStatistics, LayerSpec, LayerStatistics

# Side of the blocks in which a Gram's upper triangle is summed: small enough to skip most of the other half, large
# enough that each product runs at full speed.
GRAM_BLOCK = 384


class GramSum:
    """Sum of rows^T rows, (n, n) float32; only the blocks on and above the diagonal are computed."""

    def __init__(self, size: int, device: torch.device) -> None:
        self._total = torch.zeros(size, size, device=device)

    def add(self, rows: Tensor) -> None:
        """Adds rows (m, n), float32."""
        size = self._total.shape[0]
        for start in range(0, size, GRAM_BLOCK):
            stop = min(start + GRAM_BLOCK, size)
            self._total[start:stop, start:].addmm_(rows[:, start:stop].T, rows[:, start:])

    def finished(self) -> Tensor:
        """The whole symmetric sum: the blocks above the diagonal are mirrored in place, without a second copy."""
        for start in range(0, self._total.shape[0], GRAM_BLOCK):
            stop = start + GRAM_BLOCK
            self._total[stop:, start:stop] = self._total[start:stop, stop:].T
        return self._total


class LayerSums:
    """The sums of one layer; which ones is fixed when it is made.

    Args:
        layer: its shape.
        collect: any of "kfac", "row", "element"; rows come free with the elements.
        input_sum: shared by the layers that read the same input; given to the one layer that adds to it.
        device: where the sums live.
    """

    def __init__(
        self, layer: LayerSpec, collect: tuple[str, ...], input_sum: GramSum | None, device: torch.device
    ) -> None:
        out_features, in_features = layer.out_features, layer.in_features
        self._input_sum = input_sum
        self._gradient_sum = GramSum(out_features, device) if "kfac" in collect else None
        self._element = torch.zeros(out_features, in_features, device=device) if "element" in collect else None
        alone = "row" in collect and self._element is None
        self._row_input = torch.zeros(in_features, device=device) if alone else None
        self._row_output = torch.zeros(out_features, device=device) if alone else None
        self._rows_asked = "row" in collect

    def add(self, inputs: Tensor, gradients: Tensor, mask: Tensor | None) -> None:
        """Adds one batch.

        Args:
            inputs: (examples, tokens, in).
            gradients: (examples, tokens, out), of the sum of the per-example losses at the layer's output.
            mask: (examples, tokens) bool, None when nothing is padded.
        """
        inputs, gradients = inputs.float(), gradients.float()
        if self._gradient_sum is not None:
            self._gradient_sum.add(_rows(gradients, mask))
        if self._input_sum is not None:
            self._input_sum.add(_rows(inputs, mask))
        if mask is not None and (self._element is not None or self._row_input is not None):
            gradients = gradients * mask[..., None]  # zero gradients are enough to silence a padded token
        if self._element is not None:
            self._add_elements(inputs, gradients)
        if self._row_input is not None and self._row_output is not None:
            self._row_input += (inputs * (gradients @ gradients.mT @ inputs)).sum(dim=(0, 1))
            self._row_output += (gradients * (inputs @ inputs.mT @ gradients)).sum(dim=(0, 1))

    def _add_elements(self, inputs: Tensor, gradients: Tensor) -> None:
        """One example at a time: G_n stays in the cache between its product and its squares."""
        assert self._element is not None, "called only when elements are collected"
        example_gradient = torch.empty_like(self._element)
        for x, d in zip(inputs, gradients, strict=True):
            torch.mm(d.T, x, out=example_gradient)
            self._element.addcmul_(example_gradient, example_gradient)

    def finished(self, input_gram: Tensor | None) -> LayerStatistics:
        """The record of all sums, with the (shared) input Gram."""
        row_input, row_output = self._row_input, self._row_output
        if self._rows_asked and self._element is not None:
            row_input, row_output = self._element.sum(dim=0), self._element.sum(dim=1)
        gradient_gram = None if self._gradient_sum is None else self._gradient_sum.finished()
        return LayerStatistics(input_gram, gradient_gram, row_input, row_output, self._element)


class EmbeddingSums:
    """The sums of the word embeddings.

    Args:
        words: size of the vocabulary.
        width: of the word vectors.
        device: where the sums live.
    """

    def __init__(self, words: int, width: int, device: torch.device) -> None:
        self._row = torch.zeros(words, device=device)
        self._gradient_sum = GramSum(width, device)

    def add(self, words: Tensor, gradients: Tensor, mask: Tensor | None) -> None:
        """Adds one batch.

        Args:
            words: (examples, tokens) token ids.
            gradients: (examples, tokens, width) at the word vectors.
            mask: (examples, tokens) bool, None when nothing is padded.
        """
        rows = _rows(gradients.float(), mask)
        self._row.index_add_(0, words.flatten() if mask is None else words[mask], rows.square().sum(dim=1))
        self._gradient_sum.add(rows)

    def finished(self) -> EmbeddingStatistics:
        """The record of all sums."""
        return EmbeddingStatistics(self._row, self._gradient_sum.finished())


def _rows(values: Tensor, mask: Tensor | None) -> Tensor:
    """The unmasked tokens as rows, (tokens, features)."""
    return values.reshape(-1, values.shape[-1]) if mask is None else values[mask]
