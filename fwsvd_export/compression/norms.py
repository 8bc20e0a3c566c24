"""From sums to the metric a solver minimises: means over examples or tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from fwsvd_export.errors import RankError, StatisticsError
from fwsvd_export.records import ElementWeights, InputGram, Kronecker, Metric, Plain, RowWeights, Statistics
from fwsvd_export.solvers.table import Solver

AXES = ("input", "output")


_CPU = torch.device("cpu")


def build_metric(
    solver: Solver, statistics: Statistics | None, layer: str, axis: str, device: torch.device = _CPU
) -> Metric:
    """The solver's metric for one layer.

    Args:
        solver: a row of the table.
        statistics: None is enough for a solver that needs none.
        layer: its name.
        axis: orientation of row weights, "input" (the paper's) or "output".
        device: where the metric is used; statistics may lie elsewhere.

    Raises:
        StatisticsError: the statistics lack what the solver needs.
    """
    if axis not in AXES:
        raise RankError(f"axis {axis!r}: input or output is allowed")
    if solver.metric is Plain:
        return Plain()
    check_collected(solver, statistics)
    assert statistics is not None, "checked above"
    sums = statistics.layers[layer]

    def there(tensor: Tensor | None) -> Tensor:
        if tensor is None:
            raise StatisticsError(f"the statistics of {layer} are incomplete; collect again with fwsvd-export fisher")
        return tensor.to(device)

    if solver.metric is RowWeights:
        return RowWeights(there(sums.row_input if axis == "input" else sums.row_output) / statistics.examples, axis)
    if solver.metric is ElementWeights:
        return ElementWeights(there(sums.element) / statistics.examples)
    if solver.metric is InputGram:
        return InputGram(there(sums.input_gram), statistics.tokens)
    return Kronecker(there(sums.input_gram), there(sums.gradient_gram), statistics.tokens, statistics.examples)


def check_collected(solver: Solver, statistics: Statistics | None) -> None:
    """Refuses statistics without the collection that the solver's metric is built from.

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
