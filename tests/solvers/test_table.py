from __future__ import annotations

import dataclasses

import pytest

from fwsvd_export.records import COLLECTIONS, ElementWeights, Plain
from fwsvd_export.solvers.options import IterationOptions
from fwsvd_export.solvers.solver import ClosedForm, Iterative
from fwsvd_export.solvers.table import SOLVERS

every_row = pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)


@every_row
def test_every_row_is_complete(solver: ClosedForm | Iterative) -> None:
    assert SOLVERS[solver.name] is solver
    assert (solver.needs is None) == (solver.norm is Plain)
    assert solver.needs is None or solver.needs in COLLECTIONS
    assert solver.minimises
    assert solver.source
    assert dataclasses.is_dataclass(solver.options())


@every_row
def test_iterations_minimise_element_weights(solver: ClosedForm | Iterative) -> None:
    iterates = isinstance(solver, Iterative)
    assert iterates == (solver.norm is ElementWeights) == issubclass(solver.options, IterationOptions)


@every_row
def test_rows_do_not_change(solver: ClosedForm | Iterative) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        solver.name = "other"  # type: ignore[misc]
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
        solver.options().start = "other"  # type: ignore[attr-defined]
