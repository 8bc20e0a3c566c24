from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

from fwsvd_export.solvers.solver import ClosedForm, Iterative, Solver


def test_both_kinds_of_row_say_all_that_a_row_says() -> None:
    common = [field.name for field in fields(Solver)]
    assert [field.name for field in fields(ClosedForm)] == [*common, "decompose"]
    assert [field.name for field in fields(Iterative)] == [*common, "method"]


def test_the_types_of_rows_come_without_torch() -> None:
    probe = "import sys, fwsvd_export.solvers.solver; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
