"""Options in groups under headings of ``--help``, and what every command has: ``-v``, ``-q``, quiet libraries."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

import click

Decorated = TypeVar("Decorated", bound=Callable[..., Any] | click.Command)


Explained = tuple[str, list[tuple[str, str]]]


class Group(Enum):
    """The headings, in the order in which ``--help`` shows them."""

    MODEL = "Model"
    DATA = "Data"
    SIZE = "Size"
    METHOD = "Method"
    TRAINING = "Training"
    EXPORT = "Export"
    MEASUREMENT = "Measurement"
    REPOSITORY = "Repository"
    OUTPUT = "Output"
    GENERAL = "General"


class GroupedOption(click.Option):
    """A click option that knows its heading.

    Args:
        args: as of ``click.Option``.
        group: the heading.
        explained: (title, [(value, what it is), ...]): a list of its values that help shows behind the group.
        settings: as of ``click.Option``.
    """

    def __init__(
        self, *args: Any, group: Group = Group.GENERAL, explained: Explained | None = None, **settings: Any
    ) -> None:
        super().__init__(*args, **settings)
        self.group = group
        self.explained = explained


def option(group: Group, *declarations: str, **settings: Any) -> Callable[[Decorated], Decorated]:
    """As ``click.option``, under a heading of ``--help``."""
    return click.option(*declarations, cls=GroupedOption, group=group, **settings)


def together(*options: Callable[[Any], Any]) -> Callable[[Decorated], Decorated]:
    """One decorator that adds several options, in their order."""

    def add(decorated: Decorated) -> Decorated:
        for add_one in reversed(options):
            decorated = add_one(decorated)
        return decorated

    return add


verbose_option = option(
    Group.GENERAL, "-v", "--verbose", is_flag=True, help="Show warnings of the libraries, and tracebacks."
)
quiet_option = option(Group.GENERAL, "-q", "--quiet", is_flag=True, help="Show no progress and no hints.")


class Command(click.Command):
    """A command whose options stand in groups, and that takes ``-v`` and ``-q`` behind its name too."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        quiet_option(verbose_option(self))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One section per group that has options."""
        options = [parameter for parameter in self.get_params(ctx) if isinstance(parameter, click.Option)]
        for group in Group:
            mine = [option for option in options if getattr(option, "group", Group.GENERAL) is group]
            rows = [row for option in mine if (row := option.get_help_record(ctx)) is not None]
            if rows:
                with formatter.section(f"{group.value} options"):
                    formatter.write_dl(rows)
            for title, values in (found for option in mine if (found := getattr(option, "explained", None))):
                with formatter.section(title):
                    formatter.write_dl(values)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; a flag counts wherever it stood."""
        for flag in ("verbose", "quiet"):
            ctx.obj[flag] |= ctx.params.pop(flag)
        if not ctx.obj["verbose"]:
            _quieten_libraries(progress=ctx.info_name == "push" and not ctx.obj["quiet"])
        from fwsvd_export.cli.console import hint_at_warnings  # rich, which --help does without

        hint_at_warnings()
        return super().invoke(ctx)


def _quieten_libraries(progress: bool) -> None:
    """Asks libraries that are not imported yet to be quiet.

    Args:
        progress: whether the Hub's client shows how far it is: an upload takes minutes.
    """
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DATASETS_VERBOSITY", "critical")  # its errors come as exceptions
    if not progress:
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
