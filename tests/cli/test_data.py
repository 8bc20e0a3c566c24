"""Data as users have it: kinds of files, rows that cannot be used, texts that are cut; through the commands."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from datasets import Dataset, DatasetDict
from safetensors.torch import load_file
from transformers import BertForSequenceClassification, BertForTokenClassification, BertTokenizerFast

from tests.helpers import tiny_config

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


@pytest.fixture(scope="session")
def ner_folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token classifier of the labels O, B and I. Do not write into it."""
    folder = tmp_path_factory.mktemp("models") / "tiny-ner"
    shutil.copytree(tiny_folder, folder)
    torch.manual_seed(0)
    names = ["O", "B", "I"]
    config = tiny_config(
        label2id={name: place for place, name in enumerate(names)}, id2label={str(p): n for p, n in enumerate(names)}
    )
    BertForTokenClassification(config).save_pretrained(folder)
    return folder


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
        ("rows.jsonl.gz", gzip.compress(JSONL.encode())),
        ("rows.json.gz", gzip.compress(json.dumps(ROWS).encode())),
        ("rows.csv.gz", gzip.compress(CSV.encode())),
        ("rows.tsv.GZ", gzip.compress(TSV.encode())),
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
        ("rows.csv", gzip.compress(CSV.encode()), ["compressed by gzip", "call it rows.csv.gz"]),
        ("rows.csv.gz", gzip.compress(CSV.encode())[:30], ["cannot be decompressed", "get the file again"]),
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


def test_many_labels_of_a_model_are_listed_in_part(
    changed_model: Callable[..., Path], tmp_path: Path, refused: Refused
) -> None:
    model = changed_model()
    names = {f"class {place}": place for place in range(5000)}
    config = tiny_config(label2id=names, id2label={str(place): name for name, place in names.items()})
    BertForSequenceClassification(config).save_pretrained(model)
    (tmp_path / "rows.jsonl").write_text(json.dumps({"sentence": "good", "label": "x" * 100_000}))
    sentence = refused("evaluate", model, *SST2, tmp_path / "rows.jsonl")
    assert " and 4,980 more)" in sentence
    assert len(sentence) < 600


