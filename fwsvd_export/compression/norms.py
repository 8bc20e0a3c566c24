"""From sums to the weighting norm a solver minimises: means over examples or tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from fwsvd_export.errors import StatisticsError
from fwsvd_export.records import ElementWeights, InputGram, Kronecker, Plain, RowWeights, Statistics, WeightingNorm
from fwsvd_export.solvers.fwsvd import FwsvdOptions
from fwsvd_export.solvers.options import SolverOptions
from fwsvd_export.solvers.solver import Solver

_CPU = torch.device("cpu")


def build_norm(
    solver: Solver, statistics: Statistics | None, layer: str, options: SolverOptions, device: torch.device = _CPU
) -> WeightingNorm:
    """The solver's weighting norm for one layer.

    Args:
        solver: a row of the table.
        statistics: None is enough for a solver that needs none.
        layer: its name.
        options: of the solver; fwsvd's hold the axis of its weights.
        device: where the norm is used; statistics may lie elsewhere.

    Raises:
        StatisticsError: the statistics lack what the solver needs.
    """
    if solver.norm is Plain:
        return Plain()
    check_collected(solver, statistics)
    assert statistics is not None, "checked above"
    sums = statistics.layers[layer]

    def there(tensor: Tensor | None) -> Tensor:
        if tensor is None:
            raise StatisticsError(f"the statistics of {layer} are incomplete; collect again with fwsvd-export fisher")
        return tensor.to(device)

    if solver.norm is RowWeights:
        assert isinstance(options, FwsvdOptions), "the options of its row"
        weights = there(sums.row_input if options.axis == "input" else sums.row_output) / statistics.examples
        return RowWeights(weights, options.axis)
    if solver.norm is ElementWeights:
        return ElementWeights(there(sums.element) / statistics.examples)
    if solver.norm is InputGram:
        return InputGram(there(sums.input_gram), statistics.tokens)
    return Kronecker(there(sums.input_gram), there(sums.gradient_gram), statistics.tokens, statistics.examples)


def check_collected(solver: Solver, statistics: Statistics | None) -> None:
    """Refuses statistics without the collection that the solver's norm is built from.

    Raises:
        StatisticsError: none given, or the collection is not among them.
    """
    if solver.needs is None:
        return
    if statistics is None:
        raise StatisticsError(f"method {solver.name} needs statistics: give task data or a statistics file")
    if solver.needs not in statistics.collected:
        raise StatisticsError(
            f"method {solver.name} needs {solver.needs} statistics, and these hold {', '.join(statistics.collected)}; "
            f"collect again with --collect {','.join((*statistics.collected, solver.needs))}"
        )
