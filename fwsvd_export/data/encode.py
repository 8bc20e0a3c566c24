"""Examples become token ids."""

from __future__ import annotations

import warnings
from typing import Any

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.data.batches import IGNORED_LABEL, Batches
from fwsvd_export.data.examples import Example, read_examples
from fwsvd_export.data.fit import check_task
from fwsvd_export.data.labels import resolved
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.rows import Rows, chosen_rows, read_rows, shard_of
from fwsvd_export.errors import CheckpointError, DataWarning, is_failure, message_of

_MOST_UNKNOWN = 0.05  # share of unknown tokens; on texts of its language a model's own tokenizer has far below 0.01
_FEWEST_UNKNOWN = 10  # a handful says nothing


def load_batches(request: DataRequest, tokenizer: Any, encoder: Encoder) -> Batches:
    """Reads, checks and tokenises the rows that were asked for.

    Args:
        request: which rows.
        tokenizer: the model's.
        encoder: of the model; its labels are what the data's are checked against.

    Raises:
        DataError: a task that does not fit the model's head, missing or empty data, a column that is not there, or a
            label the model does not know.
        CheckpointError: a tokenizer that fails on the data, or is another model's.
    """
    return encode_rows(read_rows(request), request, tokenizer, encoder)


def encode_rows(rows: Rows, request: DataRequest, tokenizer: Any, encoder: Encoder) -> Batches:
    """Checks and tokenises what the request chooses of some rows; raises as ``load_batches``."""
    task = request.task
    check_task(task, encoder)
    chosen, indices = shard_of(chosen_rows(rows, request), request.shard)
    examples = read_examples(chosen, task, encoder.model.config)
    words = task.labels == "tokens"
    options = {"truncation": True, "max_length": min(request.max_length, encoder.usable_length)}
    encoding = _encoding(
        tokenizer, examples, chosen, encoder, options | ({"is_split_into_words": True} if words else {})
    )
    _warn_of_unknown(encoding["input_ids"], tokenizer, rows.name)
    encoded = []
    for index, example in enumerate(examples):
        # A tokenizer may make more than the model takes: token types for a model that has none
        row = {name: encoding[name][index] for name in encoder.inputs if name in encoding}
        if example.label is not None:
            row["labels"] = _first_pieces(encoding.word_ids(index), example.label) if words else example.label
        encoded.append(row)
    if task.label is not None:
        task = resolved(task, encoder.model.config, rows.table.features[task.label])
    return Batches(encoded, tokenizer, request.batch_size, task, indices)


def _encoding(tokenizer: Any, examples: list[Example], rows: Rows, encoder: Encoder, options: dict[str, Any]) -> Any:
    """The tokenizer's answer, with numbers that the model knows.

    Raises:
        CheckpointError: it fails, makes nothing of a row, or makes numbers that are outside the model's tables.
    """
    try:
        encoding = tokenizer(*map(list, zip(*(example.texts for example in examples), strict=True)), **options)
    except BaseException as error:  # the tokenizers library raises plain exceptions and panics
        if not is_failure(error):
            raise
        raise CheckpointError(f"the model's tokenizer fails on {rows.name}: {message_of(error)}") from error
    for field, known in encoder.ranges.items():
        for index, row in enumerate(encoding.get(field, [])):
            if not row or not 0 <= min(row) <= max(row) < known:
                made = f"{field} {max(row)}" if row else "nothing"
                raise CheckpointError(
                    f"{rows.place(index)}: the tokenizer makes {made} of it, and the model knows {field} from 0 to "
                    f"{known - 1}; use the tokenizer that belongs to the model"
                )
    return encoding


def _warn_of_unknown(token_ids: list[list[int]], tokenizer: Any, name: str) -> None:
    """Warns when so many tokens are unknown that the tokenizer can hardly be the model's."""
    tokens = sum(map(len, token_ids))
    unknown = sum(row.count(tokenizer.unk_token_id) for row in token_ids) if tokenizer.unk_token_id is not None else 0
    if unknown >= _FEWEST_UNKNOWN and unknown > _MOST_UNKNOWN * tokens:
        warnings.warn(
            f"{unknown:,} of the {tokens:,} tokens of {name} ({unknown / tokens:.0%}) are unknown to the tokenizer: is "
            "it the model's own, with its settings (lower case, accents), and is the data in the model's language?",
            DataWarning,
            stacklevel=3,
        )


def _first_pieces(word_ids: list[int | None], numbers: list[int]) -> list[int]:
    """The first piece of each word carries its label, the other pieces none."""
    labels, previous = [], None
    for word in word_ids:
        labels.append(IGNORED_LABEL if word is None or word == previous else numbers[word])
        previous = word
    return labels
