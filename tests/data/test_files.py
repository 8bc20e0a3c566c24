"""Every kind of file gives the same rows, and reading leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from fwsvd_export.data.batches import Batches
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import TASKS
from tests.data.sentences import ENCODER, ROWS, TEXTS, assert_same, rows_of


def write_csv(path: Path) -> None:
    quoted = [f'"{row["sentence"].replace(chr(34), 2 * chr(34))}",{row["label"]}' for row in ROWS]
    path.write_text("\n".join(["sentence,label", *quoted]) + "\n", encoding="utf-8")


def write_tsv(path: Path) -> None:
    path.write_text(
        "sentence\tlabel\n" + "".join(f"{row['sentence']}\t{row['label']}\n" for row in ROWS), encoding="utf-8"
    )


def write_parquet(path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)


def write_json(path: Path) -> None:
    path.write_text(json.dumps(ROWS), encoding="utf-8")


WRITERS: dict[str, Callable[[Path], None]] = {
    "csv": write_csv,
    "tsv": write_tsv,
    "parquet": write_parquet,
    "json": write_json,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_kind_of_file_gives_the_same_batches(
    kind: str, tokenizer: Any, load: Callable[..., Batches], tmp_path: Path
) -> None:
    path = tmp_path / f"rows.{kind}"
    WRITERS[kind](path)
    found = load_batches(DataRequest(TASKS["sst2"], path, batch_size=4), tokenizer, ENCODER)
    assert_same(found, load(ROWS, batch_size=4))
    assert sorted(rows_of(found, "input_ids")) == sorted(tokenizer(TEXTS)["input_ids"])


def test_reading_leaves_nothing_behind(
    load: Callable[..., Batches], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    load(ROWS)
    assert list(tmp_path.iterdir()) == []
