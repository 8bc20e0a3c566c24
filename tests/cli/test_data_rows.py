"""Rows that cannot be used, texts that are cut, and how a row is named; through the commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from safetensors.torch import load_file
from transformers import BertForSequenceClassification, BertTokenizerFast

from tests.helpers import tiny_config

Run = Callable[..., Result]
Succeed = Callable[..., str]
Refused = Callable[..., str]
SST2 = ["--task", "sst2", "--data"]


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
    assert "no row of rows.jsonl can be used (2 rows)" in sentence
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
    (tmp_path / "rows.conll").write_text("good B\nfilm I\n\nthe O\n")
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
