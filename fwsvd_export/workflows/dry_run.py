"""``compress --dry-run``: what the size asked for, and other sizes, are predicted to cost; nothing is written."""

from __future__ import annotations

from fwsvd_export.compression.checks import closed_form
from fwsvd_export.compression.forecast import Forecast, forecast
from fwsvd_export.compression.prepare import prepare
from fwsvd_export.runtime.progress import Steps, silent
from fwsvd_export.solvers.table import solver_named
from fwsvd_export.workflows.compress import prepare_run
from fwsvd_export.workflows.compress_request import CompressRequest


def run_dry(request: CompressRequest, steps: Steps = silent) -> Forecast:
    """Everything before the model is built: the same checks, the same statistics, the same decompositions.

    Raises:
        FwsvdExportError: what ``run_compress`` would refuse, and a method that solves one rank at a time.
    """
    closed_form(solver_named(request.method))
    return forecast(prepare(prepare_run(request, steps).inputs, steps))
