"""Keys: the same for the same, another for anything else that a model depends on, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.rows import read_rows
from fwsvd_export.data.tasks import TASKS
from fwsvd_export.export.identity import Identity
from fwsvd_export.records import Budget, RankLimits, RankRequest
from fwsvd_export.solvers.fwsvd import FwsvdOptions
from fwsvd_export.sweep.grid import Cell
from fwsvd_export.sweep.keys import MadeFrom, digest_of, rows_sha256

BASE = Identity("model", "BertForSequenceClassification", "0" * 64, "1" * 64, "{}")
MADE_FROM = MadeFrom(
    BASE,
    DataRequest(TASKS["sst2"], Path("train.jsonl"), max_samples=8),
    rows_sha256="2" * 64,
    validation_sha256="3" * 64,
    labels="data",
    temperature=2.0,
    size=RankRequest(Budget(ratio=1.0)),
)
CELL = Cell("fwsvd", Budget(ratio=0.5), "none", 0)


def key(made_from: MadeFrom = MADE_FROM, cell: Cell = CELL, **changes: Any) -> str:
    asked = {"options": FwsvdOptions(), "needs": "row", "reconstruct": False, "widths": "keep", **changes}
    return made_from.measured(made_from.compressed(cell, **asked), 0.95)


@pytest.mark.parametrize(
    "made_from",
    [
        replace(MADE_FROM, base=replace(BASE, weights_sha256="4" * 64)),
        replace(MADE_FROM, base=replace(BASE, settings='{"hidden_act": "relu"}')),
        replace(MADE_FROM, rows_sha256="4" * 64),
        replace(MADE_FROM, validation_sha256="4" * 64),
        replace(MADE_FROM, labels="sampled"),
        replace(MADE_FROM, temperature=1.0),
        replace(MADE_FROM, data=replace(MADE_FROM.data, max_samples=9)),
        replace(MADE_FROM, data=replace(MADE_FROM.data, max_length=64)),
        replace(MADE_FROM, data=replace(MADE_FROM.data, on_bad_row="skip")),
        replace(MADE_FROM, data=replace(MADE_FROM.data, task=TASKS["cola"])),
        replace(MADE_FROM, size=RankRequest(Budget(ratio=1.0), limits=RankLimits(multiple=8))),
        replace(MADE_FROM, size=RankRequest(Budget(ratio=1.0), embeddings=0.5)),
        replace(MADE_FROM, size=RankRequest(Budget(ratio=1.0), "uniform")),
    ],
)
def test_another_model_data_or_limit_is_another_key(made_from: MadeFrom) -> None:
    assert key(made_from) != key()


def test_another_method_size_seed_or_option_is_another_key() -> None:
    others = [
        key(cell=replace(CELL, method="svd")),
        key(cell=replace(CELL, budget=Budget(ratio=0.25))),
        key(cell=replace(CELL, budget=Budget(rank=1))),
        key(cell=replace(CELL, seed=1)),
        key(options=FwsvdOptions("output")),
        key(reconstruct=True),
        key(widths="auto"),
    ]
    assert len({key(), *others}) == 8
    assert MADE_FROM.measured({}, 0.9) != MADE_FROM.measured({}, 0.95)


def test_a_cell_made_before_there_were_temperatures_is_found_at_temperature_1_unless_it_was_reconstructed() -> None:
    made_from = replace(MADE_FROM, temperature=1.0)
    assert key(made_from) == "a9785885a39e4f7a75a6b8fdfdaf8850effdd246d72ac547ef63d727d38e109d"
    reconstructed_then = "39fdf6af45d4d13b001c09512ba77c0479f9d0b177b501e4e47fec3bf1d0639b"
    assert key(made_from, reconstruct=True) != reconstructed_then  # it had no head fitted


def test_names_of_files_and_the_batch_size_do_not_count_and_neither_does_the_budget_of_the_limits() -> None:
    data = replace(MADE_FROM.data, file=Path("elsewhere/rows.csv"), batch_size=3, seed=5)
    same = replace(
        MADE_FROM, data=data, base=replace(BASE, model="x", file_sha256="9"), size=RankRequest(Budget(ratio=0.2))
    )
    assert key(same) == key()


def test_what_needs_no_statistics_depends_neither_on_calibration_rows_nor_on_the_seed() -> None:
    other = replace(MADE_FROM, rows_sha256="4" * 64, data=replace(MADE_FROM.data, max_samples=None), labels="sampled")
    assert key(other, replace(CELL, seed=3), needs=None) == key(needs=None)
    assert key(replace(MADE_FROM, validation_sha256="4" * 64), needs=None) != key(needs=None)


def test_a_trained_model_depends_on_its_start_rows_settings_teacher_batch_size_and_seed() -> None:
    start = MADE_FROM.compressed(CELL, FwsvdOptions(), "row", reconstruct=False, widths="keep")

    def trained(made_from: MadeFrom = MADE_FROM, **changes: Any) -> str:
        asked = {"start": start, "training": {"epochs": 1.0}, "teacher": None, "seed": 0, **changes}
        return made_from.measured(made_from.trained(**asked), 0.95)

    others = [
        key(),
        trained(start={}),
        trained(training={"epochs": 2.0}),
        trained(teacher=BASE),
        trained(teacher=replace(BASE, weights_sha256="4" * 64)),
        trained(seed=1),
        trained(replace(MADE_FROM, rows_sha256="4" * 64)),
        trained(replace(MADE_FROM, data=replace(MADE_FROM.data, batch_size=3))),
    ]
    assert len({trained(), *others}) == 9


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none() | st.lists(st.floats(allow_nan=False))))
def test_a_digest_is_that_of_the_values_read_back_from_json(parts: dict[str, Any]) -> None:
    assert digest_of(json.loads(json.dumps(parts))) == digest_of(dict(reversed(parts.items()))) == digest_of(parts)


def test_rows_have_one_digest_in_any_kind_of_file_and_another_for_any_change(
    tmp_path: Path, write_rows: Callable[..., Path]
) -> None:
    rows = [{"sentence": f"text {place}", "label": str(place % 2), "other": place} for place in range(6)]
    table = tmp_path / "rows.csv"
    table.write_text("label,sentence\n" + "".join(f"{row['label']},{row['sentence']}\n" for row in rows))
    changed = [{**row, "label": "0"} for row in rows]

    def digest(file: Path, task: str = "sst2") -> str:
        return rows_sha256(read_rows(DataRequest(TASKS[task], file)), TASKS[task])

    assert digest(table) == digest(write_rows(rows))
    assert digest(write_rows(changed)) != digest(table)
    assert digest(write_rows(rows[::-1])) != digest(table)
    assert digest(write_rows(rows[1:])) != digest(table)
    without = TASKS["sst2"].without_labels()
    assert rows_sha256(read_rows(DataRequest(without, write_rows(changed))), without) == rows_sha256(
        read_rows(DataRequest(without, table)), without
    )


def test_cells_of_other_modules_behind_the_model_are_others() -> None:
    modules = replace(MADE_FROM, embedding="Pooling (cls) (0123)")
    assert modules.model() != MADE_FROM.model()
    assert "embedding" not in MADE_FROM.model(), "cells of before are found"
