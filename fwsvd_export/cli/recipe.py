"""``--recipe FILE.yaml``: options and arguments of a command in a file, validated as if they had been typed."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fwsvd_export.cli import TYPED
from fwsvd_export.cli.choices import Names, Numbers, SomeOf, UserPath, did_you_mean
from fwsvd_export.cli.groups import Group, GroupedOption
from fwsvd_export.errors import listed, message_of, shown

if TYPE_CHECKING:
    from fwsvd_export.checkpoints.record import RecordedRecipe

RECIPE = "fwsvd_export.recipe"  # in a context's ``meta``: the ``RecordedRecipe``
_LARGEST_BYTES = 1_000_000
_COMMA_SEPARATED = (SomeOf, Names, Numbers)
# What cannot stand beside each other: one that is typed takes the place of the others in the file, too
_ALTERNATIVES = (
    {"ratio", "rank", "params", "max_drop"},
    {"ratios", "ranks"},
    {"data", "dataset", "queries"},
    {"data", "dataset", "candidates"},
    {"reconstruct", "match"},
)
_NOT_IN_A_FILE = {"recipe", "help"}


class RecipeOption(GroupedOption):
    """Puts the values of the file where click looks up defaults, so that all of them are checked as typed ones are."""

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        """As click does; ``opts`` is what was typed, which no callback is told."""
        file, left = super().handle_parse_result(ctx, opts, args)
        if isinstance(file, Path) and not ctx.resilient_parsing:
            _use(ctx, file, opts)
        return file, left


# Adds --recipe; nothing of it is passed to the command.
recipe_option = click.option(
    "--recipe",
    cls=RecipeOption,
    group=Group.GENERAL,
    type=UserPath(exists=True, dir_okay=False, path_type=Path),
    is_eager=True,
    expose_value=False,
    help="YAML file with options and arguments of this command under their long names; what is typed as well wins.",
)


def recorded_recipe() -> RecordedRecipe | None:
    """The recipe of the command that runs, for a record of it; None without one."""
    found: RecordedRecipe | None = click.get_current_context().meta.get(RECIPE)
    return found


def _use(context: click.Context, file: Path, opts: Mapping[str, Any]) -> None:
    """Reads the file, and makes defaults of what was not typed.

    Raises:
        click.UsageError: the file is not a recipe of this command; the sentence names the file and the key.
    """
    from fwsvd_export.checkpoints.record import RecordedRecipe  # late, as ``--help`` does without
    from fwsvd_export.storage.digest import file_sha256
    from fwsvd_export.storage.names import command_line

    typed = {name for name, value in opts.items() if isinstance(value, str | tuple | list | bool | int) and value != ()}
    if isinstance(opts, dict):  # click before 8.3 takes an empty list of arguments for one that was typed
        for name in [name for name, value in opts.items() if value == ()]:
            del opts[name]
    parameters = _by_key(context.command)
    replaced = typed.union(*(names for names in _ALTERNATIVES if names & typed))
    defaults: dict[str, Any] = {}
    words: list[str] = []
    arguments: list[str] = []
    for key, value in _read(file, context).items():
        parameter = parameters.get(key)
        if parameter is None:
            near = did_you_mean(key, parameters)
            allowed = near or f"; allowed are {listed(parameters, len(parameters))}"
            raise click.UsageError(f"{file}: {context.info_name} has no option {shown(key)}{allowed}", context)
        given = _as_typed(value, parameter, f"{file}: {key}", context)
        name = str(parameter.name)
        if name in replaced:
            continue
        defaults[name] = given
        if isinstance(parameter, click.Argument):
            arguments += given if isinstance(given, list) else [given]
        else:
            words += _words(parameter, given)
    context.default_map = {**(context.default_map or {}), **defaults}
    command = command_line(_command(context, words, arguments))
    context.meta[RECIPE] = RecordedRecipe(file.name, file_sha256(file), tuple(command))


def _by_key(command: click.Command) -> dict[str, click.Parameter]:
    """Keys that a recipe of the command may have: long names of options without dashes, names of arguments."""
    found: dict[str, click.Parameter] = {}
    for parameter in command.params:
        names = [f"--{parameter.name}"] if isinstance(parameter, click.Argument) else parameter.opts
        keys = [name[2:].replace("_", "-") for name in names if name.startswith("--")]
        found |= {key: parameter for key in keys if key not in _NOT_IN_A_FILE}
    return found


def _read(file: Path, context: click.Context) -> dict[str, Any]:
    """Keys, with dashes, and values in the file."""
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc] # the library has no types
        """Of safe values alone; a key that stands there twice is an error."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            names = [self.construct_object(key, deep=True) for key, _ in node.value]
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                raise yaml.YAMLError(f"the key {shown(twice[0])} stands there twice")
            found: dict[Any, Any] = super().construct_mapping(node, deep)
            return found

    try:
        if file.stat().st_size > _LARGEST_BYTES:
            raise ValueError(f"it has more than {_LARGEST_BYTES:,} bytes")
        content = yaml.load(file.read_text(encoding="utf-8"), Loader)
    except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise click.UsageError(f"{file} cannot be read as YAML: {message_of(error)}", context) from error
    if not isinstance(content, dict):
        raise click.UsageError(
            f"{file} is not a recipe: lines like ratio: 0.25 are needed, an option without its dashes and its value",
            context,
        )
    found: dict[str, Any] = {}
    for key, value in content.items():
        name = str(key).replace("_", "-")
        if name in found:
            raise click.UsageError(f"{file}: the key {name} stands there twice, with - and with _", context)
        found[name] = value
    return found


