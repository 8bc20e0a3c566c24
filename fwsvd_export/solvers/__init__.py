"""The solvers: one row each. The CLI choices, ``methods``, the documentation's table and the tests read this table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fwsvd_export.records import Decomposition, InputGram, Kronecker, Plain, RowWeights
from fwsvd_export.solvers import activation, fwsvd, kfac, svd


@dataclass(frozen=True)
class Solver:
    """One row of the table.

    Attributes:
        name: what ``--method`` takes.
        metric: the metric type the solver minimises.
        decompose: (weight (out, in), metric, layer name) -> a closed form at every rank.
        needs: the collection its metric is built from, None when it needs no statistics.
        exact: whether the result is the global minimum of its metric.
        minimises: the objective, in one line.
        comparable: whether losses mean the same in every layer, so that one budget can be shared.
        source: citation.
    """

    name: str
    metric: type[Plain] | type[RowWeights] | type[InputGram] | type[Kronecker]
    decompose: Callable[[Tensor, Any, str], Decomposition]
    needs: str | None
    exact: bool
    minimises: str
    comparable: bool
    source: str


_ROWS = (
    Solver(
        name="svd",
        metric=Plain,
        decompose=svd.decompose_plain,
        needs=None,
        exact=True,
        minimises="squared error of the weights",
        comparable=False,
        source="Eckart & Young 1936",
    ),
    Solver(
        name="fwsvd",
        metric=RowWeights,
        decompose=fwsvd.decompose_rows,
        needs="row",
        exact=True,
        minimises="squared error weighted by the Fisher of each input (or output) feature",
        comparable=False,
        source="Hsu et al. 2022, arXiv 2207.00112",
    ),
    Solver(
        name="activation",
        metric=InputGram,
        decompose=activation.decompose_input_gram,
        needs="kfac",
        exact=True,
        minimises="squared error of the layer's output on the calibration inputs",
        comparable=False,
        source="Wang et al. 2024 (SVD-LLM), arXiv 2403.07378",
    ),
    Solver(
        name="kfac",
        metric=Kronecker,
        decompose=kfac.decompose_kronecker,
        needs="kfac",
        exact=True,
        minimises="rise of the task loss, by the Kronecker-factored Fisher",
        comparable=True,
        source="Martens & Grosse 2015, arXiv 1503.05671",
    ),
)

SOLVERS: dict[str, Solver] = {row.name: row for row in _ROWS}
