"""Statistics, a rank plan and a solver row become a compressed model. No algorithm lives here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fwsvd_export.assembly import assemble, base_prefix, carried_settings
from fwsvd_export.checkpoint import total_parameters, weights_sha256
from fwsvd_export.errors import DataError, RankError, StatisticsError
from fwsvd_export.families import Family, compressible_layers, family_of
from fwsvd_export.matching import Matching, match_outputs
from fwsvd_export.metrics import check_collected
from fwsvd_export.progress import Steps, silent
from fwsvd_export.ranks import ALLOCATORS
from fwsvd_export.ranks.choices import offers_of
from fwsvd_export.ranks.cost import planned_weights
from fwsvd_export.ranks.greedy import plan_greedy
from fwsvd_export.ranks.uniform import plan_uniform
from fwsvd_export.records import (
    Budget,
    Decomposition,
    Kronecker,
    LayerReport,
    LayerSpec,
    ParameterCounts,
    RankLimits,
    RankPlan,
    RankRequest,
    Solution,
    Statistics,
)
from fwsvd_export.solvers import SOLVERS, ClosedForm, Iterative, Solver
from fwsvd_export.solvers.options import IterationOptions, options_from
from fwsvd_export.solving import decompose_layers, solve_layers, truncated
from fwsvd_export.statistics import collect_statistics


@dataclass(frozen=True)
class Compressed:
    """A compressed model and what happened on the way; ``matching`` is None when its layers were not matched."""

    model: Any
    plan: RankPlan
    layers: tuple[LayerReport, ...]
    parameters: ParameterCounts
    matching: Matching | None = None


def compress(
    model: Any,
    batches: Iterable[Mapping[str, Any]] | None = None,
    *,
    statistics: Statistics | None = None,
    method: str = "kfac",
    ratio: float | None = None,
    rank: int | None = None,
    params: int | None = None,
    allocate: str | None = None,
    limits: RankLimits | None = None,
    match: bool | None = None,
    fisher_axis: str = "input",
    labels: str = "data",
    seed: int = 0,
    solver_options: Mapping[str, Any] | None = None,
) -> Any:
    """A smaller ``LowRankBert…`` copy of a model: use it, fine-tune it, ``save_pretrained`` or ``push_to_hub`` it.

    Args:
        model: a supported dense transformers model; it is left as it was.
        batches: task batches, to collect statistics on (with labels) unless they are given, and to match outputs on.
        statistics: from ``collect_statistics`` of this very model.
        method: a name from the solver table ("svd" needs neither batches nor statistics).
        ratio: fraction of the encoder's linear weights that may be used.
        rank: the same rank everywhere.
        params: total parameters that may be used. Give exactly one of ratio, rank and params.
        allocate: "greedy" shares the budget by predicted loss, "uniform" gives every layer the same rank; None is
            greedy where the method's losses compare across layers (kfac).
        limits: of the ranks, and layers to keep dense.
        match: whether every layer is fitted again, on its own inputs, to the dense model's output (kfac only); None
            does it where it can be done: with kfac and batches.
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
    size = RankRequest(Budget(ratio=ratio, rank=rank, params=params), allocate, limits or RankLimits())
    check_size(model, solver, size)
    matched = matches(solver, match, batches is not None)
    if matched and batches is not None:
        batches = list(batches)  # read twice
    if statistics is None and solver.needs is not None and batches is not None:
        statistics = collect_statistics(model, batches, collect=(solver.needs,), labels=labels, seed=seed)
    calibration = batches if matched else None
    return compress_model(model, solver, size, statistics, calibration, axis=fisher_axis, options=options).model


def compress_model(
    model: Any,
    solver: ClosedForm | Iterative,
    size: RankRequest,
    statistics: Statistics | None,
    calibration: Iterable[Mapping[str, Any]] | None = None,
    *,
    axis: str = "input",
    options: IterationOptions | None = None,
    steps: Steps = silent,
) -> Compressed:
    """Plans the ranks, solves every layer, builds the model, and matches it on calibration batches where there are any.

    Raises as ``compress``.
    """
    if allocator_of(solver, size) == "greedy":
        return Prepared.of(model, solver, statistics, calibration, axis=axis, steps=steps).at(size, steps)
    layers = compressible_layers(model)
    check_statistics(model, solver, statistics)
    plan = plan_uniform(layers, size.budget, parameters_beside(model, layers), size.limits)
    solutions = solve_layers(model, layers, solver, statistics, plan, axis=axis, options=options, steps=steps)
    return matched_on(calibration, model, statistics, assembled(model, solver, plan, solutions), steps)


@dataclass(frozen=True)
class Prepared:
    """A model whose layers are decomposed at every rank, so that sizes can be tried one after the other.

    Attributes:
        model: the dense model.
        solver: the closed form.
        decompositions: layer name -> decomposition.
        statistics: what they were made with.
        calibration: batches that every model is matched on, None for no matching.
    """

    model: Any
    solver: ClosedForm
    decompositions: Mapping[str, Decomposition]
    statistics: Statistics | None
    calibration: Iterable[Mapping[str, Any]] | None = None

    @classmethod
    def of(
        cls,
        model: Any,
        solver: ClosedForm | Iterative,
        statistics: Statistics | None,
        calibration: Iterable[Mapping[str, Any]] | None = None,
        *,
        axis: str = "input",
        steps: Steps = silent,
    ) -> Prepared:
        """Decomposes every layer.

        Raises:
            RankError: the method iterates at one rank at a time.
        """
        form = closed_form(solver)
        check_statistics(model, solver, statistics)
        layers = compressible_layers(model)
        decompositions = decompose_layers(model, layers, form, statistics, axis=axis, steps=steps)
        return cls(model, form, decompositions, statistics, calibration)

    def at(self, size: RankRequest, steps: Steps = silent) -> Compressed:
        """The compressed model of a size; raises as ``compress``."""
        layers = compressible_layers(self.model)
        beside = parameters_beside(self.model, layers)
        if allocator_of(self.solver, size) == "greedy":
            losses = {name: decomposition.losses for name, decomposition in self.decompositions.items()}
            plan = plan_greedy(layers, size.budget, beside, size.limits, losses)
        else:
            plan = plan_uniform(layers, size.budget, beside, size.limits)
        solutions = {name: truncated(form, plan.ranks[name], name) for name, form in self.decompositions.items()}
        compressed = assembled(self.model, self.solver, plan, solutions)
        return matched_on(self.calibration, self.model, self.statistics, compressed, steps)


