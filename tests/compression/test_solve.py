from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import fwsvd_export as fe
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.compression import solve as solving
from fwsvd_export.compression.solve import solve_layers, stacks_of
from fwsvd_export.errors import WeightError
from fwsvd_export.records import LayerSpec, RankPlan, Solution, Statistics
from fwsvd_export.runtime.device import PROFILES
from fwsvd_export.runtime.progress import Advance
from fwsvd_export.solvers.als import AlsOptions
from fwsvd_export.solvers.driver import minimise
from fwsvd_export.solvers.problem import LayerProblem
from fwsvd_export.solvers.solver import Iterative
from fwsvd_export.solvers.table import SOLVERS

ITERATIVE = [name for name, solver in SOLVERS.items() if isinstance(solver, Iterative)]
BROKEN = "encoder.layer.0.attention.self.key"


@pytest.fixture
def statistics(tiny_model: Any, make_batches: Callable[..., list[dict[str, Tensor]]]) -> Statistics:
    return fe.collect_statistics(tiny_model, make_batches(24, 8), collect=("kfac", "element"), temperature=1)


@pytest.fixture
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def plan_of(layers: Sequence[LayerSpec], rank: int | None = 6, **ranks: int | None) -> RankPlan:
    """The rank for every layer, but those of the given roles."""
    return RankPlan({layer.name: ranks.get(layer.role, rank) for layer in layers}, "by hand")


def product(solution: Solution) -> Tensor:
    assert solution.factors is not None
    return solution.factors.up @ solution.factors.down


ROWS = st.tuples(st.sampled_from([(4, 8), (8, 4), (4, 4), (2, 16)]), st.sampled_from([None, 1, 2]))


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(ROWS, max_size=12), limit=st.sampled_from([1, 16, 31, 32, 48, 63, 64, 96]))
def test_stacks_hold_every_layer_once_with_others_of_its_shape_and_rank_up_to_the_limit(
    rows: list[tuple[tuple[int, int], int | None]], limit: int
) -> None:
    layers = [LayerSpec(f"layer {index}", *shape, "query", "x") for index, (shape, _) in enumerate(rows)]
    plan = RankPlan({layer.name: rank for layer, (_, rank) in zip(layers, rows, strict=True)}, "by hand")
    stacks = stacks_of(layers, plan, limit)
    assert sorted(layer.name for stack in stacks for layer in stack) == sorted(plan.ranks)
    kinds = [
        {(frozenset((layer.out_features, layer.in_features)), plan.ranks[layer.name]) for layer in stack}
        for stack in stacks
    ]
    assert all(len(kind) == 1 for kind in kinds)
    sizes = [sum(layer.weights for layer in stack) for stack in stacks]
    assert all(size <= limit or len(stack) == 1 for size, stack in zip(sizes, stacks, strict=True))
    room = {stack[0].name: limit - size >= stack[0].weights for size, stack in zip(sizes, stacks, strict=True)}
    unfilled = Counter(frozenset(kind) for kind, stack in zip(kinds, stacks, strict=True) if room[stack[0].name])
    assert all(count == 1 for count in unfilled.values()), "only the last stack of a kind has room"


def test_matrices_and_their_transposes_share_a_stack_and_dense_layers_keep_apart(tiny_model: Any) -> None:
    layers = encoder_of(tiny_model).layers
    stacks = stacks_of(layers, plan_of(layers, value=None, query=3), limit=10**9)
    roles = [sorted(layer.role for layer in stack) for stack in stacks]
    assert sorted(roles) == [
        ["attention_output", "attention_output", "key", "key"],
        ["intermediate", "intermediate", "output", "output"],
        ["query", "query"],
        ["value", "value"],
    ]