BAD_ROWS = [
    {"sentence": "good film", "label": 1},
    {"sentence": "", "label": 1},
    {"sentence": "bad film", "label": 0},
    {"sentence": "dull", "label": None},
    {"sentence": "fine", "label": 7},
    {"sentence": None, "label": 0},
    {"sentence": "great cast", "label": 1},
]
BAD_CSV = "sentence,label\n" + "".join(
    ",".join("" if cell is None else str(cell) for cell in row.values()) + "\n" for row in BAD_ROWS
)


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_rows_that_cannot_be_used_stop_or_are_skipped_and_counted(
    kind: str, tiny_folder: Path, tmp_path: Path, run: Run, refused: Refused
) -> None:
    file = tmp_path / f"rows.{kind}"
    file.write_text(BAD_CSV if kind == "csv" else "".join(json.dumps(row) + "\n" for row in BAD_ROWS))
    sentence = refused("evaluate", tiny_folder, *SST2, file)
    assert f"rows.{kind}, row 2: column 'sentence' is empty, a text is needed;" in sentence
    assert "--on-bad-row skip" in sentence
    result = run("evaluate", tiny_folder, *SST2, file, "--on-bad-row", "skip", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert (found["examples"], found["skipped"]) == (3, 4)
    (hinted,) = [line for line in result.stderr.splitlines() if "left out" in line]
    assert hinted == (
        f"4 of 7 rows of rows.{kind} were left out: 2 without a text, 1 without a label, 1 with a label that does not "
        f"fit; the first: rows.{kind}, row 2: column 'sentence' is empty, a text is needed."
    )


@pytest.mark.parametrize("command", ["fisher", "compress", "max-drop", "evaluate", "bench", "onnx"])
def test_every_command_with_data_skips_and_counts_once(
    command: str, tiny_folder: Path, compressed_folder: Path, data_file: Path, tmp_path: Path, run: Run
) -> None:
    lines = data_file.read_text().splitlines()
    lines[4] = lines[29] = '{"sentence": " ", "label": 0}'
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    timed = ["--runtime", "torch", "--rounds", 1, "--batch-sizes", 1, "--lengths", 4]
    words: list[object] = {
        "fisher": ["fisher", tiny_folder, "-o", tmp_path / "fisher.safetensors"],
        "compress": ["compress", tiny_folder, tmp_path / "out", "--rank", 4],
        "max-drop": ["compress", tiny_folder, tmp_path / "out", "--max-drop", 1],
        "evaluate": ["evaluate", tiny_folder],
        "bench": ["bench", tiny_folder, compressed_folder, *timed],
        "onnx": ["onnx", tiny_folder, "-o", tmp_path / "onnx", "--int8"],
    }[command]
    result = run(*words, *SST2, tmp_path / "rows.jsonl", "--on-bad-row", "skip", "--max-length", 6, "--json")
    assert result.exit_code == 0, result.output
    json.loads(result.stdout)
    (skipped,) = [line for line in result.stderr.splitlines() if "were left out" in line]
    assert skipped.startswith("2 of 48 rows of rows.jsonl were left out: 2 without a text; the first: ")
    (cut,) = [line for line in result.stderr.splitlines() if "were cut" in line]
    longer = [length for line in lines if (length := len(json.loads(line)["sentence"].split()) + 2) > 6]
    assert cut == (
        f"{len(longer)} of 46 texts of rows.jsonl were cut at 6 tokens, the longest has {max(longer)}; "
        f"--max-length {max(longer)} keeps all of them whole."
    )


def test_nothing_that_is_left_is_refused(tiny_folder: Path, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "rows.jsonl").write_text('{"sentence": "", "label": 0}\n{"sentence": "good", "label": 5}\n')
    sentence = refused("evaluate", tiny_folder, *SST2, tmp_path / "rows.jsonl", "--on-bad-row", "skip")
    assert "none of the 2 rows of rows.jsonl can be used" in sentence
    assert "row 1: column 'sentence' is empty" in sentence


def test_a_wrong_wish_for_bad_rows(tiny_folder: Path, data_file: Path, refused: Refused) -> None:
    sentence = refused("evaluate", tiny_folder, *SST2, data_file, "--on-bad-row", "ignore", code=2)
    assert "'ignore': one of stop, skip is allowed" in sentence


@pytest.mark.parametrize(
    ("length", "advice"),
    [
        (20, "--max-length 42 keeps all of them whole."),
        (64, ""),
        (128, ""),
    ],
)
def test_texts_that_are_cut_are_mentioned(
    length: int, advice: str, tiny_folder: Path, tmp_path: Path, run: Run
) -> None:
    rows = [{"sentence": "good " * words, "label": 0} for words in (3, 18, 19, 40)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = [*SST2, tmp_path / "rows.jsonl", "--max-length", length, "--json"]
    result = run("evaluate", tiny_folder, *words)
    hints = [line for line in result.stderr.splitlines() if "were cut" in line]
    if advice:
        assert hints == [f"2 of 4 texts of rows.jsonl were cut at 20 tokens, the longest has 42; {advice}"]
        assert json.loads(result.stdout)["cut"] == 2
    else:
        assert (hints, json.loads(result.stdout)["cut"]) == ([], 0)
    assert "were cut" not in run("-q", "evaluate", tiny_folder, *words).stderr


@pytest.mark.parametrize(
    ("length", "advice"), [(20, "the model takes up to --max-length 64"), (128, "no more than 64")]
)
def test_texts_longer_than_the_model_takes_say_so(
    length: int, advice: str, tiny_folder: Path, tmp_path: Path, run: Run
) -> None:
    rows = [{"sentence": "good " * words, "label": 0} for words in (3, 98)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run("evaluate", tiny_folder, *SST2, tmp_path / "rows.jsonl", "--max-length", length)
    (hinted,) = [line for line in result.stderr.splitlines() if "was cut" in line]
    assert hinted.startswith(f"1 of 2 texts of rows.jsonl was cut at {min(length, 64)} tokens, the longest has 100; ")
    assert advice in hinted


def test_pairs_are_counted_together(tiny_folder: Path, tmp_path: Path, run: Run) -> None:
    rows = [{"sentence1": "good " * 6, "sentence2": "bad " * words, "label": 0} for words in (5, 6, 9)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["--task", "mrpc", "--data", tmp_path / "rows.jsonl", "--max-length", 14]
    assert (
        "2 of 3 texts of rows.jsonl were cut at 14 tokens, the longest has 18;"
        in run("evaluate", tiny_folder, *words).stderr
    )


def test_tags_of_ignored_positions_count_for_nothing(ner_folder: Path, tmp_path: Path, succeed: Succeed) -> None:
    words = ["--task", "ner", "--data"]
    (tmp_path / "all.jsonl").write_text(json.dumps({"tokens": ["good", "film"], "ner_tags": [-100, 2]}))
    (tmp_path / "rows.conll").write_text("good -100\nfilm I\n")
    files = [tmp_path / name for name in ("all.jsonl", "rows.conll")]
    sums = []
    for file in files:
        succeed("fisher", ner_folder, *words, file, "-o", tmp_path / f"{file.stem}.safetensors")
        sums.append(load_file(tmp_path / f"{file.stem}.safetensors"))
    assert all(torch.equal(sums[1][name], tensor) for name, tensor in sums[0].items())


def test_words_that_all_lose_their_labels_make_no_model(ner_folder: Path, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "rows.conll").write_text(CONLL)
    words = ["--task", "ner", "--data", tmp_path / "rows.conll", "--max-length", 2]
    for command in (["evaluate", ner_folder], ["compress", ner_folder, tmp_path / "out", "--rank", 4]):
        sentence = refused(*command, *words)
        assert "no word of rows.conll keeps a label within 2 tokens" in sentence
        assert "raise --max-length" in sentence


def spoiled(data_file: Path, number: int, folder: Path) -> Path:
    """The data with a label that does not fit in one row."""
    lines = data_file.read_text().splitlines()
    lines[number - 1] = '{"sentence": "good", "label": 9}'
    file = folder / "rows.jsonl"
    file.write_text("\n".join(lines))
    return file


@pytest.mark.parametrize("number", [1, 17, 34, 48])
@pytest.mark.parametrize("command", ["max-drop", "shard", "max-samples", "bench"])
def test_a_row_has_its_number_in_the_users_file_whatever_was_chosen(
    command: str, number: int, tiny_folder: Path, data_file: Path, tmp_path: Path, run: Run
) -> None:
    file = spoiled(data_file, number, tmp_path)
    words: list[object] = {
        "max-drop": ["compress", tiny_folder, tmp_path / "out", "--max-drop", 0.1],
        "shard": ["fisher", tiny_folder, "-o", tmp_path / "out", "--shard", f"{(number - 1) % 3 + 1}/3"],
        "max-samples": ["evaluate", tiny_folder, "--max-samples", 30],
        "bench": ["bench", tiny_folder, "--runtime", "torch", "--lengths", 4, "--max-samples", 47],
    }[command]
    results = [run(*words, *SST2, file, "--seed", seed) for seed in range(4)]
    sentences = {result.stderr.splitlines()[-1] for result in results if result.exit_code == 1}
    assert len(sentences) == 1
    assert sentences.pop().startswith(f"Error: rows.jsonl, row {number}: label 9 is not one of")


def test_a_row_that_the_tokenizer_fails_on_is_named(
    tiny_folder: Path, data_file: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    call, seventh = BertTokenizerFast.__call__, json.loads(data_file.read_text().splitlines()[6])["sentence"]

    def fail(self: Any, texts: list[str], **options: Any) -> Any:
        if seventh in texts:
            raise RuntimeError("a text is too hard")
        return call(self, texts, **options)

    monkeypatch.setattr(BertTokenizerFast, "__call__", fail)
    sentence = refused("evaluate", tiny_folder, *SST2, data_file)
    assert "the model's tokenizer fails on train.jsonl, row 7: a text is too hard" in sentence


def test_half_a_surrogate_pair_is_not_a_text(tiny_folder: Path, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "rows.jsonl").write_text('{"sentence": "good \\ud800", "label": 0}\n')
    sentence = refused("evaluate", tiny_folder, *SST2, tmp_path / "rows.jsonl")
    assert "row 1: column 'sentence' holds 'good \\ud800', which is not a text" in sentence
