"""Names without the folders that stand before them: what is published tells nobody's home directory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath, PureWindowsPath

_OPTION = re.compile(r"(--?[\w-]+=)(.*)", flags=re.DOTALL)
# The name of a Hub data set in reports: ``calibration.DataRequest.name``. A file's name ends in its kind instead.
_HUB_DATA = re.compile(r"(?P<id>[\w.-]+(?:/[\w.-]+)?)(?::(?P<config>[^\s:()]+))? \((?P<split>[^()]+)\)")


def without_folders(word: str) -> str:
    """A path that is absolute, or starts at a home or a parent folder, reduced to its last part; other words as is.

    Example:
        >>> without_folders("/home/me/models/bert"), without_folders("--data=~/train.jsonl"), without_folders("a/b")
        ('bert', '--data=train.jsonl', 'a/b')
    """
    option = _OPTION.fullmatch(word)
    if option is not None:
        return option[1] + without_folders(option[2])
    windows = PureWindowsPath(word)
    if windows.drive and windows.root:
        return windows.name or "."
    if word.startswith(("/", "~")) or word.split("/")[0] == "..":
        name = PurePosixPath(word).name
        return "." if name in ("", "..") or name.startswith("~") else name
    return word


def command_line(words: Sequence[str]) -> list[str]:
    """The words of a command as they were typed, without local folders."""
    return [without_folders(word) for word in words]


def hub_data(name: str) -> dict[str, str | None] | None:
    """Id, configuration and split in the name of a data set of the Hub; None for a file's name.

    Example:
        >>> hub_data("someone/glue:sst2 (validation)"), hub_data("validation.jsonl")
        ({'id': 'someone/glue', 'config': 'sst2', 'split': 'validation'}, None)
    """
    found = _HUB_DATA.fullmatch(name)
    return None if found is None else found.groupdict()
