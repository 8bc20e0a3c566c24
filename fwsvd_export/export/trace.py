"""A torch model becomes an ONNX graph in memory."""

from __future__ import annotations

import copy
import math
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fwsvd_export.architectures.assembly import assemble
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.inputs import IDS, MASK
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.errors import ExportError
from fwsvd_export.export.encoder import with_fast_encoder
from fwsvd_export.export.libraries import required
from fwsvd_export.export.pooled import output_values, outputs_of

LARGEST_BYTES = 2 * 10**9  # a protobuf message, so an ONNX file with its weights inside, ends at 2 GB
_BYTES_PER_WEIGHT = 4
# Sizes of the traced example; they differ so that no two axes can be taken for one
_BATCH, _CHOICES, _LENGTH = 2, 3, 8


class _Traced(nn.Module):
    """Takes the inputs by position and gives the outputs as a plain tuple, as the exporter wants them."""

    def __init__(self, model: Any, encoder: Encoder, pooled: bool) -> None:
        super().__init__()
        self.model = model
        self._encoder = encoder
        self._pooled = pooled

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        inputs = dict(zip(self._encoder.inputs, tensors, strict=True))
        return tuple(output_values(self._encoder, self.model, inputs, self._pooled).values())


def trace(encoder: Encoder, opset: int, file: Path, *, pooled: bool = False, carry_limit: float = math.inf) -> Any:
    """The model as an ``onnx.ModelProto`` with its weights inside.

    Where the family has post-norm layers, they are replaced by the same function with less to compute
    (``export.encoder``). The exporter is torch's tracing one: with both exporters a BERT graph is right, but this one
    takes a tenth of the time and names every node after its module.

    Args:
        encoder: of a dense or compressed model, in evaluation mode, float32, on the CPU.
        opset: one of ``export.OPSETS``.
        file: where the exporter may write.
        pooled: whether the embedding of a text is one more output.
        carry_limit: from how many weights on an up factor no longer carries its bias; ``quantize.SMALLEST_PRODUCT`` for
            a graph that is quantised afterwards.

    Raises:
        ExportError: more weights than one file may hold.
        MissingExtraError: onnx is not installed.
    """
    onnx = required("onnx")
    model, outputs = encoder.model, outputs_of(encoder, pooled)
    _check_size(encoder)
    config = copy.deepcopy(model.config)  # transformers notes the attention in the one it is given
    plain = assemble(type(model), config, model.state_dict(), like=model, attention="eager")
    traced = _Traced(with_fast_encoder(encoder_of(plain), carry_limit), encoder, pooled)
    traced.eval()  # or dropout may be in the graph: what counts is the mode of the outermost module
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # on values that become constants; the check after the export decides
        torch.onnx.export(
            traced,
            _example(encoder),
            file,
            input_names=list(encoder.inputs),
            output_names=list(outputs),
            dynamic_axes={**dict.fromkeys(encoder.inputs, encoder.head.input_axes), **outputs},
            opset_version=opset,
            dynamo=False,
        )
    graph = onnx.load(file)
    _give_own_weights(graph.graph)
    return graph


def _give_own_weights(graph: Any) -> None:
    """Torch stores equal matrices once, behind Identity nodes; int8 works on the matrix of one product at a time."""
    matrices = {tensor.name: tensor for tensor in graph.initializer if len(tensor.dims) > 1}
    for node in [node for node in graph.node if node.op_type == "Identity" and node.input[0] in matrices]:
        graph.node.remove(node)
        graph.initializer.add().CopyFrom(matrices[node.input[0]])
        graph.initializer[-1].name = node.output[0]


def _check_size(encoder: Encoder) -> None:
    # Tied weights count twice: the graph holds one of them transposed
    size = sum(tensor.numel() for tensor in encoder.model.state_dict().values()) * _BYTES_PER_WEIGHT
    if size > LARGEST_BYTES:
        raise ExportError(
            f"this {encoder.dense_class_name} needs {size / 1e9:.1f} GB in float32, and an ONNX file with its weights "
            f"inside holds at most {LARGEST_BYTES / 1e9:g} GB; compress the model further"
        )


def _example(encoder: Encoder) -> tuple[Tensor, ...]:
    """A padded batch: an attention mask of ones alone would let the mask vanish from the graph."""
    length = min(_LENGTH, encoder.usable_length)
    shape = (_BATCH, _CHOICES, length) if encoder.head.has_choices else (_BATCH, length)
    mask = torch.ones(shape, dtype=torch.long)
    mask[..., length // 2 :] = 0
    known = {IDS: torch.ones(shape, dtype=torch.long), MASK: mask}
    return tuple(known.get(name, torch.zeros(shape, dtype=torch.long)) for name in encoder.inputs)