def matched_on(
    calibration: Iterable[Mapping[str, Any]] | None,
    model: Any,
    statistics: Statistics | None,
    compressed: Compressed,
    steps: Steps = silent,
) -> Compressed:
    """The compressed model with its layers matched to the dense model's, when there are batches to do it on."""
    if calibration is None:
        return compressed
    assert statistics is not None, "kfac, which alone is matched, has them"
    seed = statistics.source.seed
    matching = match_outputs(model, compressed.model, calibration, statistics, seed=seed, steps=steps)
    return replace(compressed, matching=matching)


def matches(solver: Solver, wanted: bool | None, calibration: bool) -> bool:
    """Whether layers are matched: as asked, else where it can be done.

    Args:
        solver: the method.
        wanted: as asked for, None for no wish.
        calibration: whether there are batches.

    Raises:
        RankError: asked for with a method that has no gradient metric.
        DataError: asked for without batches.
    """
    able = [row.name for row in SOLVERS.values() if row.metric is Kronecker]
    if wanted and solver.name not in able:
        raise RankError(
            f"matching fits layers in the metric of their gradients, which method {solver.name} does not have; "
            f"use --method {' or '.join(able)}, or leave out --match"
        )
    if wanted and not calibration:
        raise DataError("matching needs calibration data: give --data (beside --fisher too), or leave out --match")
    return calibration and solver.name in able if wanted is None else wanted


def assembled(model: Any, solver: Solver, plan: RankPlan, solutions: Mapping[str, Solution]) -> Compressed:
    """The compressed model of a plan's solutions, with what happened."""
    layers = compressible_layers(model)
    small = build_model(model, family_of(model.config), solutions, solver.name)
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


def allocator_of(solver: Solver, size: RankRequest) -> str:
    """How a request's budget becomes ranks: as asked, else greedy where the method's losses allow it.

    Raises:
        RankError: an unknown way, or greedy with a metric that is not comparable across layers.
    """
    able = [row.name for row in SOLVERS.values() if row.comparable and isinstance(row, ClosedForm)]
    if size.budget.rank is not None and size.allocate in (None, "uniform"):
        return "uniform"
    if size.allocate is None:
        return "greedy" if solver.name in able else "uniform"
    if size.allocate not in ALLOCATORS:
        raise RankError(f"allocate {size.allocate!r}: one of {', '.join(ALLOCATORS)} is allowed")
    if size.allocate == "greedy" and size.budget.rank is not None:
        raise RankError("allocate greedy shares a budget among the layers, and --rank gives all the same; give --ratio")
    if size.allocate == "greedy" and solver.name not in able:
        raise RankError(
            f"allocate greedy needs losses that compare across layers and ranks, which method {solver.name} does not "
            f"give; use --method {' or '.join(able)}, or --allocate uniform"
        )
    return size.allocate


def check_size(model: Any, solver: Solver, size: RankRequest) -> None:
    """Refuses, before any long work, a size that the layers cannot meet.

    Raises:
        RankError: as the plan itself would.
        UnsupportedModelError: another architecture, or a model that is already compressed.
    """
    family_of(model.config)  # refuses other architectures, and models that are already compressed
    allocator_of(solver, size)
    layers = compressible_layers(model)
    plan_uniform(layers, size.budget, parameters_beside(model, layers), size.limits)


def smallest_ratio(model: Any, size: RankRequest) -> float:
    """The share of the linear weights that the smallest allowed ranks use."""
    offers = offers_of(compressible_layers(model), size.limits)
    return sum(offer.least_weights for offer in offers) / sum(offer.layer.weights for offer in offers)


def parameters_beside(model: Any, layers: Sequence[LayerSpec]) -> int:
    """Parameters that are no weights of compressible layers."""
    return total_parameters(model) - sum(layer.weights for layer in layers)


def solver_named(method: str) -> ClosedForm | Iterative:
    """The row of the solver table.

    Raises:
        RankError: no such method; the message lists them.
    """
    if method not in SOLVERS:
        raise RankError(f"method {method!r}: one of {', '.join(SOLVERS)} is allowed")
    return SOLVERS[method]


def closed_form(solver: ClosedForm | Iterative) -> ClosedForm:
    """The row, when its method gives every rank at once.

    Raises:
        RankError: the method iterates at one rank at a time.
    """
    if not isinstance(solver, ClosedForm):
        raise RankError(f"method {solver.name} solves one rank at a time; give --ratio, --rank or --params")
    return solver


def check_statistics(model: Any, solver: Solver, statistics: Statistics | None) -> None:
    """Refuses statistics that lack what the method needs, or that belong to another model.

    Raises:
        StatisticsError: they do.
    """
    check_collected(solver, statistics)
    if statistics is not None:
        check_same_model(model, statistics)


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
