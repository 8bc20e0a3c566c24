"""Values from a table: a wrong one is wrong usage that names the allowed ones and the nearest; shells complete them."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import click
from click.shell_completion import CompletionItem

from fwsvd_export.errors import FwsvdExportError, shown
from fwsvd_export.runtime.device import DEVICES, check_device_name


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """The end of a sentence that names the nearest allowed word; empty when none is near.

    Example:
        >>> did_you_mean("kfax", ["svd", "kfac"]), did_you_mean("magic", ["svd", "kfac"])
        ('; did you mean kfac?', '')
    """
    word, words = given.strip().lower(), list(allowed)
    begun = [longer for longer in words if word and longer.startswith(word)]
    near = begun or get_close_matches(word, words, n=1)
    return f"; did you mean {near[0]}?" if near else ""


class OneOf(click.ParamType):  # type: ignore[type-arg] # generic only since click 8.4
    """One value of a table.

    Args:
        values: what is allowed; the option's value is one of them, whatever their type.
    """

    name = "choice"

    def __init__(self, values: Iterable[Any]) -> None:
        self.values = {str(value): value for value in values}

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """``[svd|kfac]``; click before 8.2 gives no context."""
        return f"[{'|'.join(self.values)}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value of a word.

        Raises:
            click.BadParameter: it is not in the table.
        """
        return self._one(str(value), param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The values that begin so."""
        return [CompletionItem(word) for word in self.values if word.startswith(incomplete)]

    def _one(self, word: str, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if word not in self.values:
            allowed = ", ".join(self.values)
            self.fail(f"{shown(word)}: one of {allowed} is allowed{did_you_mean(word, self.values)}", param, ctx)
        return self.values[word]


class SomeOf(OneOf):
    """One or more values of a table, separated by commas; a tuple."""

    name = "choices"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """``[kfac|row],...``."""
        return f"{super().get_metavar(param, ctx)},..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """The values of the words between commas.

        Raises:
            click.BadParameter: one is not in the table, or there is none.
        """
        words = value.split(",") if isinstance(value, str) else list(value)
        chosen = tuple(self._one(word, param, ctx) for item in words if (word := str(item).strip()))
        if not chosen:
            allowed = ", ".join(self.values)
            self.fail(f"nothing given: choose one or more of {allowed}, separated by commas", param, ctx)
        return chosen

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The values that the part after the last comma begins, behind those that are there and without them."""
        before, comma, last = incomplete.rpartition(",")
        there = before.split(",")
        words = [word for word in self.values if word.startswith(last) and word not in there]
        return [CompletionItem(f"{before}{comma}{word}") for word in words]


class UserPath(click.Path):
    """A path; ``~`` at its start is the home folder also where the shell leaves it, as in ``--data=~/rows.csv``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click does."""
        return super().convert(os.path.expanduser(value), param, ctx)


class Shard(click.ParamType):  # type: ignore[type-arg] # generic only since click 8.4
    """One of several shares of the work, as two whole numbers."""

    name = "I/N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """The share and how many there are.

        Raises:
            click.BadParameter: it is not I/N with 1 <= I <= N.
        """
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", str(value).strip())
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            self.fail(f"{shown(value)} is not a shard: I/N with 1 <= I <= N is allowed, for example 1/4", param, ctx)
        return int(found[1]), int(found[2])


class Names(click.ParamType):  # type: ignore[type-arg] # generic only since click 8.4
    """Names between commas; one that holds a comma stands in double quotes."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """The names.

        Raises:
            click.BadParameter: there is none, or one is empty or stands there twice.
        """
        if isinstance(value, tuple):
            return value
        names = tuple(word.strip() for row in csv.reader([str(value)], skipinitialspace=True) for word in row)
        if not names or "" in names:
            self.fail(f"{shown(value)}: names between commas are allowed, none of them empty", param, ctx)
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            self.fail(f"{shown(twice[0])} stands there twice; give every class a name of its own", param, ctx)
        return names


class Numbers(click.ParamType):  # type: ignore[type-arg] # generic only since click 8.4
    """Numbers between commas.

    Args:
        whole: whether only whole numbers are allowed.
    """

    name = "numbers"

    def __init__(self, whole: bool = True) -> None:
        self._number = int if whole else float
        self._allowed = (
            "whole numbers separated by commas are allowed, as 1,8"
            if whole
            else "numbers separated by commas are allowed, as 0.5,0.25"
        )

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """The numbers.

        Raises:
            click.BadParameter: a part is not a number, or one is not whole.
        """
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self._number(word) for word in str(value).split(","))
        except ValueError:
            self.fail(f"{shown(value)}: {self._allowed}", param, ctx)


class LabelMap(Names):
    """Labels and classes between commas, LABEL=CLASS each."""

    name = "map"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """Pairs of a label and a class.

        Raises:
            click.BadParameter: a part is not LABEL=CLASS.
        """
        if isinstance(value, tuple):
            return value
        pairs = [
            tuple(side.strip() for side in part.rpartition("=")[::2]) for part in super().convert(value, param, ctx)
        ]
        if not all(label and chosen for label, chosen in pairs):
            self.fail(f"{shown(value)}: LABEL=CLASS between commas is allowed, for example neg=0,pos=1", param, ctx)
        return tuple(pairs)


class Device(click.ParamType):  # type: ignore[type-arg] # generic only since click 8.4
    """The name of a device; whether the machine has it is for the library to find out, which imports torch."""

    name = "device"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """``[auto|cpu|cuda|cuda:N]``."""
        return f"[{'|'.join(DEVICES)}|cuda:N]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name, when it can be that of a device.

        Raises:
            click.BadParameter: it cannot.
        """
        name = str(value)
        try:
            check_device_name(name)
        except FwsvdExportError as error:
            self.fail(f"{error}{did_you_mean(name, DEVICES)}", param, ctx)
        return name

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The names that begin so."""
        return [CompletionItem(name) for name in DEVICES if name.startswith(incomplete)]
