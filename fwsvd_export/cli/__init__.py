"""The command line: a table of commands, each loaded when it is used, and how errors end."""

from __future__ import annotations

import signal
import traceback
import warnings
from contextlib import suppress
from importlib import import_module
from typing import Any

import click

from fwsvd_export import __version__
from fwsvd_export.cli.choices import did_you_mean
from fwsvd_export.cli.groups import quiet_option, verbose_option
from fwsvd_export.cli.signals import ending_by_exception, signal_of
from fwsvd_export.errors import FwsvdExportError, is_failure, message_of, shown

TYPED = "fwsvd_export.typed"  # in a context's ``meta``: all words of the command
EXIT_BY_SIGNAL = 128  # and the number of the signal, as shells report it

# name -> one line of help; the module fwsvd_export.cli.<name> holds ``command``
COMMANDS = {
    "demo": "Run the whole job on a small real model, without network.",
    "fisher": "Collect Fisher statistics once, for many compressions.",
    "compress": "Write a compressed copy of a checkpoint.",
    "finetune": "Train a dense or compressed model, or distil it from its dense one.",
    "evaluate": "Measure the task's metric of a dense or compressed model.",
    "inspect": "Show parameters, ranks and provenance of a checkpoint.",
    "tasks": "List the task presets: columns they read, labels, metric.",
    "methods": "List the solvers, what they minimise and where they come from.",
    "densify": "Multiply the factors out into a plain model.",
    "onnx": "Write a checkpoint as ONNX, checked against torch, in int8 too.",
    "bench": "Compare accuracy, size and latency of dense and compressed models.",
    "sweep": "Compare methods, sizes and training: the metric against the size.",
    "report": "Write one HTML page from checkpoints, benchmarks and sweeps.",
    "card": "Write a compressed checkpoint's model card from what was measured.",
    "push": "Verify a compressed checkpoint and push it to the Hub in one commit.",
}


class LazyGroup(click.Group):
    """Loads a command's module when the command is used, and turns errors into one sentence and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the job."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"fwsvd_export.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; a word that is not a command is answered with the nearest one."""
        word = args[0]
        if word not in COMMANDS and not ctx.resilient_parsing:
            near = did_you_mean(word, COMMANDS)
            ctx.fail(f"there is no command {shown(word)}{near or '; fwsvd-export --help lists them'}")
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; what was typed is kept for a record of it."""
        ctx.meta[TYPED] = ["fwsvd-export", *args]
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in ``--help``, from the table: no command is imported for it."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; known errors print their sentence, unknown ones name themselves, -v shows the traceback."""
        try:
            with ending_by_exception(), warnings.catch_warnings():  # ``console`` changes what becomes of them
                return super().invoke(ctx)
        except (click.exceptions.Exit, click.ClickException):
            raise
        except KeyboardInterrupt as stop:
            number = signal_of(stop)
            by = "" if number is signal.SIGINT else f" by {number.name}"
            with suppress(OSError):  # a terminal that was closed takes no more words
                click.echo(f"Interrupted{by}; no output is left half-written.", err=True)
            ctx.exit(EXIT_BY_SIGNAL + number)
        except FwsvdExportError as error:
            self._traceback(ctx)
            raise click.ClickException(_redacted(str(error))) from error
        except BaseException as error:
            if not is_failure(error):
                raise
            self._traceback(ctx)
            sentence = f"{type(error).__name__}: {message_of(error)} (not expected here; -v shows where)"
            raise click.ClickException(_redacted(sentence)) from error

    @staticmethod
    def _traceback(ctx: click.Context) -> None:
        if ctx.obj["verbose"]:
            click.echo(_redacted(traceback.format_exc()), err=True, nl=False)


def _redacted(text: str) -> str:
    """Without tokens: an answer of the Hub can repeat the one it was sent."""
    from fwsvd_export.hub.verify.secrets import redacted

    return redacted(text)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="fwsvd-export")
@verbose_option
@quiet_option
@click.pass_context
def group(ctx: click.Context, verbose: bool, quiet: bool) -> None:
    """Make a smaller copy of a fine-tuned encoder (BERT and its relatives) that still does its job.

    \b
    Example:
      fwsvd-export compress my-model my-model-small --task sst2 --data train.jsonl --ratio 0.25
    """
    ctx.obj = {"quiet": quiet, "verbose": verbose}  # a command adds the flags that stand behind its name


def main() -> None:
    """Entry point of the console script."""
    group(prog_name="fwsvd-export")
