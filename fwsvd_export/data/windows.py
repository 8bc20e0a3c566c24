"""Question answering: long contexts are cut into overlapping windows (Devlin et al. 2019), each an example of its own.

The label of a window is where the answer begins and ends in it; where the answer is not whole in it, or there is none,
both are the first token, which stands for "no answer". What is predicted for a question is taken from all its windows.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.inputs import IDS
from fwsvd_export.data.batches import selected
from fwsvd_export.data.questions import read_questions
from fwsvd_export.data.read_batches import ReadBatches
from fwsvd_export.data.reading import Reading
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.rows import Rows
from fwsvd_export.data.spans import NO_ANSWER, Question, Window, WindowBatch
from fwsvd_export.data.tokens import check_knows_places, check_numbers, warn_of_unknown
from fwsvd_export.errors import CheckpointError, DataError, DataWarning, is_failure, message_of
from fwsvd_export.wording import counted

LARGEST_STRIDE = 128  # tokens that two windows share unless asked otherwise, as in transformers' pipeline and run_qa
_AT_ONCE = 1000  # questions; the tokenizer's own answer takes ten times the memory of what is kept of it
_WINDOWS = 2**20  # of one question, more than any has: indices of windows do not depend on other questions
_CONTEXT = 1  # the tokenizer's number of the second text


class WindowBatches(ReadBatches):
    """Padded batches of windows, with ``start_positions`` and ``end_positions`` for labels; no text is cut."""

    def without(self, seen: Collection[tuple[int, ...]]) -> WindowBatches:
        """The questions of which no window's token ids are among those seen."""
        known = {row["window"].question.number for row in self._encoded if tuple(row[IDS]) in seen}
        return self._of(
            [place for place, row in enumerate(self._encoded) if row["window"].question.number not in known]
        )

    def _of(self, places: Sequence[int]) -> WindowBatches:
        rows, indices = selected(self._encoded, places), [self.indices[place] for place in places]
        return WindowBatches(rows, self._tokenizer, self._batch_size, self.task, indices, self.reading)

    def _batch(self, rows: Sequence[Mapping[str, Any]]) -> WindowBatch:
        inputs = [{name: value for name, value in row.items() if name not in ("window", "label")} for row in rows]
        batch = WindowBatch(super()._batch(inputs))
        labels = torch.tensor([row["label"] for row in rows])
        batch["start_positions"], batch["end_positions"] = labels.unbind(dim=1)
        batch.windows = tuple(row["window"] for row in rows)
        return batch


def encode_windows(
    rows: Rows, numbers: Sequence[int], request: DataRequest, tokenizer: Any, encoder: Encoder
) -> WindowBatches:
    """Cuts the contexts of some rows into windows.

    Args:
        rows: from ``questions.question_rows``.
        numbers: of the rows among all that were chosen.
        request: how long a window is, and how much of it the next one repeats.
        tokenizer: the model's.
        encoder: of the model.

    Raises:
        DataError: as ``read_questions``, or a question that leaves no room for the context.
        CheckpointError: a tokenizer that does not say where tokens stand, fails, or is another model's.
    """
    check_knows_places(tokenizer, request.task.name)
    read = read_questions(rows, numbers, request.task, request.on_bad_row)
    questions, kept = read.found, rows.select(read.places) if read.skipped else rows
    length = min(request.max_length, encoder.usable_length)
    stride = min(length // 2, LARGEST_STRIDE) if request.doc_stride is None else request.doc_stride
    _check_room(questions, tokenizer, length, stride)
    encoded, indices = [], []
    for start in range(0, len(questions), _AT_ONCE):
        part = range(start, min(start + _AT_ONCE, len(questions)))
        texts = [(questions[place].text, questions[place].context) for place in part]
        encoding = _encoding(tokenizer, texts, kept.name, length, stride)
        check_numbers(encoding, kept.select(part), encoder)
        for row, question, order in _windows(encoding, questions[start : start + _AT_ONCE], encoder.inputs):
            encoded.append(row)
            indices.append(question.number * _WINDOWS + order)
    warn_of_unknown([row[IDS] for row in encoded], tokenizer, rows.name)
    _warn_of_cut_answers(encoded, questions, stride)
    reading = Reading(rows.name, len(rows), length, encoder.usable_length, read.skipped, read.first_skipped)
    return WindowBatches(encoded, tokenizer, request.batch_size, request.task, indices, reading)


def _encoding(tokenizer: Any, texts: Sequence[tuple[str, str]], name: str, length: int, stride: int) -> Any:
    """The tokenizer's answer: a row per window.

    Raises:
        CheckpointError: it fails.
    """
    try:
        return tokenizer(
            *map(list, zip(*texts, strict=True)),
            truncation="only_second",
            max_length=length,
            stride=stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
    except BaseException as error:  # the tokenizers library raises plain exceptions and panics
        if not is_failure(error):
            raise
        raise CheckpointError(f"the model's tokenizer fails on {name}: {message_of(error)}") from error


def _windows(
    encoding: Any, questions: Sequence[Question], inputs: Sequence[str]
) -> Iterator[tuple[dict[str, Any], Question, int]]:
    """The model's inputs, label and window of every row of an encoding, with its question and its number there."""
    counts = [0] * len(questions)
    names = [name for name in inputs if name in encoding]
    for index, place in enumerate(encoding["overflow_to_sample_mapping"]):
        sides = np.array([-1 if side is None else side for side in encoding.sequence_ids(index)])
        if sides[NO_ANSWER] != -1:
            raise CheckpointError(
                "the model's tokenizer puts no special token before the question, which would stand for no answer; "
                "use the tokenizer that the model was trained with"
            )
        places = np.array(encoding["offset_mapping"][index], dtype=np.int32)
        places[sides != _CONTEXT] = -1
        window = Window(questions[place], places)
        row = {name: encoding[name][index] for name in names}
        yield {**row, "window": window, "label": window.label()}, questions[place], counts[place]
        counts[place] += 1


def _check_room(questions: Sequence[Question], tokenizer: Any, length: int, stride: int) -> None:
    """Refuses a question that leaves a window no more of the context than it repeats.

    Raises:
        DataError: such a question, or a stride below 0.
    """
    special = tokenizer.num_special_tokens_to_add(pair=True)
    for start in range(0, len(questions), _AT_ONCE):
        part = questions[start : start + _AT_ONCE]
        encoding = tokenizer([question.text for question in part], add_special_tokens=False)
        for question, tokens in zip(part, encoding[IDS], strict=True):
            room = length - special - len(tokens)
            if room <= stride:
                raise DataError(
                    f"{question.where}: the question has {counted(len(tokens), 'token')}, which leaves a window of "
                    f"{length} room for {max(room, 0)} of the context, of which the next window repeats {stride} "
                    "(--doc-stride); raise --max-length, up to what the model takes, or lower --doc-stride"
                )


def _warn_of_cut_answers(encoded: Sequence[Mapping[str, Any]], questions: Sequence[Question], stride: int) -> None:
    """Says how many answers no window holds whole."""
    answered = {question.number for question in questions if question.answers}
    found = {row["window"].question.number for row in encoded if row["label"] != (NO_ANSWER, NO_ANSWER)}
    if lost := len(answered - found):
        warnings.warn(
            f"{lost:,} of {len(answered):,} answers are whole in no window, so that no window has them for its label: "
            f"windows share {stride} tokens, raise --doc-stride or --max-length",
            DataWarning,
            stacklevel=3,
        )
