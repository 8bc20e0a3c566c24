"""The error tree. Every message says what came, what is allowed and what to do; the CLI prints it as it stands."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Real
from typing import TypeGuard


class FwsvdExportError(Exception):
    """Base of all errors a user can fix; ends a command with exit code 1 and its one sentence."""


class FwsvdExportWarning(UserWarning):
    """Base of all warnings: something was done, and something about it asks for attention; a command's hint."""


class CompressionWarning(FwsvdExportWarning):
    """A compressed model was made, and something about it asks for attention."""


class DataWarning(FwsvdExportWarning):
    """Data was read, and something about it or about how it goes with the model asks for attention."""


class CheckpointWarning(FwsvdExportWarning):
    """A model was read, and something that lies beside or inside its weights is not part of it."""


class TrainingWarning(FwsvdExportWarning):
    """A model was trained, and something about it asks for attention."""


class OutputWarning(FwsvdExportWarning):
    """A run that was killed had left something where an output or temporary data goes; it was put in order."""


class CheckpointError(FwsvdExportError):
    """A folder that holds no model, or one that cannot be read."""


class UnsupportedModelError(FwsvdExportError):
    """An architecture or a head outside the families table, or a checkpoint that is already compressed."""


class WeightError(FwsvdExportError):
    """Weights or statistics that are not finite, or a decomposition that cannot be carried out."""


class DataError(FwsvdExportError):
    """Task data that is missing, empty, lacks a column, or has labels the model does not know."""


class RowError(DataError):
    """One row of the data that cannot be used.

    Attributes:
        reason: ends the phrase "3 rows …" where such rows are counted and left out.
    """

    def __init__(self, sentence: str, reason: str = "with a label that does not fit") -> None:
        super().__init__(sentence)
        self.reason = reason


class StatisticsError(FwsvdExportError):
    """A statistics file that is damaged, belongs to another model, or lacks what a method needs."""


class RankError(FwsvdExportError):
    """A rank or a budget outside what the layers allow."""


class SolverOptionError(FwsvdExportError):
    """An option that the method does not know, or a value that it does not allow."""


class TrainingError(FwsvdExportError):
    """Settings that nothing can be trained with, a teacher that does not fit, or another run's state."""


class SweepError(FwsvdExportError):
    """A grid of compressions that cannot be, or a folder that holds another sweep."""


class ExportError(FwsvdExportError):
    """A model that does not fit an ONNX file, or an ONNX file that is missing, damaged or another checkpoint's."""


class CardError(FwsvdExportError):
    """A model card that cannot be read or would be refused, or results that are not of the model they are given for."""


class PushError(FwsvdExportError):
    """A folder that is not fit for the Hub, or a push that the Hub refused or that broke off."""


class ReportError(FwsvdExportError):
    """A folder that holds nothing a report is made of, or a record in one that cannot be read."""


class OutputError(FwsvdExportError):
    """An output that exists already, or that could not be written whole."""


class MissingExtraError(FwsvdExportError):
    """A command that needs an optional dependency which is not installed."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(f'this needs {module}, which is not installed: pip install "fwsvd-export[{extra}]"')


_LONGEST_QUOTE = 300  # characters of another library's message
_LONGEST_VALUE = 80  # characters of a value that came in
_MOST_NAMES = 20  # of a list


def message_of(error: BaseException) -> str:
    """Another library's whole message on one line, shortened and printable, or its type when it has none.

    The first line alone is often a heading ("Error(s) in loading state_dict for Linear:"), and the reason stands below.
    """
    return quoted(str(error)) or type(error).__name__


def quoted(text: str) -> str:
    """A text of somebody else's, as a sentence may quote it: on one line, printable, shortened; empty when it is."""
    return _printable(" ".join(text.split()), _LONGEST_QUOTE)


def shown(value: object) -> str:
    """A value that came in, as a sentence may quote it: on one line, printable, not longer than it is worth."""
    return _printable(repr(value), _LONGEST_VALUE)


def listed(names: Iterable[object], most: int = _MOST_NAMES) -> str:
    """Names as a sentence lists them: printable, none longer than it is worth, and not more than fit a line or two.

    Example:
        >>> listed(["a", "b", "c", "d", "e"], 3)
        'a, b, c and 2 more'
        >>> listed(["a", "b"])
        'a, b'
    """
    every = [_printable(str(name), _LONGEST_VALUE) for name in names]
    more = len(every) - most
    return ", ".join(every) if more <= 0 else f"{', '.join(every[:most])} and {more:,} more"


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a real number, numpy's too; True and False are not.

    Example:
        >>> is_number(0.5), is_number("0.5"), is_number(True)
        (True, False, False)
    """
    return isinstance(value, Real) and not isinstance(value, bool)


def is_whole(value: object) -> TypeGuard[int]:
    """Whether it is a whole number by its type, numpy's too; True and False are not.

    Example:
        >>> is_whole(8), is_whole(8.0), is_whole(True)
        (True, False, False)
    """
    return isinstance(value, Integral) and not isinstance(value, bool)


def given(value: object) -> str:
    """As ``shown``, with a number as it is typed: ``ratio 0.5``, ``ratio '0.5'``.

    Example:
        >>> given(0.50), given(8), given("0.5"), given(True)
        ('0.5', '8', "'0.5'", 'True')
    """
    if is_whole(value):
        return str(value)
    return f"{float(value):g}" if is_number(value) else shown(value)


def share_of(name: str, value: object, whole: str) -> float:
    """A share that came in, as a float.

    Raises:
        RankError: it is not a number above 0 and at most 1; the message has its name and what it is a share of.
    """
    if is_number(value) and 0 < value <= 1:
        return float(value)
    raise RankError(
        f"{name} {given(value)}: a number above 0 and at most 1 is allowed (the fraction of {whole} to keep)"
    )


def at_least(name: str, value: object, least: int = 1, why: str = "") -> int:
    """A count that came in, as an int.

    Raises:
        RankError: it is not a whole number of at least so much; the message has its name, and why where that is said.
    """
    if is_whole(value) and value >= least:
        return int(value)
    raise RankError(f"{name} {given(value)}: a whole number of at least {least}{why} is allowed")


def is_failure(error: BaseException) -> bool:
    """Whether a library failed: an ``Exception``, or a panic of Rust code, which is none; not an interrupt."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _printable(text: str, longest: int) -> str:
    cut = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in cut)
