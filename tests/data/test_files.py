"""Every kind of file gives the same examples, and reading leaves nothing behind."""

from __future__ import annotations

import csv
import gzip
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwsvd_export.data.batches import Batches
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.examples import Example, read_examples
from fwsvd_export.data.files import read_file
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.rows import read_rows
from fwsvd_export.data.tasks import TASKS, Task
from fwsvd_export.data.usable import Usable
from fwsvd_export.errors import DataError
from tests.data.sentences import ENCODER, ROWS, TEXTS, Rows, assert_same, encoder_with, rows_of


def write_csv(path: Path, rows: Rows) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_tsv(path: Path, rows: Rows) -> None:
    names = list(rows[0])
    lines = [names, *(["" if row[name] is None else str(row[name]) for name in names] for row in rows)]
    path.write_bytes("".join("\t".join(line) + "\n" for line in lines).encode())


def write_parquet(path: Path, rows: Rows) -> None:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def write_json(path: Path, rows: Rows) -> None:
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")


def write_jsonl(path: Path, rows: Rows) -> None:
    path.write_bytes("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())


def write_gzip(path: Path, rows: Rows) -> None:
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\r\n\r\n" for row in rows).encode()))


def write_conll(path: Path, rows: Rows) -> None:
    sentences = [zip(*row.values(), strict=True) for row in rows]
    path.write_bytes("\n".join("".join(f"{word} {tag}\n" for word, tag in lines) for lines in sentences).encode())


WRITERS: dict[str, Callable[[Path, Rows], None]] = {
    "rows.csv": write_csv,
    "rows.tsv": write_tsv,
    "rows.parquet": write_parquet,
    "rows.json": write_json,
    "rows.ndjson": write_jsonl,
    "rows.jsonl.gz": write_gzip,
}
TOKEN_WRITERS = {name: writer for name, writer in WRITERS.items() if name not in ("rows.csv", "rows.tsv")} | {
    "rows.conll": write_conll,
    "rows.txt": write_conll,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_file_gives_the_same_batches(
    name: str, tokenizer: Any, load: Callable[..., Batches], tmp_path: Path
) -> None:
    WRITERS[name](tmp_path / name, ROWS)
    found = load_batches(DataRequest(TASKS["sst2"], tmp_path / name, batch_size=4), tokenizer, ENCODER)
    assert_same(found, load(ROWS, batch_size=4))
    assert sorted(rows_of(found, "input_ids")) == sorted(tokenizer(TEXTS)["input_ids"])


# Tabs and line ends cannot stand in a text of a tab-separated file; half a surrogate pair in no file
LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0\t\n\r")
TEXT = st.text(LETTERS, max_size=20) | st.sampled_from(
    ["1", "1.0", "true", "2020-01-01", "null", "NaN", "[]", '"', ","]
)
LABELS = st.sampled_from([0, 1, None])
TABLE = st.lists(st.fixed_dictionaries({"sentence": st.none() | TEXT, "label": LABELS}), min_size=1, max_size=6)
# A byte order mark is not a token; a line that begins with # may be a comment
TOKENS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\t\n\r \ufeff#"), min_size=1, max_size=5
).filter(lambda token: not token.startswith("-DOCSTART-"))
SENTENCE = st.lists(st.tuples(TOKENS, st.sampled_from(["O", "B", "I"])), min_size=1, max_size=5)
SENTENCES = st.lists(SENTENCE, min_size=1, max_size=4)


def examples_of(
    writers: dict[str, Callable[[Path, Rows], None]], rows: Rows, task: Task, config: Any
) -> list[Usable[Example] | str]:
    """What every kind of file gives: its examples, or the error without the file's name."""
    found: list[Usable[Example] | str] = []
    for name, write in writers.items():
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder) / name, rows)
            read = read_rows(DataRequest(task, Path(folder) / name))
        try:
            examples = read_examples(read, task, config, "skip")
            found.append(Usable(examples.found, examples.places, examples.skipped, ""))
        except DataError as error:
            found.append(str(error).replace(name, "rows"))
    return found


@settings(max_examples=25)
@given(rows=TABLE)
def test_whatever_the_rows_every_kind_of_file_gives_the_same_examples(rows: Rows) -> None:
    first, *others = examples_of(WRITERS, rows, TASKS["sst2"], ENCODER.model.config)
    assert all(other == first for other in others)
    if not isinstance(first, str):
        whole = [
            (row["sentence"], row["label"])
            for row in rows
            if (row["sentence"] or "").strip() and row["label"] is not None
        ]
        assert [(example.texts[0], example.label) for example in first.found] == whole


@settings(max_examples=25)
@given(sentences=SENTENCES)
def test_whatever_the_sentences_every_kind_of_file_gives_the_same_examples(
    sentences: list[list[tuple[str, str]]],
) -> None:
    config = encoder_with(label2id={"O": 0, "B": 1, "I": 2}, id2label={0: "O", 1: "B", 2: "I"}).model.config
    rows = [{"tokens": [word for word, _ in pairs], "ner_tags": [tag for _, tag in pairs]} for pairs in sentences]
    first, *others = examples_of(TOKEN_WRITERS, rows, TASKS["ner"], config)
    assert all(other == first for other in others)
    assert not isinstance(first, str)
    assert [list(example.texts[0]) for example in first.found] == [row["tokens"] for row in rows]


def test_reading_leaves_nothing_behind(
    load: Callable[..., Batches], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    load(ROWS)
    (tmp_path / "kept").mkdir()
    write_parquet(tmp_path / "kept" / "rows.parquet", ROWS)
    assert len(read_file(tmp_path / "kept" / "rows.parquet", TASKS["sst2"])) == len(ROWS)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_parquet_file_with_one_name_twice_is_refused(tmp_path: Path) -> None:
    table = pyarrow.Table.from_arrays([pyarrow.array(["a"]), pyarrow.array(["b"])], names=["text", "text"])
    pyarrow.parquet.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises(DataError, match=r"rows\.parquet cannot be read as parquet: "):
        read_file(tmp_path / "rows.parquet", TASKS["classification"])
