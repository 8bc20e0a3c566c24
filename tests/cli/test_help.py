"""Help answers at once, for every command; the package's names resolve when they are used."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib import import_module

import click
import pytest
from click.testing import Result

import fwsvd_export
from fwsvd_export.cli import COMMANDS

LIGHT = """
import sys
from fwsvd_export.cli import COMMANDS, main
for words in [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)]:
    sys.argv = ["fwsvd-export", *words]
    try:
        main()
    except SystemExit as end:
        assert end.code == 0, words
    heavy = {"torch", "transformers", "datasets", "numpy", "fwsvd_export.workflows.compress"} & set(sys.modules)
    assert not heavy, (words, heavy)
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str, run: Callable[..., Result]) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert "Example:" in result.stdout
    assert f"fwsvd-export {name} " in result.stdout
    options = import_module(f"fwsvd_export.cli.{name}").command.params
    assert [option.name for option in options if isinstance(option, click.Option) and not option.help] == []


def test_the_list_of_commands_is_complete(run: Callable[..., Result]) -> None:
    text = run("--help").stdout
    assert all(name in text and line in text for name, line in COMMANDS.items())
    assert "Example:" in text


def test_an_unknown_command_or_option_is_wrong_usage(run: Callable[..., Result]) -> None:
    for arguments in (["squeeze"], ["compress", "--smaller"], ["compress"]):
        result = run(*arguments)
        assert result.exit_code == 2
        assert "Error: " in result.stderr
        assert "Traceback" not in result.stderr


def test_help_imports_no_heavy_library() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_public_names_resolve_also_after_their_modules_were_imported() -> None:
    import_module("fwsvd_export.workflows.compress")
    assert {"collect_statistics", "compress", "densify", "load_statistics"} <= set(fwsvd_export.__all__)
    assert all(callable(getattr(fwsvd_export, name)) for name in fwsvd_export.__all__)
    with pytest.raises(AttributeError, match="squeeze"):
        fwsvd_export.squeeze  # noqa: B018 - the access is the test
