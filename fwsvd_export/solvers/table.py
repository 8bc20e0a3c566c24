"""The solvers: one row each. The CLI choices, ``methods``, the documentation's table and the tests read this table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fwsvd_export.records import Decomposition, ElementWeights, InputGram, Kronecker, Plain, RowWeights
from fwsvd_export.solvers import activation, fwsvd, kfac, svd
from fwsvd_export.solvers.als import Als, AlsOptions
from fwsvd_export.solvers.anderson import Anderson, AndersonOptions
from fwsvd_export.solvers.driver import MakeMethod
from fwsvd_export.solvers.em import Em
from fwsvd_export.solvers.nesterov import Nesterov
from fwsvd_export.solvers.options import IterationOptions


@dataclass(frozen=True)
class Solver:
    """What every row of the table has.

    Attributes:
        name: what ``--method`` takes.
        metric: the metric type the solver minimises.
        needs: the collection its metric is built from, None when it needs no statistics.
        minimises: the objective, in one line.
        comparable: whether losses mean the same in every layer, so that one budget can be shared.
        source: citation.
    """

    name: str
    metric: type[Plain] | type[RowWeights] | type[InputGram] | type[Kronecker] | type[ElementWeights]
    needs: str | None
    minimises: str
    comparable: bool
    source: str


@dataclass(frozen=True)
class ClosedForm(Solver):
    """A method that gives the global minimum at every rank at once.

    Attributes:
        decompose: (weight (out, in), metric, layer name) -> the closed form.
    """

    decompose: Callable[[Tensor, Any, str], Decomposition]
    options = None


@dataclass(frozen=True)
class Iterative(Solver):
    """A method that improves a start step by step; ``driver.minimise`` runs it.

    Attributes:
        method: makes its state for a stack of problems.
        options: the record of its options.
    """

    method: MakeMethod
    options: type[IterationOptions]


_ELEMENTS = "squared error weighted by the Fisher of each weight"
_ROWS: tuple[ClosedForm | Iterative, ...] = (
    ClosedForm(
        name="svd",
        metric=Plain,
        needs=None,
        minimises="squared error of the weights",
        comparable=False,
        source="Eckart & Young 1936",
        decompose=svd.decompose_plain,
    ),
    ClosedForm(
        name="fwsvd",
        metric=RowWeights,
        needs="row",
        minimises="squared error weighted by the Fisher of each input (or output) feature",
        comparable=False,
        source="Hsu et al. 2022, arXiv 2207.00112",
        decompose=fwsvd.decompose_rows,
    ),
    Iterative(
        name="em",
        metric=ElementWeights,
        needs="element",
        minimises=f"{_ELEMENTS}, by filling in and truncating",
        comparable=True,
        source="Srebro & Jaakkola 2003",
        method=Em,
        options=IterationOptions,
    ),
    Iterative(
        name="nesterov",
        metric=ElementWeights,
        needs="element",
        minimises=f"{_ELEMENTS}, em with momentum",
        comparable=True,
        source="Tuzhilina & Hastie 2021, arXiv 2109.11057",
        method=Nesterov,
        options=IterationOptions,
    ),
    Iterative(
        name="anderson",
        metric=ElementWeights,
        needs="element",
        minimises=f"{_ELEMENTS}, em with Anderson's combination of steps",
        comparable=True,
        source="Tuzhilina & Hastie 2021, arXiv 2109.11057",
        method=Anderson,
        options=AndersonOptions,
    ),
    Iterative(
        name="als",
        metric=ElementWeights,
        needs="element",
        minimises=f"{_ELEMENTS}, by exact alternating least squares",
        comparable=True,
        source="Gabriel & Zamir 1979",
        method=Als,
        options=AlsOptions,
    ),
    ClosedForm(
        name="activation",
        metric=InputGram,
        needs="kfac",
        minimises="squared error of the layer's output on the calibration inputs",
        comparable=False,
        source="Wang et al. 2024 (SVD-LLM), arXiv 2403.07378",
        decompose=activation.decompose_input_gram,
    ),
    ClosedForm(
        name="kfac",
        metric=Kronecker,
        needs="kfac",
        minimises="rise of the task loss, by the Kronecker-factored Fisher",
        comparable=True,
        source="Martens & Grosse 2015, arXiv 1503.05671",
        decompose=kfac.decompose_kronecker,
    ),
)

SOLVERS: dict[str, ClosedForm | Iterative] = {row.name: row for row in _ROWS}