def _as_typed(value: Any, parameter: click.Parameter, place: str, context: click.Context) -> Any:
    """A value of the file as click has it of a command line: a text, a list of texts, or the truth of a flag.

    Raises:
        click.UsageError: it is of another kind than the option takes, or the option refuses it.
    """
    several = parameter.nargs == -1 or getattr(parameter, "multiple", False)
    if getattr(parameter, "is_flag", False):
        if not isinstance(value, bool):
            raise click.UsageError(f"{place} is {_what(value)}, and true or false is needed", context)
        return value
    if isinstance(value, list) and not (several or isinstance(parameter.type, _COMMA_SEPARATED)):
        raise click.UsageError(f"{place} is a list, and one value is allowed", context)
    items = [_text(item, place, context) for item in (value if isinstance(value, list) else [value])]
    given = items if several else items[0] if not isinstance(value, list) else _joined(items)
    try:
        parameter.process_value(context, given)
    except click.BadParameter as error:
        raise click.UsageError(f"{place}: {error.message}", context) from error
    return given


def _text(value: Any, place: str, context: click.Context) -> str:
    """A text or a number as it would be typed."""
    if isinstance(value, bool):
        raise click.UsageError(
            f"{place} is {str(value).lower()}, and a value is needed; write a text that YAML takes for true or false "
            "(yes, no, on, off) in quotation marks",
            context,
        )
    if not isinstance(value, str | int | float):
        raise click.UsageError(f"{place} is or holds {_what(value)}, and a text or a number is needed", context)
    return str(value)


def _what(value: Any) -> str:
    """A value that is not allowed, as a sentence names it; what is inside of lists may be endless."""
    kinds = {dict: "a mapping", list: "a list", type(None): "nothing"}
    return kinds.get(type(value), shown(value))


def _joined(items: Sequence[str]) -> str:
    """Values between commas, as the command line takes them."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(items)
    return line.getvalue()


def _words(parameter: click.Parameter, given: Any) -> list[str]:
    """What would be typed for an option."""
    name = next(opt for opt in parameter.opts if opt.startswith("--"))
    if isinstance(given, bool):
        return [name] if given else list(parameter.secondary_opts[:1])
    return [f"{name}={value}" for value in (given if isinstance(given, list) else [given])]


def _command(context: click.Context, words: Sequence[str], arguments: Sequence[str]) -> tuple[str, ...]:
    """The command that was typed, with the words of the recipe in place of it."""
    typed = list(context.meta[TYPED])
    start = typed.index(str(context.info_name)) + 1
    rest = typed[start:]
    place = next(index for index, word in enumerate(rest) if word.partition("=")[0] == "--recipe")
    del rest[place : place + (1 if "=" in rest[place] else 2)]
    return (*typed[:start], *words, *rest, *arguments)
