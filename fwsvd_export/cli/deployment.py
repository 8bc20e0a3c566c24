"""What ``compress --for`` tried, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fwsvd_export.cli.targets import change_from
from fwsvd_export.workflows.deployment_request import SIZE

if TYPE_CHECKING:
    from fwsvd_export.checkpoints.gate import Gate, RecordedDeployment, RecordedTrial


def print_trials(gate: Gate) -> None:
    """Every trial, those first that none other beats in metric and cost."""
    from fwsvd_export.cli.console import print_table
    from fwsvd_export.evaluation.deployment import efficient

    tried = [(trial, _deployment(trial)) for trial in gate.trials]
    best = efficient([(trial.value, _cost(made, gate.goal)) for trial, made in tried])
    order = [*best, *(place for place in range(len(tried)) if place not in best)]
    rows = [_row(gate, place, *tried[place], efficient=place in best) for place in order]
    columns = ["ratio", "words", "widths", "runtime", gate.metric, "target", "MB", "speed-up", ""]
    print_table(f"tried for {gate.goal}: {len(tried)}", columns, rows)


def _row(gate: Gate, place: int, trial: RecordedTrial, made: RecordedDeployment, *, efficient: bool) -> list[str]:
    change = change_from(gate.dense, trial.value, trial.low, trial.high)
    remark = "in the folder" if place == gate.chosen else "Pareto" if efficient else ""
    return [
        f"{trial.ratio:g}",
        f"{made.embeddings:g}",
        made.widths,
        made.runtime,
        f"{trial.value:.4f} ({change})",
        "met" if trial.kept else "missed",
        f"{made.file_bytes / 1e6:.1f}",
        f"x{made.speedup:.2f}",
        remark,
    ]


def _cost(made: RecordedDeployment, goal: str | None) -> float:
    return made.file_bytes if goal == SIZE else 1 / made.speedup


def _deployment(trial: RecordedTrial) -> RecordedDeployment:
    assert trial.deployment is not None, "tried with --for"
    return trial.deployment
