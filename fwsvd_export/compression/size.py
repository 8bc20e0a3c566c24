"""Whether a size can be met, and what of it lies outside the linear layers."""

from __future__ import annotations

from typing import Any

from fwsvd_export.architectures.counts import total_parameters
from fwsvd_export.architectures.registry import compressible_layers, family_of
from fwsvd_export.compression.checks import allocator_of
from fwsvd_export.compression.embeddings import embedding_rank, embedding_spec
from fwsvd_export.ranks.choices import offers_of
from fwsvd_export.ranks.cost import factor_weights
from fwsvd_export.ranks.uniform import plan_uniform
from fwsvd_export.records import RankRequest
from fwsvd_export.solvers.solver import Solver


def check_size(model: Any, solver: Solver, size: RankRequest) -> None:
    """Refuses, before any long work, a size that the layers cannot meet.

    Raises:
        RankError: as the plan itself would.
        UnsupportedModelError: another architecture, or a model that is already compressed.
    """
    family_of(model.config)  # refuses other architectures, and models that are already compressed
    allocator_of(solver, size)
    layers = compressible_layers(model)
    plan_uniform(layers, size.budget, parameters_beside(model, size), size.limits)


def smallest_ratio(model: Any, size: RankRequest) -> float:
    """The share of the linear weights that the smallest allowed ranks use."""
    offers = offers_of(compressible_layers(model), size.limits)
    return sum(offer.least_weights for offer in offers) / sum(offer.layer.weights for offer in offers)


def parameters_beside(model: Any, size: RankRequest) -> int:
    """Parameters of the compressed model that are no weights of compressible layers.

    Raises:
        RankError: word embeddings that not even the smallest rank makes small enough.
    """
    beside = total_parameters(model) - sum(layer.weights for layer in compressible_layers(model))
    rank, table = embedding_rank(model, size), embedding_spec(model)
    return beside if rank is None else beside - table.weights + factor_weights(table, rank)
