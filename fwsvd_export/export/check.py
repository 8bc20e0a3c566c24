"""An exported model against the torch model it was made from, shape by shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.heads import LENGTH
from fwsvd_export.architectures.inputs import IDS, MASK
from fwsvd_export.export.pooled import output_values
from fwsvd_export.export.session import OnnxModel

LENGTHS = (1, 7, 128, 512)
BATCH_SIZES = (1, 8)
_CHOICES = 2  # the trace had another number of them


@dataclass(frozen=True)
class Shape:
    """One kind of input: how many examples, how many tokens, and whether some of the tokens are padding."""

    batch_size: int
    length: int
    padded: bool

    def __str__(self) -> str:
        return f"batch {self.batch_size}, length {self.length}, {'padded' if self.padded else 'not padded'}"


@dataclass(frozen=True)
class Difference:
    """The largest absolute difference of any output value at one shape."""

    shape: Shape
    max_difference: float


def shapes_up_to(longest: int) -> tuple[Shape, ...]:
    """Every shape to check for a model with so many positions; a single token cannot be padded."""
    lengths = sorted({min(length, longest) for length in LENGTHS})
    return tuple(
        Shape(batch_size, length, padded)
        for length in lengths
        for batch_size in BATCH_SIZES
        for padded in (False, True)
        if length > 1 or not padded
    )


def differences(
    encoder: Encoder,
    exported: OnnxModel,
    shapes: Sequence[Shape],
    advance: Callable[[], None] = lambda: None,
    seed: int = 0,
    pooled: bool = False,
) -> tuple[Difference, ...]:
    """Runs both on the same random tokens and token types.

    Args:
        encoder: of the torch model, in evaluation mode, on the CPU.
        exported: the same as ONNX.
        shapes: what to run.
        advance: called after every shape.
        seed: of the tokens.
        pooled: whether the embedding of a text is one of the outputs.
    """
    generator = torch.Generator().manual_seed(seed)
    found = []
    for shape in shapes:
        inputs = _inputs(shape, encoder, generator)
        with torch.inference_mode():
            expected = output_values(encoder, encoder.model, inputs, pooled)
        actual = exported(**inputs)
        found_values = {name: getattr(actual, name) for name in expected}
        if not encoder.defines_padding:
            expected, found_values = (
                _without_padding(encoder, values, inputs[MASK]) for values in (expected, found_values)
            )
        largest = max(_largest(value, found_values[name]) for name, value in expected.items())
        found.append(Difference(shape, largest))
        advance()
    return tuple(found)


def worst_of(found: Sequence[Difference]) -> Difference:
    """The largest difference."""
    return max(found, key=lambda difference: difference.max_difference)


def _without_padding(encoder: Encoder, values: dict[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
    """The outputs with zeros at padding, of those that have something for every token."""
    hidden = mask == 0
    return {
        name: value.masked_fill(hidden.reshape(*hidden.shape, *[1] * (value.dim() - 2)), 0)
        if LENGTH in encoder.outputs.get(name, {}).values() and value.shape[:2] == hidden.shape
        else value
        for name, value in values.items()
    }


def _largest(expected: Tensor, actual: Tensor) -> float:
    """The largest absolute difference; infinite when the shapes differ or either holds NaN."""
    if expected.shape != actual.shape:
        return math.inf
    # Row by row: the predictions of a whole batch over a vocabulary are hundreds of megabytes
    rows = [(wanted - found).abs().max() for wanted, found in zip(expected, actual, strict=True)]
    largest = float(torch.stack(rows).max())
    return math.inf if math.isnan(largest) else largest


def _inputs(shape: Shape, encoder: Encoder, generator: torch.Generator) -> dict[str, Tensor]:
    choices = (_CHOICES,) if encoder.head.has_choices else ()
    size = (shape.batch_size, *choices, shape.length)
    values = {name: torch.randint(count, size, generator=generator) for name, count in encoder.ranges.items()}
    if encoder.no_sequence is not None:
        values[IDS][values[IDS] == encoder.no_sequence] = 0
    # Every sequence keeps at least one token and, when padded, loses at least one
    kept = torch.randint(1, shape.length, size[:-1], generator=generator) if shape.padded else shape.length
    kept = torch.as_tensor(kept).expand(size[:-1]).unsqueeze(-1)
    mask = (torch.arange(shape.length) < kept).long()
    return {name: {**values, MASK: mask}[name] for name in encoder.inputs}
