from __future__ import annotations

import re
from dataclasses import asdict, fields
from typing import Any

import pytest

from fwsvd_export.errors import SolverOptionError
from fwsvd_export.solvers.als import AlsOptions
from fwsvd_export.solvers.anderson import AndersonOptions
from fwsvd_export.solvers.fwsvd import FwsvdOptions
from fwsvd_export.solvers.options import (
    IterationOptions,
    SolverOptions,
    options_from,
    options_to_json,
    with_fisher_axis,
)
from fwsvd_export.solvers.solver import Iterative
from fwsvd_export.solvers.table import SOLVERS

ITERATIVE = [name for name, solver in SOLVERS.items() if isinstance(solver, Iterative)]
NO_OPTIONS = [name for name, solver in SOLVERS.items() if not fields(solver.options)]
STARTS = "one of rank-one, row, svd is allowed"
ITERATIONS = "a whole number of at least 1 is allowed"
TOLERANCE = "a number from 0 up to 1 is allowed"
DEPTH = "a whole number from 1 to 20 is allowed"
RELAXATION = "a number from 1 up to 2 is allowed"
SHARE = "a number above 0 and at most 1 is allowed"


def made(method: str, **given: Any) -> Any:
    return options_from(method, SOLVERS[method].options, given)


@pytest.mark.parametrize("method", SOLVERS)
def test_nothing_given_means_the_defaults(method: str) -> None:
    assert made(method) == SOLVERS[method].options()


@pytest.mark.parametrize("method", ITERATIVE)
def test_numbers_may_come_as_texts_and_all_go_to_json(method: str) -> None:
    options = made(method, start="row", max_iterations="7", tolerance="1e-4")
    assert (options.start, options.max_iterations, options.tolerance) == ("row", 7, 1e-4)
    assert isinstance(options.max_iterations, int)
    assert options == made(method, start="row", max_iterations=7, tolerance=1e-4)
    assert options_to_json(options) == asdict(options)
    assert made(method, **options_to_json(options)) == options


def test_the_methods_have_their_own_options() -> None:
    assert made("anderson", depth="5", regularisation="0.5") == AndersonOptions(depth=5, regularisation=0.5)
    assert made("als", damping="0.5", relaxation="1.5") == AlsOptions(damping=0.5, relaxation=1.5)
    assert made("em") == IterationOptions()
    assert made("fwsvd", axis="output") == FwsvdOptions("output")


@pytest.mark.parametrize(
    ("method", "name", "message"),
    [
        ("em", "depth", "method em knows start, max_iterations, tolerance"),
        ("nesterov", "Start", "method nesterov knows start, max_iterations, tolerance"),
        ("anderson", "damping", "method anderson knows start, max_iterations, tolerance, depth, regularisation"),
        ("als", "fewest", "method als knows start, max_iterations, tolerance, warm_up, damping, relaxation"),
        ("fwsvd", "start", "method fwsvd knows axis"),
        *((method, "start", f"method {method} is exact and takes no options") for method in NO_OPTIONS),
    ],
)
def test_an_unknown_option_is_refused_with_the_known_ones(method: str, name: str, message: str) -> None:
    with pytest.raises(SolverOptionError, match=f"^{re.escape(f'solver option {name}: {message}')}$"):
        made(method, **{name: "1"})


