"""Files as users have them: every kind and encoding, folders, and what is refused; through the commands."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from datasets import Dataset, DatasetDict

Run = Callable[..., Result]
Succeed = Callable[..., str]
Refused = Callable[..., str]
SST2 = ["--task", "sst2", "--data"]
TEXTS = ["good film", "a bad plot", "the cast was never dull", "fine", "very poor", "great, great"]
ROWS = [{"sentence": text, "label": index % 2} for index, text in enumerate(TEXTS)]
JSONL = "".join(json.dumps(row) + "\n" for row in ROWS)
CSV = "sentence,label\n" + "".join(f'"{row["sentence"]}",{row["label"]}\n' for row in ROWS)
TSV = "sentence\tlabel\n" + "".join(f"{row['sentence']}\t{row['label']}\n" for row in ROWS)
CONLL = "-DOCSTART- O\n\ngood B\nfilm I\n\n# a comment\nthe O\ncast B\nwas O\n"
NER_ROWS = [
    {"tokens": ["good", "film"], "ner_tags": ["B", "I"]},
    {"tokens": ["the", "cast", "was"], "ner_tags": ["O", "B", "O"]},
]


def evaluation(text: str) -> tuple[int, float]:
    """What does not depend on the file: how many examples, and the metric."""
    found = json.loads(text)
    return found["examples"], found["value"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.ndjson", JSONL.encode()),
        ("ROWS.JSONL", JSONL.encode()),
        ("rows.CSV", CSV.encode()),
        ("rows.jsonl.gz", gzip.compress(JSONL.encode(), mtime=0)),
        ("rows.json.gz", gzip.compress(json.dumps(ROWS).encode(), mtime=0)),
        ("rows.csv.gz", gzip.compress(CSV.encode(), mtime=0)),
        ("rows.tsv.GZ", gzip.compress(TSV.encode(), mtime=0)),
        ("rows.csv.bz2", bz2.compress(CSV.encode())),
        ("rows.csv.xz", lzma.compress(CSV.encode())),
        ("rows.csv", b"\xef\xbb\xbf" + CSV.encode()),
        ("rows.csv", CSV.encode("utf-16")),
        ("rows.tsv", TSV.encode("utf-32")),
        ("rows.jsonl", b"\xef\xbb\xbf" + JSONL.encode()),
        ("rows.jsonl", ("\n" + JSONL.replace("\n", "\r\n\r\n")).encode()),
        ("rows.json", JSONL.encode()),
        ("rows.json", json.dumps(ROWS, indent=2).encode()),
        ("rows.csv", CSV.replace("sentence,label", ",sentence,label").replace('\n"', '\n7,"').encode()),
    ],
)
def test_kinds_of_files_give_the_same_evaluation(
    name: str, content: bytes, tiny_folder: Path, tmp_path: Path, succeed: Succeed
) -> None:
    (tmp_path / name).write_bytes(content)
    (tmp_path / "plain.jsonl").write_text(JSONL)
    expected = succeed("evaluate", tiny_folder, *SST2, tmp_path / "plain.jsonl", "--json")
    found = succeed("evaluate", tiny_folder, *SST2, tmp_path / name, "--json")
    assert evaluation(found) == evaluation(expected)
    assert json.loads(found)["data"] == name


@pytest.mark.parametrize("name", ["rows.conll", "rows.txt", "rows.tsv", "rows.conll.gz"])
def test_conll_files_give_the_evaluation_of_lists(
    name: str, ner_folder: Path, tmp_path: Path, succeed: Succeed
) -> None:
    text = CONLL.replace(" ", "\t").replace("#\ta\tcomment", "# a comment") if ".tsv" in name else CONLL
    (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in NER_ROWS))
    found, expected = (
        succeed("evaluate", ner_folder, "--task", "ner", "--data", tmp_path / file, "--json")
        for file in (name, "rows.jsonl")
    )
    assert evaluation(found) == evaluation(expected)
    assert json.loads(found)["examples"] == 2


def test_a_saved_data_set_is_read_from_its_folder(tiny_folder: Path, tmp_path: Path, succeed: Succeed) -> None:
    (tmp_path / "plain.jsonl").write_text(JSONL)
    Dataset.from_list(ROWS).save_to_disk(str(tmp_path / "saved"))
    DatasetDict({"train": Dataset.from_list(ROWS[:1]), "dev": Dataset.from_list(ROWS)}).save_to_disk(
        str(tmp_path / "splits")
    )
    expected = succeed("evaluate", tiny_folder, *SST2, tmp_path / "plain.jsonl", "--json")
    for words in ([tmp_path / "saved"], [tmp_path / "splits", "--split", "dev"], [tmp_path / "splits" / "dev"]):
        assert evaluation(succeed("evaluate", tiny_folder, *SST2, *words, "--json")) == evaluation(expected)


def test_a_home_folder_that_the_shell_left_is_found(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, succeed: Succeed
) -> None:
    (tmp_path / "rows.jsonl").write_text(JSONL)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert json.loads(succeed("evaluate", tiny_folder, *SST2, "~/rows.jsonl", "--json"))["data"] == "rows.jsonl"
    succeed("fisher", tiny_folder, *SST2, "~/rows.jsonl", "-o", "~/fisher.safetensors")
    assert (tmp_path / "fisher.safetensors").is_file()


@pytest.mark.parametrize("labels", [["0", "1"], ["LABEL_0", "LABEL_1"], [False, True], [0.0, 1.0]])
def test_labels_may_be_written_as_text(labels: list[Any], tiny_folder: Path, tmp_path: Path, succeed: Succeed) -> None:
    (tmp_path / "plain.jsonl").write_text(JSONL)
    expected = evaluation(succeed("evaluate", tiny_folder, *SST2, tmp_path / "plain.jsonl", "--json"))
    rows = [{"sentence": row["sentence"], "label": labels[int(str(row["label"]))]} for row in ROWS]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["sentence", "label"])
        writer.writeheader()
        writer.writerows(rows)
    for name in ("rows.jsonl", "rows.csv"):
        assert evaluation(succeed("evaluate", tiny_folder, *SST2, tmp_path / name, "--json")) == expected


def zipped() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("rows.csv", CSV)
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "rows.csv",
            "sentence,label\ntrès bon,1\n".encode("latin-1"),
            ["not UTF-8", "0xe8 in line 2", "iconv -f LATIN1"],
        ),
        ("rows.csv", CSV.encode("utf-16-le"), ["holds NUL characters", "UTF-16 without a byte order mark", "iconv"]),
        ("rows.csv", b"sentence,label,label\ngood,1,0\n", ["more than one column named label", "may stand once"]),
        ("rows.csv", b"good film,1\nbad,0\n", ["no column 'sentence'", "good film, 1", "first line of the file"]),
        ("rows.csv", b"sentence,label\nnot good, but fine,1\n", ["row 1 has 3 cells", "2 columns", "quote a text"]),
        ("rows.tsv", b"sentence\tlabel\ngood\t1\nbad\n", ["row 2 has 1 cell,", "2 columns", "take tabs out"]),
        ("rows.csv", b'sentence,label\ngood,1\n"bad,0\n', ["row 2", "close every quotation mark"]),
        ("rows.jsonl", b'{"sentence": "good", "label": 1}\n\n{"sentence"', ["row 2", "not JSON", "correct it"]),
        ("rows.jsonl", b'{"sentence": "good", "label": 1}\n[1]\n', ["row 2", "[1] is not an object"]),
        ("rows.jsonl", b'{"sentence": "a", "sentence": "b"}\n', ["row 1", "'sentence' stands", "more than once"]),
        ("rows.json", b'{"sentence": ["a", "b"], "label": [0, 1]}', ["one object", "sentence, label", "JSON lines"]),
        ("rows.json", b'{"sentence": {"0": "a"}, "label": {"0": 1}}', ["one object", "sentence, label", "lines=True"]),
        ("rows.json", b'{"data": [{"sentence": "a", "label": 0}]}', ["one object", "data", "JSON lines"]),
        ("rows.zip", zipped(), ["rows.zip: unpack the archive"]),
        ("rows.csv", zipped(), ["is a zip archive", "unpack it"]),
        ("rows.csv", gzip.compress(CSV.encode(), mtime=0), ["compressed by gzip", "call it rows.csv.gz"]),
        ("rows.csv.gz", gzip.compress(CSV.encode(), mtime=0)[:30], ["cannot be decompressed", "get the file again"]),
        ("rows.csv.gz", CSV.encode(), ["cannot be decompressed", "of another kind than .gz"]),
        ("rows.csv.xz", CSV.encode(), ["cannot be decompressed", "of another kind than .xz"]),
        ("rows.parquet.gz", b"PAR1", ["parquet files are compressed inside", "decompress it"]),
        ("rows.xlsx", zipped(), ["save the sheet as CSV"]),
        ("rows.doc", b"good", [".jsonl, .ndjson, .json, .csv, .tsv, .parquet", ".gz, .bz2, .xz"]),
        ("rows.csv", b"sentence,label\n" + b'"' + b"[" * 9999 + b'",x\n', ["row 1", "'x' is not one of"]),
        ("rows.jsonl", b"[" * 99999, ["cannot be read as JSON", "correct it"]),
    ],
)
def test_files_that_are_refused(
    name: str, content: bytes, words: list[str], tiny_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / name).write_bytes(content)
    for command in (["evaluate", tiny_folder], ["fisher", tiny_folder, "-o", tmp_path / "out"]):
        sentence = refused(*command, *SST2, tmp_path / name)
        assert all(word in sentence for word in [name, *words]), sentence


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("rows.conll", "good B\nfilm\n", ["line 2", "'film' is not a token and its tag"]),
        ("rows.conll", "good B\nfilm NN I\n", ["line 2 has 3 columns, and the first line has 2"]),
        ("rows.conll", "good B\n\nfilm X\n", ["row 2: label 'X' is not one of", "O, B, I"]),
        ("rows.tsv", "tokens\tner_tags\ngood\tB\n", ["row 1: label 'ner_tags' is not one of"]),
        ("rows.csv", "tokens,ner_tags\ngood,B\n", [".jsonl", ".conll, .tsv, .txt", "for token labels"]),
        ("rows.jsonl", '{"tokens": [], "ner_tags": []}\n', ["row 1: column 'tokens' is empty"]),
        ("rows.jsonl", '{"tokens": ["a", 5], "ner_tags": [0, 0]}\n', ["row 1", "holds 5, which is not a text"]),
        (
            "rows.jsonl",
            '{"tokens": ["a"], "ner_tags": [-100]}\n',
            ["row 1: no word has a label (-100 stands for none)", "--on-bad-row skip"],
        ),
    ],
)
def test_token_files_that_are_refused(
    name: str, content: str, words: list[str], ner_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / name).write_text(content)
    sentence = refused("evaluate", ner_folder, "--task", "ner", "--data", tmp_path / name)
    assert all(word in sentence for word in [name, *words]), sentence


def test_places_that_hold_no_rows_are_refused(tiny_folder: Path, tmp_path: Path, refused: Refused) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "rows.csv").write_text(CSV)
    os.mkfifo(tmp_path / "pipe.jsonl")
    DatasetDict({"train": Dataset.from_list(ROWS)}).save_to_disk(str(tmp_path / "splits"))
    Dataset.from_list(ROWS).save_to_disk(str(tmp_path / "saved"))
    (tmp_path / "rows.jsonl").write_text(JSONL)
    for words, expected in (
        ([folder], ["is a folder", "save_to_disk", "give one file of it (rows.csv)"]),
        (["-"], ["data - is not a file or a folder", "write the rows to a file"]),
        (["/dev/stdin"], ["not a file or a folder", "write the rows to a file"]),
        ([tmp_path / "pipe.jsonl"], ["not a file or a folder", "write the rows to a file"]),
        ([tmp_path / "splits"], ["holds the splits train", "no split is given", "--split"]),
        ([tmp_path / "splits", "--split", "dev"], ["holds the splits train", "'dev' is not there", "--split"]),
        ([tmp_path / "saved", "--split", "dev"], ["'dev' is given", "holds one data set", "leave --split out"]),
        ([tmp_path / "rows.jsonl", "--split", "dev"], ["'dev' is given", "no splits", "leave --split out"]),
        ([tmp_path / "no.jsonl"], ["does not exist", "give the path"]),
    ):
        sentence = refused("evaluate", tiny_folder, *SST2, *words)
        assert all(word in sentence for word in expected), sentence


def test_a_damaged_saved_data_set_is_refused(tiny_folder: Path, tmp_path: Path, refused: Refused) -> None:
    Dataset.from_list(ROWS).save_to_disk(str(tmp_path / "saved"))
    for file in (tmp_path / "saved").glob("*.arrow"):
        file.write_bytes(b"nothing")
    assert "cannot be read" in refused("evaluate", tiny_folder, *SST2, tmp_path / "saved")


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "tsv"])
def test_messages_about_large_data_stay_short(kind: str, tiny_folder: Path, tmp_path: Path, refused: Refused) -> None:
    names = [f"column {place}" for place in range(10_000)]
    rows = [dict.fromkeys(names, "value")]
    file = tmp_path / f"rows.{kind}"
    delimiter = "," if kind == "csv" else "\t"
    tables = {"json": json.dumps(rows), "jsonl": json.dumps(rows[0])}
    file.write_text(tables.get(kind) or "\n".join(delimiter.join(cells) for cells in (names, ["value"] * len(names))))
    sentence = refused("evaluate", tiny_folder, *SST2, file)
    assert "it has column 0, column 1, " in sentence
    assert " and 9,980 more" in sentence
    assert len(sentence) < 500
    file.write_text(json.dumps({"sentence": ["good film"] * 50_000, "label": [0, 1] * 25_000}))
    for name in ("rows.jsonl", "rows.json"):
        file.rename(tmp_path / name)
        file = tmp_path / name
        assert len(refused("evaluate", tiny_folder, *SST2, file)) < 500


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("none.jsonl", None, "does not exist"),
        ("empty.jsonl", "", "is empty"),
        ("rowless.jsonl", "\n", "rowless.jsonl is empty"),
        ("rowless.json", "[]", "rowless.json is empty"),
        ("rowless.csv", "sentence,label\n", "rowless.csv is empty"),
        ("commas.csv", "sentence,label\nnot good, but fine,1\n", "row 1 has 3 cells, and the header has 2 columns"),
        ("broken.jsonl", '{"sentence": "good", "label": 1}\n{"sentence": ', "row 2: this is not JSON"),
        ("broken.parquet", "PAR1 and no more", "cannot be read as parquet"),
        ("rows.txt", "good\t1\n", ".jsonl, .ndjson, .json, .csv, .tsv, .parquet"),
    ],
)
def test_data_files_that_cannot_be_read(
    name: str, text: str | None, words: str, tiny_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    data = ["--task", "sst2", "--data", file]
    assert words in refused("fisher", tiny_folder, "-o", tmp_path / "out.safetensors", *data)
