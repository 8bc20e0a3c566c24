"""Statistics and a size asked for become a compressed model: plan, solve, build, reconstruct."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.registry import dense_encoder_of, encoder_of
from fwsvd_export.compression.build import Compressed, assembled
from fwsvd_export.compression.checks import allocator_of, check_statistics, closed_form, matches, solver_named
from fwsvd_export.compression.embeddings import embedding_rank, solve_embedding
from fwsvd_export.compression.reconstruct import reconstruct
from fwsvd_export.compression.size import check_size, parameters_beside
from fwsvd_export.compression.solve import decompose_layers, solve_layers, truncated
from fwsvd_export.fisher import collect_statistics
from fwsvd_export.ranks.greedy import plan_greedy
from fwsvd_export.ranks.prices import Price, price_of
from fwsvd_export.ranks.uniform import plan_uniform
from fwsvd_export.records import Budget, Decomposition, RankLimits, RankRequest, Solution, Statistics
from fwsvd_export.runtime.device import check_float64, release_freed_memory
from fwsvd_export.runtime.progress import Steps, silent
from fwsvd_export.solvers.options import SolverOptions, options_from, with_fisher_axis
from fwsvd_export.solvers.solver import ClosedForm, Iterative


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
    cost: str = "params",
    limits: RankLimits | None = None,
    embeddings: float | None = None,
    match: bool | None = None,
    fisher_axis: str | None = None,
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
        cost: what greedy counts as a component's price: "params", "flops" or "latency" (measured on this machine).
        limits: of the ranks, and layers to keep dense.
        embeddings: fraction of the word embeddings' weights that may be used (part of ``params``); None keeps them.
        match: whether every layer is fitted again, on its own inputs, to the dense model's output (kfac only); None
            does it where it can be done: with kfac and batches.
        fisher_axis: alias of that option of fwsvd.
        labels: "data" or "sampled", when statistics are collected here.
        seed: of sampled labels.
        solver_options: of the method, by name; fwsvd's ``axis`` is "input" (as in the paper, the default) or "output".

    Raises:
        FwsvdExportError: one of its kinds, with a sentence that says what to do.

    Example:
        >>> from transformers import BertConfig, BertForSequenceClassification
        >>> config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
        >>> small = compress(BertForSequenceClassification(config), method="svd", rank=4)
        >>> type(small).__name__, small.config.low_rank["ranks"]["encoder.layer.0.output.dense"]
        ('LowRankBertForSequenceClassification', 4)
    """
    check_float64(model.device)
    solver = solver_named(method)
    options = options_from(method, solver.options, with_fisher_axis(method, solver_options or {}, fisher_axis))
    size = RankRequest(Budget(ratio, rank, params), allocate, limits or RankLimits(), embeddings, cost)
    encoder = dense_encoder_of(model)
    check_size(encoder, solver, size)
    matched = matches(solver, match, batches is not None)
    if matched and batches is not None:
        batches = list(batches)  # read twice
    if statistics is None and solver.needs is not None and batches is not None:
        statistics = collect_statistics(model, batches, collect=(solver.needs,), labels=labels, seed=seed)
    calibration = batches if matched else None
    return compress_model(encoder, solver, size, statistics, calibration, options=options).model


def compress_model(
    encoder: Encoder,
    solver: ClosedForm | Iterative,
    size: RankRequest,
    statistics: Statistics | None,
    calibration: Iterable[Mapping[str, Any]] | None = None,
    *,
    options: SolverOptions | None = None,
    steps: Steps = silent,
) -> Compressed:
    """Plans the ranks, solves every layer, builds the model, and matches it on calibration batches where there are any.

    Raises as ``compress``.
    """
    if allocator_of(solver, size) == "greedy":
        # Nothing holds on to the decompositions, which are as large as the model, when matching begins
        compressed = Prepared.of(encoder, solver, size, statistics, options=options, steps=steps).solved(size.budget)
        release_freed_memory()
        return matched_on(calibration, encoder, statistics, compressed, steps)
    check_statistics(encoder, solver, statistics)
    embedding = solve_embedding(encoder, solver, statistics, embedding_rank(encoder.embedding, size))
    plan = plan_uniform(encoder.layers, size.budget, parameters_beside(encoder, size), size.limits)
    solutions = solve_layers(encoder, solver, statistics, plan, options=options, steps=steps)
    compressed = assembled(encoder, solver.name, plan, solutions, embedding)
    return matched_on(calibration, encoder, statistics, compressed, steps)


@dataclass(frozen=True)
class Prepared:
    """A model whose layers are decomposed at every rank, so that budgets can be tried one after the other.

    Attributes:
        encoder: of the dense model.
        solver: the closed form.
        size: what was asked for, but for the budget.
        price: of a component when they compete, None for its weights.
        decompositions: layer name -> decomposition.
        embedding: what becomes of the word embeddings.
        statistics: what they were made with.
        calibration: batches that every model is matched on, None for no matching.
    """

    encoder: Encoder
    solver: ClosedForm
    size: RankRequest
    price: Price | None
    decompositions: Mapping[str, Decomposition]
    embedding: Solution
    statistics: Statistics | None
    calibration: Iterable[Mapping[str, Any]] | None = None

    @classmethod
    def of(
        cls,
        encoder: Encoder,
        solver: ClosedForm | Iterative,
        size: RankRequest,
        statistics: Statistics | None,
        calibration: Iterable[Mapping[str, Any]] | None = None,
        *,
        options: SolverOptions | None = None,
        steps: Steps = silent,
    ) -> Prepared:
        """Decomposes every layer, and measures prices where they are times.

        Raises:
            RankError: the method iterates at one rank at a time.
        """
        form = closed_form(solver)
        check_statistics(encoder, solver, statistics)
        embedding = solve_embedding(encoder, form, statistics, embedding_rank(encoder.embedding, size))
        decompositions = decompose_layers(encoder, form, statistics, options=options, steps=steps)
        price = price_of(size.cost, encoder.layers, encoder.device)
        return cls(encoder, form, size, price, decompositions, embedding, statistics, calibration)

    def at(self, budget: Budget, steps: Steps = silent) -> Compressed:
        """The compressed model under a budget, matched where there is calibration; raises as ``compress``."""
        return matched_on(self.calibration, self.encoder, self.statistics, self.solved(budget), steps)

    def solved(self, budget: Budget) -> Compressed:
        """The compressed model under a budget, not matched; raises as ``compress``."""
        layers, limits = self.encoder.layers, self.size.limits
        beside = parameters_beside(self.encoder, self.size)
        if allocator_of(self.solver, replace(self.size, budget=budget)) == "greedy":
            losses = {name: decomposition.losses for name, decomposition in self.decompositions.items()}
            plan = plan_greedy(layers, budget, beside, limits, losses, self.price)
        else:
            plan = plan_uniform(layers, budget, beside, limits)
        solutions = {name: truncated(form, plan.ranks[name], name) for name, form in self.decompositions.items()}
        return assembled(self.encoder, self.solver.name, plan, solutions, self.embedding)


def matched_on(
    calibration: Iterable[Mapping[str, Any]] | None,
    encoder: Encoder,
    statistics: Statistics | None,
    compressed: Compressed,
    steps: Steps = silent,
) -> Compressed:
    """The compressed model with its layers matched to the dense model's, when there are batches to do it on."""
    if calibration is None:
        return compressed
    assert statistics is not None, "kfac, which alone is matched, has them"
    seed = statistics.source.seed
    small = encoder_of(compressed.model)
    done = reconstruct(encoder, small, calibration, statistics, seed=seed, steps=steps)
    return replace(compressed, reconstruction=done)
