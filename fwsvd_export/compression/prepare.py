"""Prepare, then compress: what is worked out once for a model, and what every size of it costs after that."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain

from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.compression.build import Compressed, assembled
from fwsvd_export.compression.checks import allocator_of, closed_form, widths_of
from fwsvd_export.compression.collapse import collapse_of
from fwsvd_export.compression.embeddings import solve_embedding
from fwsvd_export.compression.inputs import Inputs
from fwsvd_export.compression.narrow import Surgery, surgeries_of
from fwsvd_export.compression.reconstruct import reconstruct
from fwsvd_export.compression.size import embedding_rank, parameters_beside
from fwsvd_export.compression.solution import truncated
from fwsvd_export.compression.solve import decompose_layers, solve_layers
from fwsvd_export.errors import CompressionWarning
from fwsvd_export.ranks.curves import WidthChoices
from fwsvd_export.ranks.greedy import plan_greedy
from fwsvd_export.ranks.prices import Price, price_of
from fwsvd_export.ranks.uniform import plan_uniform
from fwsvd_export.records import Budget, Decomposition, RankPlan, Solution
from fwsvd_export.runtime.device import release_freed_memory
from fwsvd_export.runtime.progress import Steps, silent


@dataclass(frozen=True)
class Prepared:
    """A model whose layers are decomposed at every rank, so that budgets can be tried one after the other.

    Attributes:
        inputs: what it was made from; their budget is not looked at.
        price: of a component when they compete, None for its weights.
        decompositions: layer name -> decomposition.
        embedding: what becomes of the word embeddings.
        surgeries: feed-forward parts that may lose neurons, by the name of their first layer.
        widths: what they may become.
    """

    inputs: Inputs
    price: Price | None
    decompositions: Mapping[str, Decomposition]
    embedding: Solution
    surgeries: Mapping[str, Surgery] = field(default_factory=dict)
    widths: tuple[WidthChoices, ...] = ()

    def varied(self, embeddings: float | None, widths: str | None) -> Prepared:
        """The same with another share of the word embeddings and other widths; no layer is decomposed again."""
        inputs = replace(self.inputs, size=replace(self.inputs.size, embeddings=embeddings, widths=widths))
        embedding = self.embedding if embeddings == self.inputs.size.embeddings else _solved_embedding(inputs)
        if widths == "keep":
            return replace(self, inputs=inputs, embedding=embedding, surgeries={}, widths=())
        return replace(self, inputs=inputs, embedding=embedding)

    def at(self, budget: Budget, steps: Steps = silent) -> Compressed:
        """The compressed model under a budget, reconstructed where there is calibration data.

        Raises:
            RankError: a budget that the layers cannot meet.
        """
        return reconstructed(self.inputs, self.solved(budget), steps)

    def solved(self, budget: Budget) -> Compressed:
        """The compressed model under a budget, not reconstructed; raises as ``at``."""
        plan = self.plan(budget)
        solutions = {name: truncated(form, plan.ranks[name], name) for name, form in self.decompositions.items()}
        for name, surgery in self.surgeries.items():
            if name in plan.widths:
                solutions.update(surgery.solutions(plan.widths[name], plan))
        return assembled(self.inputs.encoder, self.inputs.solver.name, plan, solutions, self.embedding)

    def plan(self, budget: Budget) -> RankPlan:
        """The ranks under a budget; raises as ``at``."""
        encoder, solver, size = self.inputs.encoder, self.inputs.solver, self.inputs.size
        if allocator_of(solver, replace(size, budget=budget)) != "greedy":
            return _uniform_plan(self.inputs, budget)
        losses = {name: decomposition.losses for name, decomposition in self.decompositions.items()}
        beside = parameters_beside(encoder, size)
        return plan_greedy(encoder.layers, budget, beside, size.limits, losses, self.price, self.widths)


def prepare(inputs: Inputs, steps: Steps = silent) -> Prepared:
    """Decomposes every layer, and measures prices where they are times.

    Args:
        inputs: with a closed form for a solver.
        steps: progress.

    Raises:
        RankError: the method iterates at one rank at a time.
    """
    form, encoder = closed_form(inputs.solver), inputs.encoder
    embedding = _solved_embedding(inputs)
    decompositions = decompose_layers(encoder, form, inputs.statistics, options=inputs.options, steps=steps)
    surgeries = {}
    if widths_of(encoder, inputs.solver, inputs.size) == "auto":
        assert inputs.statistics is not None, "kfac, which alone has widths, has them"
        surgeries = surgeries_of(encoder, inputs.statistics, steps)
    widths = tuple(surgery.choices() for surgery in surgeries.values())
    narrowed = (choice.part.narrowed(width).layers for choice in widths for width in choice.losses)
    price = price_of(inputs.size.cost, [*encoder.layers, *chain.from_iterable(narrowed)], encoder.device)
    return Prepared(inputs, price, decompositions, embedding, surgeries, widths)


def compress_model(inputs: Inputs, steps: Steps = silent) -> Compressed:
    """Plans the ranks, solves every layer, builds the model, and reconstructs it where there is calibration data.

    A plan that is predicted to leave nothing of the task is warned about before reconstruction begins.

    Args:
        inputs: what to compress, and how.
        steps: progress.

    Raises:
        RankError: a budget that the layers cannot meet.
    """
    # Nothing holds on to the decompositions, which are as large as the model, when reconstruction begins
    compressed = _solved(inputs, steps)
    release_freed_memory()
    if compressed.report.collapse is not None:
        warnings.warn(compressed.report.collapse, CompressionWarning, stacklevel=2)
    return reconstructed(inputs, compressed, steps)


def _solved(inputs: Inputs, steps: Steps) -> Compressed:
    """The compressed model, not reconstructed, and whether it is predicted to collapse."""
    encoder, solver, budget = inputs.encoder, inputs.solver, inputs.size.budget
    plan_at: Callable[[Budget], RankPlan]
    if allocator_of(solver, inputs.size) == "greedy":
        prepared = prepare(inputs, steps)
        plan_at, compressed = prepared.plan, prepared.solved(budget)
    else:
        plan_at = partial(_uniform_plan, inputs)
        plan, embedding = plan_at(budget), _solved_embedding(inputs)
        solutions = solve_layers(encoder, solver, inputs.statistics, plan, options=inputs.options, steps=steps)
        compressed = assembled(encoder, solver.name, plan, solutions, embedding)
    collapse = collapse_of(inputs, compressed.solutions, plan_at)
    return replace(compressed, report=replace(compressed.report, collapse=collapse))


def _uniform_plan(inputs: Inputs, budget: Budget) -> RankPlan:
    size, layers = inputs.size, inputs.encoder.layers
    return plan_uniform(layers, budget, parameters_beside(inputs.encoder, size), size.limits)


def reconstructed(inputs: Inputs, compressed: Compressed, steps: Steps = silent) -> Compressed:
    """The compressed model with its layers fitted to the dense model's, when there are batches to do it on."""
    if inputs.calibration is None:
        return compressed
    statistics = inputs.statistics
    assert statistics is not None, "kfac, which alone is reconstructed, has them"
    small, seed = encoder_of(compressed.model), statistics.source.seed
    done = reconstruct(inputs.encoder, small, inputs.calibration, statistics, seed=seed, steps=steps)
    return replace(compressed, report=replace(compressed.report, reconstruction=done))


def _solved_embedding(inputs: Inputs) -> Solution:
    rank = embedding_rank(inputs.encoder.embedding, inputs.size)
    return solve_embedding(inputs.encoder, inputs.solver, inputs.statistics, rank)
