"""What a tokenizer must know and may make, whatever the task."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.data.rows import Rows
from fwsvd_export.errors import CheckpointError, DataWarning

_MOST_UNKNOWN = 0.05  # share of unknown tokens; on texts of its language a model's own tokenizer has far below 0.01
_FEWEST_UNKNOWN = 10  # a handful says nothing


def check_numbers(encoding: Any, rows: Rows, encoder: Encoder) -> None:
    """Refuses numbers that the model has no entry for.

    Args:
        encoding: of a tokenizer; one that cut rows into several says which row each is of.
        rows: that it was made of, for messages.
        encoder: of the model.

    Raises:
        CheckpointError: the tokenizer makes nothing of a row, or numbers that are outside the model's tables.
    """
    of_row = encoding.get("overflow_to_sample_mapping")
    for field, known in encoder.ranges.items():
        for index, numbers in enumerate(encoding.get(field, [])):
            if not numbers or not 0 <= min(numbers) <= max(numbers) < known:
                made = f"{field} {max(numbers)}" if numbers else "nothing"
                raise CheckpointError(
                    f"{rows.place(index if of_row is None else of_row[index])}: the tokenizer makes {made} of it, and "
                    f"the model knows {field} from 0 to {known - 1}; use the tokenizer that belongs to the model"
                )


def check_knows_places(tokenizer: Any, task: str) -> None:
    """Refuses a tokenizer that cannot say which characters or words its tokens came from.

    Raises:
        CheckpointError: it is written in Python; only those of the tokenizers library know.
    """
    if not tokenizer.is_fast:
        raise CheckpointError(
            f"the model's tokenizer is a {type(tokenizer).__name__}, which does not say where in a text its tokens "
            f"stand, as task {task} needs; use a model with a tokenizer of the tokenizers library (tokenizer.json)"
        )


class UnknownTokens:
    """Counts unknown tokens, to warn where they are so many that the tokenizer can hardly be the model's.

    Args:
        tokenizer: that made the tokens.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._unknown_id = tokenizer.unk_token_id
        self._tokens = self._unknown = 0

    def count(self, token_ids: Sequence[Sequence[int]]) -> None:
        """Counts those of some texts."""
        self._tokens += sum(map(len, token_ids))
        if self._unknown_id is not None:
            self._unknown += sum(row.count(self._unknown_id) for row in token_ids)

    def warn(self, name: str) -> None:
        """Warns where it is due.

        Args:
            name: of the data.
        """
        if self._unknown >= _FEWEST_UNKNOWN and self._unknown > _MOST_UNKNOWN * self._tokens:
            warnings.warn(
                f"{self._unknown:,} of the {self._tokens:,} tokens of {name} ({self._unknown / self._tokens:.0%}) are "
                "unknown to the tokenizer: is it the model's own, with its settings (lower case, accents), and is the "
                "data in the model's language?",
                DataWarning,
                stacklevel=4,
            )


def warn_of_unknown(token_ids: Sequence[Sequence[int]], tokenizer: Any, name: str) -> None:
    """Warns of unknown tokens where it is due.

    Args:
        token_ids: of all texts.
        tokenizer: that made them.
        name: of the data.
    """
    unknown = UnknownTokens(tokenizer)
    unknown.count(token_ids)
    unknown.warn(name)
