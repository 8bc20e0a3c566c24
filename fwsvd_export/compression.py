"""Statistics, a rank plan and a solver row become a compressed model. No algorithm lives here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fwsvd_export.assembly import assemble, base_prefix, carried_settings
from fwsvd_export.checkpoint import total_parameters, weights_sha256
from fwsvd_export.errors import RankError, StatisticsError
from fwsvd_export.families import Family, compressible_layers, family_of
from fwsvd_export.metrics import check_collected
from fwsvd_export.progress import Steps, silent
from fwsvd_export.ranks import ALLOCATORS
from fwsvd_export.ranks.cost import planned_weights
from fwsvd_export.records import (
    Budget,
    LayerReport,
    ParameterCounts,
    RankPlan,
    Solution,
    Statistics,
)
from fwsvd_export.solvers import SOLVERS, ClosedForm, Iterative
from fwsvd_export.solvers.options import IterationOptions, options_from
from fwsvd_export.solving import solve_layers
from fwsvd_export.statistics import collect_statistics


@dataclass(frozen=True)
class Compressed:
    """A compressed model and what happened on the way."""

    model: Any
    plan: RankPlan
    layers: tuple[LayerReport, ...]
    parameters: ParameterCounts


def compress(
    model: Any,
    batches: Iterable[Mapping[str, Any]] | None = None,
    *,
    statistics: Statistics | None = None,
    method: str = "kfac",
    ratio: float | None = None,
    rank: int | None = None,
    params: int | None = None,
    allocate: str = "uniform",
    fisher_axis: str = "input",
    labels: str = "data",
    seed: int = 0,
    solver_options: Mapping[str, Any] | None = None,
) -> Any:
    """A smaller ``LowRankBert…`` copy of a model: use it, fine-tune it, ``save_pretrained`` or ``push_to_hub`` it.

    Args:
        model: a supported dense transformers model; it is left as it was.
        batches: task batches with labels to collect statistics on, unless ``statistics`` are given.
        statistics: from ``collect_statistics`` of this very model.
        method: a name from the solver table ("svd" needs neither batches nor statistics).
        ratio: fraction of the encoder's linear weights that may be used.
        rank: the same rank everywhere.
        params: total parameters that may be used. Give exactly one of ratio, rank and params.
        allocate: how the budget becomes ranks.
        fisher_axis: orientation of fwsvd's weights, "input" (the paper's) or "output".
        labels: "data" or "sampled", when statistics are collected here.
        seed: of sampled labels.
        solver_options: of an iterative method, by name.

    Raises:
        FwsvdExportError: one of its kinds, with a sentence that says what to do.

    Example:
        >>> from transformers import BertConfig, BertForSequenceClassification
        >>> config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
        >>> small = compress(BertForSequenceClassification(config), method="svd", rank=4)
        >>> type(small).__name__, small.config.low_rank["ranks"]["encoder.layer.0.output.dense"]
        ('LowRankBertForSequenceClassification', 4)
    """
    solver = solver_named(method)
    options = options_from(method, solver.options, solver_options or {})
    budget = Budget(ratio=ratio, rank=rank, params=params)
    family_of(model.config)
    if statistics is None and solver.needs is not None and batches is not None:
        statistics = collect_statistics(model, batches, collect=(solver.needs,), labels=labels, seed=seed)
    return compress_model(model, solver, budget, statistics, allocate=allocate, axis=fisher_axis, options=options).model


def compress_model(
    model: Any,
    solver: ClosedForm | Iterative,
    budget: Budget,
    statistics: Statistics | None,
    *,
    allocate: str = "uniform",
    axis: str = "input",
    options: IterationOptions | None = None,
    steps: Steps = silent,
) -> Compressed:
    """Plans the ranks, solves every layer and builds the model; raises as ``compress``."""
    family = family_of(model.config)
    layers = compressible_layers(model)
    check_collected(solver, statistics)
    if statistics is not None:
        check_same_model(model, statistics)
    plan = plan_ranks(model, budget, allocate)
    solutions = solve_layers(model, layers, solver, statistics, plan, axis=axis, options=options, steps=steps)
    small = build_model(model, family, solutions, solver.name)
    dense, kept, total = (
        sum(layer.weights for layer in layers),
        planned_weights(layers, plan.ranks),
        total_parameters(model),
    )
    reports = tuple(
        LayerReport(
            name=layer.name,
            shape=(layer.out_features, layer.in_features),
            rank=plan.ranks[layer.name],
            kept_dense=plan.ranks[layer.name] is None,
            predicted_loss=solutions[layer.name].loss,
            status=solutions[layer.name].status,
            settled=solutions[layer.name].settled,
        )
        for layer in layers
    )
    return Compressed(small, plan, reports, ParameterCounts(dense, kept, total, total - dense + kept))


def plan_ranks(model: Any, budget: Budget, allocate: str) -> RankPlan:
    """The rank of every layer under a budget.

    Raises:
        RankError: no such way to allocate, or a budget that the layers cannot meet.
    """
    if allocate not in ALLOCATORS:
        raise RankError(f"allocate {allocate!r}: one of {', '.join(ALLOCATORS)} is allowed")
    layers = compressible_layers(model)
    return ALLOCATORS[allocate](layers, budget, total_parameters(model) - sum(layer.weights for layer in layers))


def solver_named(method: str) -> ClosedForm | Iterative:
    """The row of the solver table.

    Raises:
        RankError: no such method; the message lists them.
    """
    if method not in SOLVERS:
        raise RankError(f"method {method!r}: one of {', '.join(SOLVERS)} is allowed")
    return SOLVERS[method]


def check_same_model(model: Any, statistics: Statistics) -> None:
    """Refuses statistics that were collected on another model.

    Raises:
        StatisticsError: the digests differ.
    """
    digest = weights_sha256(model)
    if digest != statistics.source.model_sha256:
        raise StatisticsError(
            f"the statistics belong to another model (weights {statistics.source.model_sha256[:12]}…, this model has "
            f"{digest[:12]}…); collect them for this model with fwsvd-export fisher"
        )


def build_model(model: Any, family: Family, solutions: Mapping[str, Solution], method: str) -> Any:
    """The ``LowRank…`` model of a dense one: factors where there are any, everything else copied.

    It has the dense model's dtype, device, attention implementation and training mode.
    """
    ranks = {name: solution.factors.rank for name, solution in solutions.items() if solution.factors is not None}
    config = family.low_rank_config_class()(
        low_rank={"ranks": ranks, "method": method}, **carried_settings(model.config)
    )
    state = model.state_dict()
    prefix = base_prefix(model)
    for name, solution in solutions.items():
        if solution.factors is None:
            continue
        del state[f"{prefix}{name}.weight"]
        state[f"{prefix}{name}.down.weight"] = solution.factors.down
        state[f"{prefix}{name}.up.weight"] = solution.factors.up
        bias = state.pop(f"{prefix}{name}.bias", None)
        if bias is not None:
            state[f"{prefix}{name}.up.bias"] = bias
    return assemble(family.low_rank_class(type(model).__name__), config, state, like=model)
