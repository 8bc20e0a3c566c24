"""Help in groups, the style of its texts, and -v and -q on both sides of the command's name."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import Result

from fwsvd_export.cli import COMMANDS
from fwsvd_export.cli.groups import Command, Group
from fwsvd_export.data.tasks import TASKS

Run = Callable[..., Result]

NEVER_FIRST = {"a", "an", "any", "as", "for", "how", "instead", "more", "of", "the", "to", "use", "what", "with"}


def command_named(name: str) -> Command:
    command = import_module(f"fwsvd_export.cli.{name}").command
    assert isinstance(command, Command)
    return command


def options_of(name: str) -> list[click.Option]:
    return [parameter for parameter in command_named(name).params if isinstance(parameter, click.Option)]


def sections_of(text: str) -> dict[str, str]:
    """Heading -> what stands under it."""
    parts = re.split(r"^(\w+) options:$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def headings_of(option: str, sections: dict[str, str]) -> list[str]:
    """Where a line begins with the option, or with its short name before it."""
    return [heading for heading, text in sections.items() if re.search(rf"^  (-\w, )?{option}(?![\w-])", text, re.M)]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_stands_under_one_heading_in_the_order_of_the_groups(name: str, run: Run) -> None:
    sections = sections_of(run(name, "--help").stdout)
    order = [group.value for group in Group]
    assert list(sections) == sorted(sections, key=order.index)
    for option in options_of(name):
        assert len(headings_of(option.opts[-1], sections)) == (0 if option.hidden else 1), option.opts


def test_compress_groups_model_data_size_method_and_output(run: Run) -> None:
    sections = sections_of(run("compress", "--help").stdout)
    assert list(sections) == ["Model", "Data", "Size", "Method", "Output", "General"]
    for heading, option in [
        ("Model", "--device"),
        ("Data", "--task"),
        ("Size", "--ratio"),
        ("Method", "--reconstruct"),
        ("Output", "--json"),
        ("General", "--quiet"),
    ]:
        assert headings_of(option, sections) == [heading]
    assert "--match" not in "".join(sections.values()), "the former name works, and help does not teach it"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_texts_are_whole_sentences_that_start_with_what_they_are_about(name: str) -> None:
    for option in options_of(name):
        text = option.help or ""
        assert text[:1].isupper() or text.startswith("--"), (option.opts, text)
        assert text.endswith("."), (option.opts, text)
        assert text.split()[0].lower().strip(",") not in NEVER_FIRST, (option.opts, text)


@pytest.mark.parametrize("name", COMMANDS)
def test_defaults_are_shown(name: str) -> None:
    context = click.Context(command_named(name))
    for option in options_of(name):
        if not option.is_flag and isinstance(option.get_default(context), str | int | float):
            assert option.show_default, option.opts


@pytest.mark.parametrize(
    "words", [["-v", "inspect", "FOLDER"], ["inspect", "FOLDER", "-v"], ["inspect", "-v", "FOLDER"]]
)
def test_verbose_counts_wherever_it_stands(words: list[str], tmp_path: Path, run: Run) -> None:
    given = [tmp_path if word == "FOLDER" else word for word in words]
    result = run(*given)
    assert result.exit_code == 1
    assert "Traceback" in result.stderr


@pytest.mark.parametrize(("words", "hinted"), [([], True), (["-q"], False), (["--quiet"], False)])
def test_quiet_counts_behind_the_command(
    words: list[str], hinted: bool, tiny_folder: Path, tmp_path: Path, run: Run
) -> None:
    options = ["--method", "svd", "--rank", 4, "--keep-dense", "*.query"]
    result = run("compress", tiny_folder, tmp_path / "out", *options, *words)
    assert result.exit_code == 0, result.output
    assert (result.stderr != "") is hinted


def test_a_misspelt_command_gets_a_suggestion(run: Run) -> None:
    result = run("compres", "model", "out")
    assert result.exit_code == 2
    assert "'compres'" in result.stderr
    assert "did you mean compress?" in result.stderr
    assert "did you mean evaluate?" in run("evalute", "model").stderr
    assert "fwsvd-export --help lists them" in run("zzz").stderr


@pytest.mark.parametrize("name", ["fisher", "compress", "evaluate", "onnx", "bench"])
def test_help_lists_the_presets_with_the_columns_they_read(name: str, run: Run) -> None:
    text = " ".join(run(name, "--help").stdout.partition("Presets of --task and the columns they read:\n")[2].split())
    for task in TASKS.values():
        row = next(found for found in re.findall(r"((?:\w+, )*\w+) (?=\w)", text) if task.name in found.split(", "))
        assert row
    assert "stsb, mrpc, rte, sts sentence1, sentence2, label" in text
    assert "ner tokens, ner_tags" in text


@pytest.mark.parametrize("name", [[], *([name] for name in COMMANDS)])
def test_help_shows_both_forms_of_verbose_and_quiet(name: list[str], run: Run) -> None:
    text = run(*name, "--help").stdout
    assert re.search(r"^  -v, --verbose +Show", text, re.M)
    assert re.search(r"^  -q, --quiet +Show", text, re.M)
