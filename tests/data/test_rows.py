"""Rows of files: names, splits and shards; what cannot be read is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from fwsvd_export.data.batches import Batches
from fwsvd_export.data.encode import encode_rows, load_batches
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.rows import HELD_OUT_ROWS, Rows, chosen_rows, hold_out, shard_of, split_rows
from fwsvd_export.data.tasks import TASKS
from fwsvd_export.errors import DataError
from tests.data.sentences import ENCODER, ROWS, assert_same, rows_of


def rows_of_table(table: Dataset) -> Rows:
    return Rows(table, "rows.csv", range(1, len(table) + 1))


def test_max_samples_is_a_choice_of_the_seed(
    load: Callable[..., Batches], make_sentences: Callable[..., list[str]]
) -> None:
    rows = [{"sentence": text, "label": 0} for text in make_sentences(60)]

    def chosen(seed: int) -> list[list[int]]:
        return rows_of(load(rows, max_samples=10, seed=seed), "input_ids")

    assert chosen(1) == chosen(1)
    assert chosen(1) != chosen(2)
    assert len(chosen(1)) == 10
    everything = load(rows, max_samples=60, seed=1)
    assert_same(everything, load(rows))


def test_a_data_set_of_the_hub_that_cannot_be_read_is_named(tokenizer: Any) -> None:
    with pytest.raises(DataError, match="dataset nobody/nothing:plain cannot be read"):
        load_batches(DataRequest(TASKS["sst2"], dataset="nobody/nothing:plain"), tokenizer, ENCODER)


@pytest.mark.parametrize(
    ("rows", "max_samples", "calibration", "validation"),
    [
        (60, None, 48, 12),
        (60, 60, 48, 12),
        (60, 99, 48, 12),
        (60, 59, 59, 1),
        (60, 10, 10, 50),
        (4, None, 3, 1),
        (HELD_OUT_ROWS + 9, 5, 5, HELD_OUT_ROWS),
        (6 * HELD_OUT_ROWS, None, 5 * HELD_OUT_ROWS, HELD_OUT_ROWS),
    ],
)
def test_rows_are_split_without_overlap_and_the_same_each_time(
    rows: int, max_samples: int | None, calibration: int, validation: int, tmp_path: Path
) -> None:
    everything = rows_of_table(Dataset.from_dict({"number": range(rows)}))

    def split(seed: int) -> list[list[int]]:
        request = DataRequest(TASKS["sst2"], tmp_path / "rows.csv", max_samples=max_samples, seed=seed)
        return [part.table["number"][:] for part in split_rows(everything, request)]

    chosen, rest = split(seed=1)
    assert (len(chosen), len(rest)) == (calibration, validation)
    assert not set(chosen) & set(rest)
    assert split(seed=1) == [chosen, rest] != split(seed=2)


@pytest.mark.parametrize(("rows", "held_out"), [(2, 1), (9, 1), (60, 12), (6 * HELD_OUT_ROWS, HELD_OUT_ROWS)])
def test_rows_are_held_out_once_whatever_else_is_drawn(rows: int, held_out: int) -> None:
    everything = rows_of_table(Dataset.from_dict({"number": range(rows)}))
    kept, left_out = (part.table["number"][:] for part in hold_out(everything, TASKS["sst2"]))
    assert len(left_out) == held_out
    assert sorted([*kept, *left_out]) == list(range(rows))
    assert (sorted(kept), sorted(left_out)) == (kept, left_out)
    assert hold_out(everything, TASKS["sst2"])[1].table["number"][:] == left_out


def test_questions_about_one_context_are_held_out_together() -> None:
    contexts = [str(row // 4) for row in range(60)]
    questions = rows_of_table(Dataset.from_dict({"number": range(60), "context": contexts}))
    kept, left_out = hold_out(questions, TASKS["squad"])
    assert (len(kept), len(left_out)) == (48, 12)
    assert not set(kept.column("context")) & set(left_out.column("context"))


def test_of_one_row_or_one_context_nothing_can_be_held_out() -> None:
    one = rows_of_table(Dataset.from_dict({"number": [1, 2], "context": ["same", "same"]}))
    with pytest.raises(DataError, match=r"rows\.csv has 2 rows, of which none can be held out and the others used"):
        hold_out(one, TASKS["squad"])
    with pytest.raises(DataError, match=r"rows\.csv has 1 row, of which none"):
        hold_out(one.select([0]), TASKS["sst2"])


@pytest.mark.parametrize("max_samples", [None, 10])
def test_questions_about_one_context_are_not_on_both_sides_of_a_split(max_samples: int | None, tmp_path: Path) -> None:
    questions = rows_of_table(Dataset.from_dict({"number": range(60), "context": [str(row // 3) for row in range(60)]}))
    request = DataRequest(TASKS["squad"], tmp_path / "rows.csv", max_samples=max_samples, seed=1)
    chosen, rest = split_rows(questions, request)
    assert not set(chosen.column("context")) & set(rest.column("context"))
    if max_samples is None:
        assert (len(chosen), len(rest)) == (48, 12)
    else:
        assert chosen.column("number") == chosen_rows(questions, request).column("number")
        assert len(rest) == 60 - 3 * len(set(chosen.column("context")))


def test_a_single_row_cannot_be_held_out(tmp_path: Path) -> None:
    rows = rows_of_table(Dataset.from_dict({"number": [1]}))
    with pytest.raises(DataError, match=r"^rows.csv has no row that calibration leaves for validation; give other"):
        split_rows(rows, DataRequest(TASKS["sst2"], tmp_path / "rows.csv"))


def test_a_split_leaves_calibration_the_rows_it_would_have_without(
    tokenizer: Any, make_sentences: Callable[..., list[str]], tmp_path: Path
) -> None:
    rows = rows_of_table(Dataset.from_list([{"sentence": text, "label": 0} for text in make_sentences(60)]))
    request = DataRequest(TASKS["sst2"], tmp_path / "rows.csv", max_samples=10, seed=3)
    chosen, _ = split_rows(rows, request)
    assert_same(encode_rows(chosen, request, tokenizer, ENCODER), encode_rows(rows, request, tokenizer, ENCODER))


@pytest.mark.parametrize("max_samples", [None, 5])
@pytest.mark.parametrize("parts", [1, 2, 3, 5])
def test_shards_hold_every_chosen_row_once_under_its_index(
    parts: int, max_samples: int | None, load: Callable[..., Batches]
) -> None:
    def examples(batches: Batches) -> list[tuple[int, list[int]]]:
        return list(zip(batches.indices, rows_of(batches, "input_ids"), strict=True))

    whole = load(ROWS, max_samples=max_samples, seed=2)
    shards = [load(ROWS, max_samples=max_samples, seed=2, shard=(part + 1, parts)) for part in range(parts)]
    assert sorted(pair for shard in shards for pair in examples(shard)) == sorted(examples(whole))
    assert max(shard.examples for shard in shards) - min(shard.examples for shard in shards) <= 1


def test_a_shard_without_rows_is_refused(load: Callable[..., Batches]) -> None:
    with pytest.raises(DataError, match=r"shard 7/7 of rows.jsonl is empty: it has 6 rows; make fewer shards"):
        load(ROWS, shard=(7, 7))


@pytest.mark.parametrize(
    "options", [{}, {"max_samples": 30, "seed": 3}, {"shard": (2, 3)}, {"max_samples": 40, "shard": (2, 2)}]
)
def test_an_error_names_the_row_of_the_users_file(
    options: dict[str, Any], load: Callable[..., Batches], make_sentences: Callable[..., list[str]]
) -> None:
    rows = [{"sentence": text, "label": 0} for text in make_sentences(60)]
    whole = load(rows, **options)
    everything = DataRequest(TASKS["sst2"], Path("rows.jsonl"), **options)
    kept = shard_of(chosen_rows(rows_of_table(Dataset.from_list(rows)), everything), everything.shard)[0].numbers
    assert len(kept) == whole.examples
    last = kept[-1]
    rows[last - 1] = {"sentence": "good", "label": 9}
    with pytest.raises(DataError, match=rf"^rows.jsonl, row {last}: label 9 is not one of"):
        load(rows, **options)
