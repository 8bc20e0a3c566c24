"""Windows of long contexts: the tokenizer's own cuts, and the answer's place in each."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from fwsvd_export.architectures.inputs import IDS
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.data.batches import Batches
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.spans import WindowBatch
from fwsvd_export.data.tasks import TASKS
from fwsvd_export.data.windows import WindowBatches
from fwsvd_export.errors import CheckpointError, DataError, DataWarning
from tests.data.asked import ASKED, CONTEXT, QA_ENCODER, flat
from tests.data.sentences import Rows
from tests.helpers import WORDS, tiny_head

Load = Callable[..., Batches]


@pytest.fixture
def windows(load: Load) -> Callable[..., list[tuple[str, list[int], tuple[int, int]]]]:
    """Text of the context, token ids and label of every window, in their order: windows(rows, **options)."""

    def windows(rows: Rows, **options: Any) -> list[tuple[str, list[int], tuple[int, int]]]:
        batches = load(rows, "squad", options.pop("encoder", QA_ENCODER), **options)
        found = []
        for batch in batches:
            assert isinstance(batch, WindowBatch)
            for place, window in enumerate(batch.windows):
                length = int(batch["attention_mask"][place].sum())
                assert len(window.places) == length
                inside = window.places[window.places[:, 0] >= 0]
                text = window.question.context[inside[0, 0] : inside[-1, 1]]
                label = int(batch["start_positions"][place]), int(batch["end_positions"][place])
                key = window.question.number, int(inside[0, 0])
                found.append((key, text, batch[IDS][place, :length].tolist(), label))
        return [row[1:] for row in sorted(found)]

    return windows


def text_of(tokenizer: Any, ids: list[int], label: tuple[int, int]) -> str:
    return str(tokenizer.decode(ids[label[0] : label[1] + 1]))


def test_a_short_context_is_one_window_with_its_answer(tokenizer: Any, windows: Callable[..., Any]) -> None:
    found = windows(ASKED)
    assert len(found) == 3
    for row, (text, ids, label) in zip(ASKED, found, strict=True):
        assert ids == tokenizer(row["question"], row["context"])[IDS]
        assert text == row["context"]
        answers = row["answers"]["text"]
        assert text_of(tokenizer, ids, label) == (answers[0] if answers else "[CLS]")


LONG = " ".join(WORDS * 4)  # 80 tokens


@pytest.mark.parametrize(("max_length", "doc_stride"), [(32, 8), (24, 16), (40, 0), (60, 3), (32, None)])
def test_windows_cover_the_context_and_share_the_stride(
    max_length: int, doc_stride: int | None, tokenizer: Any, windows: Callable[..., Any]
) -> None:
    found = windows([flat("film", LONG, "film")], max_length=max_length, doc_stride=doc_stride)
    stride = max_length // 2 if doc_stride is None else doc_stride
    room = max_length - 4  # [CLS] film [SEP] … [SEP]
    assert len(found) == 1 + math.ceil((80 - room) / (room - stride))
    starts = [place * (room - stride) for place in range(len(found))]
    context = tokenizer(LONG, add_special_tokens=False)[IDS]
    assert [ids[3:-1] for _, ids, _ in found] == [context[start : start + room] for start in starts]


def test_the_label_is_the_first_answer_where_it_is_whole_and_none_elsewhere(
    tokenizer: Any, windows: Callable[..., Any]
) -> None:
    words = ["a"] * 30
    words[10:13] = ["great", "film", "plot"]
    context = " ".join(words)
    row = flat("cast", context, "great film plot", "a a a a")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = windows([row], max_length=16, doc_stride=6)
    labels = [text_of(tokenizer, ids, label) for _, ids, label in found]
    assert set(labels) == {"great film plot", "[CLS]"}
    for (text, _, label), said in zip(found, labels, strict=True):
        assert (said == "great film plot") == ("great film plot" in text)
        assert said != "[CLS]" or label == (0, 0)


@pytest.mark.parametrize(
    ("answer", "covered"), [(" film", "film"), ("film, ", "film ,"), ("ilm", "film"), ("film, B", "film, bad")]
)
def test_a_label_covers_every_token_that_the_answer_touches(
    answer: str, covered: str, tokenizer: Any, windows: Callable[..., Any]
) -> None:
    ((_, ids, label),) = windows([flat("plot", "The GREAT film, BAD cast", answer)])
    assert ids[label[0] : label[1] + 1] == tokenizer(covered, add_special_tokens=False)[IDS]


def test_an_answer_longer_than_windows_overlap_is_counted_in_one_sentence(windows: Callable[..., Any]) -> None:
    words = ["a"] * 40
    words[4:14] = ["film"] * 10
    row = flat("cast", " ".join(words), " ".join(["film"] * 10))
    with pytest.warns(DataWarning) as told:
        found = windows([row, flat("cast", "good film", "film")], max_length=12, doc_stride=2)
    assert {label for _, _, label in found[:-1]} == {(0, 0)}
    assert [str(warning.message) for warning in told] == [
        "1 of 2 answers are whole in no window, so that no window has them for its label: windows share 2 tokens, "
        "raise --doc-stride or --max-length"
    ]


def test_labels_and_windows_do_not_depend_on_batches_or_shards(load: Load) -> None:
    rows = [flat("film", LONG, "film", id=str(place)) for place in range(5)]
    whole = load(rows, "squad", QA_ENCODER, max_length=32, batch_size=3)
    shards = [load(rows, "squad", QA_ENCODER, max_length=32, shard=(part, 2)) for part in (1, 2)]

    def told(batches: Batches) -> list[Any]:
        rows = [
            (ids[: len(window.places)].tolist(), int(start), window.question.number)
            for batch in batches
            for ids, start, window in zip(batch[IDS], batch["start_positions"], batch.windows, strict=True)
        ]
        return [(index, *row) for index, row in zip(batches.indices, rows, strict=True)]

    assert len(set(whole.indices)) == whole.examples
    assert sorted(row for shard in shards for row in told(shard)) == sorted(told(whole))


def test_a_question_with_a_window_that_was_seen_goes_as_a_whole(load: Load) -> None:
    batches = load([flat("film", LONG, "film"), flat("cast", CONTEXT, "cast")], "squad", QA_ENCODER, max_length=32)
    assert isinstance(batches, WindowBatches)
    first = next(iter(batches))
    seen = {tuple(batches[len(batches) - 1][IDS][-1].tolist())}  # the longest: a window of the first question
    left = batches.without(seen)
    assert {window.question.text for batch in left for window in batch.windows} == {"cast"}
    assert left.examples < batches.examples
    assert type(first)({**first}) == {**first}, "accelerate makes batches of the same class from a mapping"


@pytest.mark.parametrize(
    ("question", "options", "message"),
    [
        ("film " * 20, {"max_length": 24}, "20 tokens, which leaves a window of 24 room for 1 of the context"),
        ("film " * 70, {}, "70 tokens, which leaves a window of 64 room for 0 of the context"),
        ("bad film", {"max_length": 16, "doc_stride": 11}, "2 tokens, which leaves a window of 16 room for 11 of"),
    ],
)
def test_a_question_that_leaves_no_room_is_refused(
    question: str, options: dict[str, Any], message: str, load: Load
) -> None:
    with pytest.raises(DataError) as caught:
        load([flat("film", CONTEXT, "cast"), flat(question, CONTEXT, "cast")], "squad", QA_ENCODER, **options)
    assert f"rows.jsonl, row 2: the question has {message}" in str(caught.value)
    assert str(caught.value).endswith(
        " (--doc-stride); raise --max-length, up to what the model takes, or lower --doc-stride"
    )


def test_a_tokenizer_that_does_not_say_where_tokens_stand_is_refused(
    load: Load, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(tokenizer), "is_fast", False)
    with pytest.raises(CheckpointError) as caught:
        load(ASKED, "squad", QA_ENCODER)
    assert str(caught.value) == (
        f"the model's tokenizer is a {type(tokenizer).__name__}, which does not say where in a text its tokens stand, "
        "as task squad needs; use a model with a tokenizer of the tokenizers library (tokenizer.json)"
    )


def test_a_tokenizer_without_a_token_for_no_answer_is_refused(
    tiny_folder: Path, write_rows: Callable[[Rows], Path]
) -> None:
    bare = AutoTokenizer.from_pretrained(tiny_folder)
    bare.backend_tokenizer.post_processor = TemplateProcessing(single="$A", pair="$A $B:1")
    with pytest.raises(CheckpointError, match="puts no special token before the question, which would stand for no"):
        load_batches(DataRequest(TASKS["squad"], write_rows(ASKED)), bare, QA_ENCODER)


def test_a_model_without_token_types_gets_none(load: Load) -> None:
    encoder = encoder_of(tiny_head("DistilBertForQuestionAnswering"))
    batch = load(ASKED, "squad", encoder)[0]
    assert set(batch) == {IDS, "attention_mask", "start_positions", "end_positions"}
    assert batch["start_positions"].dtype == torch.int64
