"""A rank plan and its solutions become a compressed model, with a report of what became of every layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fwsvd_export.architectures.assembly import assemble, carried_settings, tied_decoder
from fwsvd_export.architectures.counts import removed_biases, total_parameters
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.compression.report import CompressionReport, EmbeddingReport, LayerReport, ParameterCounts
from fwsvd_export.ranks.cost import factor_weights, planned_weights
from fwsvd_export.records import RankPlan, Solution


@dataclass(frozen=True)
class Compressed:
    """A compressed model and what happened on the way.

    Attributes:
        model: the ``LowRank…`` module.
        report: what became of every layer.
        solutions: layer name -> what the solver found, before reconstruction.
    """

    model: Any
    report: CompressionReport
    solutions: Mapping[str, Solution]


def assembled(
    encoder: Encoder, method: str, plan: RankPlan, solutions: Mapping[str, Solution], embedding: Solution
) -> Compressed:
    """The compressed model of a plan's solutions and of the word embeddings', with what happened."""
    layers, table = encoder.layers, encoder.embedding
    small = build_model(encoder, {**solutions, table.name: embedding}, method)
    reports = tuple(
        LayerReport(
            name=layer.name,
            shape=(layer.out_features, layer.in_features),
            rank=plan.ranks[layer.name],
            kept_dense=plan.ranks[layer.name] is None,
            predicted_loss=solutions[layer.name].loss,
            status=solutions[layer.name].status,
            settled=solutions[layer.name].settled,
            width=plan.widths.get(layer.name),
        )
        for layer in layers
    )
    rank = None if embedding.factors is None else embedding.factors.rank
    dense, kept = sum(layer.weights for layer in layers), planned_weights(layers, plan.ranks, plan.widths)
    before = total_parameters(encoder.model)
    after = before - dense + kept - removed_biases(encoder, plan.widths)
    if rank is not None:
        after += factor_weights(table, rank) - table.weights
    words = EmbeddingReport(table.name, (table.out_features, table.in_features), rank, embedding.loss)
    report = CompressionReport(method, plan, reports, ParameterCounts(dense, kept, before, after), words)
    return Compressed(small, report, solutions)


def build_model(encoder: Encoder, solutions: Mapping[str, Solution], method: str) -> Any:
    """The ``LowRank…`` model of a dense one: factors where there are any, everything else copied.

    It has the dense model's dtype, device, attention implementation and training mode.
    """
    model, family, prefix = encoder.model, encoder.family, encoder.prefix
    ranks = {name: solution.factors.rank for name, solution in solutions.items() if solution.factors is not None}
    firsts = [part.intermediate.name for part in encoder.feed_forwards]
    kept = {name: neurons for name in firsts if (neurons := solutions[name].neurons) is not None}
    widths = {name: len(neurons) for name, neurons in kept.items()}
    low_rank = {"ranks": ranks, **({"widths": widths} if widths else {}), "method": method}
    config = family.low_rank_config_class()(low_rank=low_rank, **carried_settings(model.config))
    state = model.state_dict()
    for name, solution in solutions.items():
        if solution.factors is None:
            continue
        del state[f"{prefix}{name}.weight"]
        if name == family.word_embeddings:
            state[f"{prefix}{name}.table.weight"] = solution.factors.up
            state[f"{prefix}{name}.projection.weight"] = solution.factors.down.T.contiguous()  # as files want it
            if (decoder := tied_decoder(model)) is not None:
                del state[f"{decoder}.weight"]  # the compressed model's reads the factors of the embeddings
            continue
        state[f"{prefix}{name}.down.weight"] = solution.factors.down
        state[f"{prefix}{name}.up.weight"] = solution.factors.up
        bias = state.pop(f"{prefix}{name}.bias", None)
        if bias is not None:
            state[f"{prefix}{name}.up.bias"] = bias[kept[name]] if name in kept else bias
    return assemble(family.low_rank_class(type(model).__name__), config, state, like=model)
