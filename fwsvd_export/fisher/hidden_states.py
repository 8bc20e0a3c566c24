"""How much the predictions need every direction of the hidden states: their Fisher information, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.inputs import LABEL_KEYS, MASK
from fwsvd_export.fisher.hooks import eval_mode
from fwsvd_export.fisher.predict import predictions_in
from fwsvd_export.fisher.targets import example_losses
from fwsvd_export.linalg.weighting import Weighting, damped_root
from fwsvd_export.records import TEMPERATURE
from fwsvd_export.runtime.modes import usual_modes

EXAMPLES = 512  # that it is measured on: their tokens are many times as many as a hidden state is wide
DAMPING = 1.0  # share of the mean diagonal: few texts do not tell of every direction (measured: docs/log.md)


def hidden_state_roots(
    encoder: Encoder, batches: Sequence[Mapping[str, Any]], seed: int = 0, temperature: float = TEMPERATURE
) -> tuple[Tensor, ...]:
    """A root R of the Fisher information F = R R^T of every encoder layer's output, (width, width) float32 each.

    F is the mean over examples of the sum over tokens of g g^T, with g the gradient of an example's loss at the hidden
    state of one token and labels drawn from the model's own predictions, damped by ``DAMPING``. Half of d^T F d, added
    up over the tokens of an example, is then by how much an error d of the hidden states moves the predictions, in the
    unit of ``divergences``, to second order (Martens 2020, arXiv 1412.1193, section 5). At a temperature T it is the
    divergence of softened predictions times T², as in distillation (Hinton et al. 2015, arXiv 1503.02531, section 2):
    texts that the model is sure of count too.

    Args:
        encoder: of the dense model, which is left as it is.
        batches: what it takes; labels are not looked at. As many as hold ``EXAMPLES`` examples are used.
        seed: of the choice of batches, and of the labels that are drawn.
        temperature: logits are divided by it; the mean of a number has none.

    Example:
        >>> from fwsvd_export.architectures.registry import encoder_of
        >>> from transformers import BertConfig, BertForSequenceClassification
        >>> config = BertConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
        >>> batch = {"input_ids": torch.tensor([[1, 2, 3], [4, 5, 6]])}
        >>> roots = hidden_state_roots(encoder_of(BertForSequenceClassification(config)), [batch])
        >>> [tuple(root.shape) for root in roots]
        [(16, 16), (16, 16)]
    """
    order = torch.randperm(len(batches), generator=torch.Generator().manual_seed(seed)).tolist()
    sums: list[Tensor] = []
    examples = 0
    with usual_modes(encoder.device), eval_mode(encoder.model):
        for place in order:
            if examples >= EXAMPLES:
                break
            batch = {name: values.to(encoder.device) for name, values in batches[place].items()}
            count = len(batch["input_ids"])
            gradients = _gradients(encoder, batch, seed, range(examples, examples + count), temperature)
            sums = sums or [gradient.new_zeros(gradient.shape[-1], gradient.shape[-1]) for gradient in gradients]
            for total, gradient in zip(sums, gradients, strict=True):
                rows = gradient.flatten(0, -2).float()
                total.addmm_(rows.T, rows)
            examples += count
    return tuple(_root(total, examples) for total in sums)


def _gradients(
    encoder: Encoder, batch: Mapping[str, Tensor], seed: int, indices: Sequence[int], temperature: float
) -> tuple[Tensor, ...]:
    """Of the sum of the examples' losses, times the temperature, at every encoder layer's output; zero at padding."""
    inputs = {name: values for name, values in batch.items() if name not in LABEL_KEYS}
    outputs = encoder.model(**inputs, output_hidden_states=True, return_dict=True)
    predictions = predictions_in(encoder, outputs, inputs)
    losses = example_losses(predictions, "sampled", seed=seed, indices=indices, temperature=temperature)
    if all(prediction.kind != "gaussian" for prediction in predictions):
        losses = temperature * losses
    states = outputs.hidden_states[1:]  # the first is that of the embeddings
    found: tuple[Tensor, ...] = torch.autograd.grad(losses.sum(), states)
    mask = batch.get(MASK)
    if mask is None:
        return found
    return tuple(gradient * mask.reshape(*gradient.shape[:-1], 1) for gradient in found)


def _root(total: Tensor, examples: int) -> Tensor:
    root = damped_root(Weighting(total, DAMPING, examples))
    identity = torch.eye(len(total), dtype=torch.float64, device=total.device)
    return root.transposed_times(identity).T.float().contiguous()
