"""``tasks``: the table of task presets."""

from __future__ import annotations

import click

from fwsvd_export.cli.groups import Command
from fwsvd_export.cli.options import json_option
from fwsvd_export.data.tasks import LABELS, TASKS, Task
from fwsvd_export.evaluation.measures import averaged

_FIELDS = ("name", "text", "text_pair", "label", "labels")


@click.command(cls=Command)
@json_option
def command(as_json: bool) -> None:
    """List the task presets that --task takes: columns they read, labels, metric.

    Columns can be replaced with --text-column, --text-pair-column and --label-column, names of labels with --label-map
    and --label-names.

    \b
    Example:
      fwsvd-export tasks
    """
    from fwsvd_export.cli.console import print_json, print_table

    if as_json:
        print_json(
            {
                "tasks": [
                    {**{name: getattr(task, name) for name in _FIELDS}, "metric": _metric(task)}
                    for task in TASKS.values()
                ]
            }
        )
        return
    rows = [
        [
            task.name,
            task.text if task.text_pair is None else f"{task.text}, {task.text_pair}",
            task.label or "none",
            "none" if task.label is None else LABELS[task.labels],
            _metric(task) or "none",
        ]
        for task in TASKS.values()
    ]
    print_table("Task presets", ["name", "text columns", "label column", "labels", "metric"], rows)


def _metric(task: Task) -> str | None:
    """The main metric of a preset as it stands, without columns of its own."""
    return next(iter(averaged(task)), task.metric)
