"""The solvers: one row each. The CLI choices, ``methods``, the documentation's table and the tests read this table."""

from __future__ import annotations

from torch import Tensor

from fwsvd_export.errors import RankError, shown
from fwsvd_export.records import ElementWeights, InputGram, Kronecker, Plain, RowWeights
from fwsvd_export.solvers import activation, fwsvd, kfac, svd
from fwsvd_export.solvers.als import Als, AlsOptions
from fwsvd_export.solvers.anderson import Anderson, AndersonOptions
from fwsvd_export.solvers.em import Em
from fwsvd_export.solvers.nesterov import Nesterov
from fwsvd_export.solvers.options import IterationOptions, SolverOptions
from fwsvd_export.solvers.problem import Scaled
from fwsvd_export.solvers.solver import ClosedForm, Iterative


def _als_after_anderson(problem: Scaled, directions: Tensor, options: AlsOptions) -> Als:
    """Als, whose first steps are those of anderson with its defaults."""
    return Als(options, Anderson(problem, directions, AndersonOptions()))


_ELEMENTS = "squared error weighted by the Fisher of each weight"
_ROWS: tuple[ClosedForm | Iterative, ...] = (
    ClosedForm(
        name="svd",
        norm=Plain,
        needs=None,
        minimises="squared error of the weights",
        comparable=False,
        source="Eckart & Young 1936",
        options=SolverOptions,
        decompose=svd.decompose_plain,
    ),
    ClosedForm(
        name="fwsvd",
        norm=RowWeights,
        needs="row",
        minimises="squared error weighted by the Fisher of each input (or output) feature",
        comparable=False,
        source="Hsu et al. 2022, arXiv 2207.00112",
        options=fwsvd.FwsvdOptions,
        decompose=fwsvd.decompose_rows,
    ),
    Iterative(
        name="em",
        norm=ElementWeights,
        needs="element",
        minimises=f"{_ELEMENTS}, by filling in and truncating",
        comparable=True,
        source="Srebro & Jaakkola 2003",
        options=IterationOptions,
        method=Em,
    ),
    Iterative(
        name="nesterov",
        norm=ElementWeights,
        needs="element",
        minimises=f"{_ELEMENTS}, em with momentum",
        comparable=True,
        source="Tuzhilina & Hastie 2021, arXiv 2109.11057",
        options=IterationOptions,
        method=Nesterov,
    ),
    Iterative(
        name="anderson",
        norm=ElementWeights,
        needs="element",
        minimises=f"{_ELEMENTS}, em with Anderson's combination of steps",
        comparable=True,
        source="Tuzhilina & Hastie 2021, arXiv 2109.11057",
        options=AndersonOptions,
        method=Anderson,
    ),
    Iterative(
        name="als",
        norm=ElementWeights,
        needs="element",
        minimises=f"{_ELEMENTS}, by exact alternating least squares",
        comparable=True,
        source="Gabriel & Zamir 1979",
        options=AlsOptions,
        method=_als_after_anderson,
    ),
    ClosedForm(
        name="activation",
        norm=InputGram,
        needs="kfac",
        minimises="squared error of the layer's output on the calibration inputs",
        comparable=False,
        source="Wang et al. 2024 (SVD-LLM), arXiv 2403.07378",
        options=SolverOptions,
        decompose=activation.decompose_input_gram,
    ),
    ClosedForm(
        name="kfac",
        norm=Kronecker,
        needs="kfac",
        minimises="rise of the task loss, by the Kronecker-factored Fisher",
        comparable=True,
        source="Martens & Grosse 2015, arXiv 1503.05671",
        options=SolverOptions,
        decompose=kfac.decompose_kronecker,
    ),
)

SOLVERS: dict[str, ClosedForm | Iterative] = {row.name: row for row in _ROWS}


def solver_named(method: str) -> ClosedForm | Iterative:
    """The row of the solver table.

    Raises:
        RankError: no such method; the message lists them.
    """
    if not isinstance(method, str) or method not in SOLVERS:
        raise RankError(f"method {shown(method)}: one of {', '.join(SOLVERS)} is allowed")
    return SOLVERS[method]