def test_closed_forms_have_no_options_but_for_the_axis_of_fwsvd() -> None:
    assert NO_OPTIONS == ["svd", "activation", "kfac"]
    assert options_to_json(SolverOptions()) == {}
    assert options_to_json(made("fwsvd", axis="output")) == {"axis": "output"}


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        *(("max_iterations", value, "a whole number") for value in ("many", "", "2.5", 2.5, None, "1e3", "inf", "nan")),
        ("max_iterations", float("inf"), "a whole number"),
        *(("tolerance", value, "a number") for value in ("small", "", None, [], "1e-3x")),
        ("depth", "deep", "a whole number"),
        ("depth", 2.5, "a whole number"),
        ("regularisation", "none", "a number"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(name: str, value: Any, kind: str) -> None:
    with pytest.raises(SolverOptionError, match=f"^{re.escape(f'solver option {name}={value}: {kind} is allowed')}$"):
        made("anderson", **{name: value})


@pytest.mark.parametrize(
    ("method", "name", "value", "shown", "message"),
    [
        *((method, "start", "random", "random", STARTS) for method in ITERATIVE),
        *((method, "max_iterations", "0", "0", ITERATIONS) for method in ITERATIVE),
        *((method, "tolerance", "1", "1", TOLERANCE) for method in ITERATIVE),
        ("em", "start", None, "None", STARTS),
        ("em", "max_iterations", -3, "-3", ITERATIONS),
        ("em", "tolerance", -1e-9, "-1e-09", TOLERANCE),
        ("em", "tolerance", "nan", "nan", TOLERANCE),
        ("em", "tolerance", "inf", "inf", TOLERANCE),
        ("anderson", "depth", 0, "0", DEPTH),
        ("anderson", "depth", "21", "21", DEPTH),
        ("anderson", "regularisation", 0.0, "0", SHARE),
        ("anderson", "regularisation", "1.5", "1.5", SHARE),
        ("anderson", "regularisation", "nan", "nan", SHARE),
        ("fwsvd", "axis", "up", "up", "input or output is allowed"),
        ("fwsvd", "axis", None, "None", "input or output is allowed"),
        ("als", "damping", "0", "0", SHARE),
        ("als", "damping", 2, "2", SHARE),
        ("als", "damping", float("nan"), "nan", SHARE),
        ("als", "relaxation", 0.99, "0.99", RELAXATION),
        ("als", "relaxation", "2", "2", RELAXATION),
        ("als", "relaxation", "nan", "nan", RELAXATION),
    ],
)
def test_a_value_out_of_range_is_refused(method: str, name: str, value: Any, shown: str, message: str) -> None:
    with pytest.raises(SolverOptionError, match=f"^{re.escape(f'{name}={shown}: {message}')}$"):
        made(method, **{name: value})


@pytest.mark.parametrize(
    ("method", "name", "value"),
    [
        ("em", "max_iterations", 1),
        ("em", "tolerance", 0),
        ("em", "tolerance", 0.999),
        ("anderson", "depth", 1),
        ("anderson", "depth", 20),
        ("anderson", "regularisation", 1),
        ("als", "damping", 1),
        ("als", "damping", 1e-12),
        ("als", "relaxation", 1),
        ("als", "relaxation", 1.99),
    ],
)
def test_the_ends_of_the_ranges_are_allowed(method: str, name: str, value: float) -> None:
    assert getattr(made(method, **{name: value}), name) == value


@pytest.mark.parametrize(
    ("method", "given", "axis", "expected"),
    [
        ("kfac", {}, None, {}),
        ("em", {"start": "row"}, None, {"start": "row"}),
        ("fwsvd", {"axis": "output"}, None, {"axis": "output"}),
        ("fwsvd", {}, "output", {"axis": "output"}),
        ("fwsvd", {}, "input", {"axis": "input"}),
        ("fwsvd", {"axis": "output"}, "output", {"axis": "output"}),
        ("fwsvd", {}, "up", {"axis": "up"}),  # the record refuses it
    ],
)
def test_fisher_axis_is_an_alias_of_the_option_axis(
    method: str, given: dict[str, str], axis: str | None, expected: dict[str, str]
) -> None:
    before = dict(given)
    assert with_fisher_axis(method, given, axis) == expected
    assert given == before


@pytest.mark.parametrize("method", [name for name in SOLVERS if name != "fwsvd"])
@pytest.mark.parametrize("axis", ["input", "output", "up"])
def test_fisher_axis_with_another_method_is_refused(method: str, axis: str) -> None:
    with pytest.raises(SolverOptionError, match=rf"axis {axis} .* fwsvd, and the method is {method}; leave it out"):
        with_fisher_axis(method, {}, axis)


def test_two_axes_that_differ_are_refused() -> None:
    with pytest.raises(SolverOptionError, match=r"axis output .* axis=input contradict each other; give one"):
        with_fisher_axis("fwsvd", {"axis": "input"}, "output")