@pytest.mark.parametrize("method", ITERATIVE)
def test_layers_solved_together_are_solved_as_well_as_alone(
    method: str, tiny_model: Any, statistics: Statistics, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers, sizes = encoder_of(tiny_model).layers, []

    def counted(stack: list[LayerProblem], *arguments: Any) -> list[Solution]:
        sizes.append(len(stack))
        return minimise(stack, *arguments)

    def solve(limit: int) -> dict[str, Solution]:
        monkeypatch.setitem(PROFILES, "cpu", replace(PROFILES["cpu"], stack_weights=limit))
        # als without its warm-up, which projects as the others do: its own sweeps are the same in every stack
        options = AlsOptions(warm_up=0) if method == "als" else None
        plan = plan_of(layers, value=None)
        return solve_layers(encoder_of(tiny_model), SOLVERS[method], statistics, plan, options=options)

    monkeypatch.setattr(solving, "minimise", counted)
    alone, together = solve(1), solve(2**30)
    assert Counter(sizes) == {1: 10, 6: 1, 4: 1}
    assert alone.keys() == together.keys() == {layer.name for layer in layers}
    for name, mine in alone.items():
        other = together[name]
        if mine.factors is None:
            assert mine == other == Solution(None, 0.0, "dense")
            continue
        # A stack takes as many passes of its projections as its slowest layer: other steps to the same loss
        assert other.loss == pytest.approx(mine.loss, rel=1e-3)
        error = product(mine) - product(other)
        weighted = float((statistics.layers[name].element * error.square()).sum()) / statistics.examples
        assert weighted < (1e-8 if method == "als" else 0.02) * mine.loss


def test_an_iterative_method_without_options_takes_its_own(tiny_model: Any, statistics: Statistics) -> None:
    layers, solver = encoder_of(tiny_model).layers, SOLVERS["als"]
    assert isinstance(solver, Iterative)
    default, named, other = (
        solve_layers(encoder_of(tiny_model), solver, statistics, plan_of(layers), options=options)
        for options in (None, solver.options(), solver.options(start="svd", max_iterations=2))
    )
    for name, solution in default.items():
        assert torch.equal(product(solution), product(named[name]))
        assert not torch.equal(product(solution), product(other[name]))


@pytest.mark.parametrize("method", ["kfac", "nesterov"])
def test_every_layer_is_a_step_that_tells_the_loss_so_far(method: str, tiny_model: Any, statistics: Statistics) -> None:
    shown: list[Any] = []

    @contextmanager
    def noted(what: str, total: int) -> Iterator[Advance]:
        shown.append((what, total))
        yield lambda note="": shown.append(note)

    layers = encoder_of(tiny_model).layers
    solutions = solve_layers(
        encoder_of(tiny_model), SOLVERS[method], statistics, plan_of(layers, key=None), steps=noted
    )
    head, *notes = shown
    assert head == ("solving layers", 12)
    assert len(notes) == 12
    losses = [float(note.removeprefix("loss so far ")) for note in notes]
    assert losses == sorted(losses)
    assert losses[0] == float(f"{next(iter(solutions.values())).loss:.3g}") < losses[-1]
    assert notes[-1] == f"loss so far {sum(solution.loss for solution in solutions.values()):.3g}"


@pytest.mark.parametrize("method", ["kfac", "als"])
@pytest.mark.usefixtures("four_threads")
def test_threads_are_as_many_as_before_also_when_a_layer_cannot_be_solved(
    method: str, tiny_model: Any, statistics: Statistics
) -> None:
    layers = encoder_of(tiny_model).layers

    def threads() -> tuple[int, int]:
        with ThreadPoolExecutor(1) as pool:
            return torch.get_num_threads(), pool.submit(torch.get_num_threads).result()

    solve_layers(encoder_of(tiny_model), SOLVERS[method], statistics, plan_of(layers))
    assert threads() == (4, 4)
    sums = statistics.layers[BROKEN]
    nothing = replace(sums, element=sums.element * torch.nan, input_gram=sums.input_gram * torch.nan)
    broken = replace(statistics, layers={**statistics.layers, BROKEN: nothing})
    with pytest.raises(WeightError, match=f"{BROKEN}: its statistics hold NaN"):
        solve_layers(encoder_of(tiny_model), SOLVERS[method], broken, plan_of(layers))
    assert threads() == (4, 4)
