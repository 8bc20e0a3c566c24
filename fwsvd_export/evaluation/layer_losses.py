"""Whether predicted losses can be trusted: what each layer's factors really cost when that layer alone is replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.data.batches import Batches
from fwsvd_export.fisher.divergence import divergences
from fwsvd_export.fisher.hooks import eval_mode
from fwsvd_export.fisher.predict import predict
from fwsvd_export.records import TEMPERATURE, Solution
from fwsvd_export.runtime.progress import Steps, silent

EXAMPLES = 256  # every layer costs a forward pass over all of them


@dataclass(frozen=True)
class LayerLoss:
    """One factorised layer: the loss its solver predicted, and the mean rise of the task loss that was measured."""

    name: str
    rank: int
    predicted: float
    measured: float


@dataclass(frozen=True)
class LayerLosses:
    """All factorised layers, and how many calibration examples they were measured on."""

    layers: tuple[LayerLoss, ...]
    examples: int


def measure_layer_losses(
    encoder: Encoder,
    solutions: Mapping[str, Solution],
    batches: Batches,
    steps: Steps = silent,
    temperature: float = TEMPERATURE,
) -> LayerLosses:
    """Replaces one layer of the dense model at a time by the product of its factors.

    The rise is taken over labels that the dense model's own prediction gives, which is what the Fisher stands for, so
    it is never below zero but for rounding. Factors are those of the closed form or the iteration, not reconstructed.

    Args:
        encoder: of the dense model, which is as before when this returns.
        solutions: layer name -> solution; dense ones are left out.
        batches: calibration examples, of which ``EXAMPLES`` are used, spread over all lengths.
        steps: progress.
        temperature: of the statistics that losses were predicted from.
    """
    chosen = _spread(batches)
    # First to last, as a person reads them; solvers take layers in an order of their own
    there = {layer.name: solutions[layer.name] for layer in encoder.layers if layer.name in solutions}
    factorised = {name: solution for name, solution in there.items() if solution.factors is not None}
    losses = []
    with eval_mode(encoder.model), torch.no_grad(), steps("measuring layer losses", len(factorised)) as advance:
        before = [predict(encoder, batch, temperature) for batch in chosen]
        for name, solution in factorised.items():
            factors = solution.factors
            assert factors is not None, "chosen above"
            weight: Tensor = encoder.module(name).weight
            kept = weight.clone()
            weight.copy_(_whole(solution, factors.up @ factors.down, weight))
            try:
                after = [predict(encoder, batch, temperature) for batch in chosen]
                rises = [divergences(*pair) for pair in zip(before, after, strict=True)]
            finally:
                weight.copy_(kept)
            losses.append(LayerLoss(name, factors.rank, solution.loss, float(torch.cat(rises).mean())))
            advance()
    return LayerLosses(tuple(losses), sum(len(batch["input_ids"]) for batch in chosen))


def _whole(solution: Solution, product: Tensor, like: Tensor) -> Tensor:
    """The product of the factors in the dense weight's shape, where neurons are gone.

    What enters them stays as it was, because the layer's loss is that of the others; what they give is no longer read.
    """
    if solution.neurons is None:
        return product
    if len(product) < len(like):
        whole = like.clone()
        whole[solution.neurons] = product.to(like)
    else:
        whole = torch.zeros_like(like)
        whole[:, solution.neurons] = product.to(like)
    return whole


def _spread(batches: Batches) -> Sequence[Mapping[str, Tensor]]:
    """Batches at even distances, which hold about ``EXAMPLES`` examples."""
    step = max(1, batches.examples // EXAMPLES)
    return [batches[place] for place in range(0, len(batches), step)]
