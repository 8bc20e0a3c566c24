"""What is readable without torch is what the table says."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

from fwsvd_export.records import Kronecker
from fwsvd_export.solvers.names import METHODS, OPTIONS, RECONSTRUCTING, SHARING
from fwsvd_export.solvers.solver import ClosedForm
from fwsvd_export.solvers.table import SOLVERS


def test_the_names_are_those_of_the_table_in_its_order() -> None:
    assert tuple(SOLVERS) == METHODS
    assert {name: tuple(field.name for field in fields(row.options)) for name, row in SOLVERS.items()} == OPTIONS


def test_what_a_method_can_do_is_as_the_table_says() -> None:
    able = [name for name, row in SOLVERS.items() if row.comparable and isinstance(row, ClosedForm)]
    assert able == list(SHARING)
    assert [name for name, row in SOLVERS.items() if row.norm is Kronecker] == list(RECONSTRUCTING)


def test_the_names_come_without_torch() -> None:
    probe = "import sys, fwsvd_export.solvers.names as names; assert 'torch' not in sys.modules; print(*names.METHODS)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, list(METHODS)), done.stderr
