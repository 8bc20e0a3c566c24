"""fisher: the texts it keeps, shards and their merger, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoTokenizer

from fwsvd_export.storage.digest import file_sha256

Run = Callable[..., Result]
Succeed = Callable[..., str]
Refused = Callable[..., str]
EXAMPLES = 48
ON_SHARDS = ["--collect", "kfac,row,element"]


@pytest.fixture
def data(data_file: Path) -> list[object]:
    return ["--task", "sst2", "--data", data_file]


def texts_of(file: Path) -> list[tuple[int, ...]]:
    """The stored sequences as token ids, read without the package."""
    tensors = load_file(file)
    parts = tensors["sample.token_ids"].split(tensors["sample.lengths"].tolist())
    return [tuple(part.tolist()) for part in parts]


def test_the_file_holds_the_texts_as_token_ids(
    data: list[object], data_file: Path, tiny_folder: Path, tmp_path: Path, run: Run
) -> None:
    result = run("fisher", tiny_folder, "-o", tmp_path / "fisher", *data, "--json")
    assert json.loads(result.stdout)["sample_sequences"] == EXAMPLES
    assert result.stderr.count("--data") == 0
    sentences = [json.loads(line)["sentence"] for line in data_file.read_text().splitlines()]
    ids = AutoTokenizer.from_pretrained(tiny_folder)(sentences)["input_ids"]
    assert sorted(texts_of(tmp_path / "fisher")) == sorted(map(tuple, ids))
    names = {name for name in load_file(tmp_path / "fisher") if name.startswith("sample.")}
    assert names == {"sample.token_ids", "sample.lengths"}, "a mask or types that say nothing are not stored"


def test_no_samples_leaves_the_texts_out_and_says_what_is_lost(
    data: list[object], tiny_folder: Path, tmp_path: Path, run: Run
) -> None:
    with_texts = run("fisher", tiny_folder, "-o", tmp_path / "with", *data)
    result = run("fisher", tiny_folder, "-o", tmp_path / "without", *data, "--no-samples", "--json")
    assert (with_texts.exit_code, result.exit_code) == (0, 0)
    assert json.loads(result.stdout)["sample_sequences"] == 0
    (hinted,) = [line for line in result.stderr.splitlines() if "--data" in line]
    assert "cannot reconstruct" in hinted
    assert "give --data beside it" in hinted
    sums, others = load_file(tmp_path / "with"), load_file(tmp_path / "without")
    assert not [name for name in others if name.startswith("sample.")]
    assert {name for name in sums if not name.startswith("sample.")} == set(others)
    assert all(torch.equal(sums[name], tensor) for name, tensor in others.items())


def shards(count: int, labels: str, folder: Path, model: Path, succeed: Succeed, *words: object) -> list[Path]:
    """Statistics files of every shard of the data."""
    files = [folder / f"{labels}-{part + 1}.safetensors" for part in range(count)]
    for part, file in enumerate(files):
        shard = ["--shard", f"{part + 1}/{count}", "--labels", labels, *ON_SHARDS]
        succeed("fisher", model, "-o", file, *words, *shard)
    return files


@pytest.mark.parametrize("labels", ["data", "sampled"])
def test_four_shards_merge_to_one_run(
    labels: str, data: list[object], tiny_folder: Path, tmp_path: Path, succeed: Succeed
) -> None:
    words = [*data, "--max-samples", 30, "--seed", 5]
    whole, merged = tmp_path / "whole", tmp_path / "merged"
    one = json.loads(succeed("fisher", tiny_folder, "-o", whole, *words, "--labels", labels, *ON_SHARDS, "--json"))
    files = shards(4, labels, tmp_path, tiny_folder, succeed, *words)
    report = json.loads(succeed("fisher", "--merge", *files, "-o", merged, "--json"))
    assert report == {**one, "file": str(merged), "bytes": merged.stat().st_size}
    assert (report["examples"], report["sample_sequences"]) == (30, 30)
    expected, found = load_file(whole), load_file(merged)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        if not name.startswith("sample."):
            largest = float(tensor.abs().max())
            torch.testing.assert_close(found[name], tensor, rtol=1e-5, atol=1e-5 * largest, msg=name)
    assert texts_of(merged) == [text for file in files for text in texts_of(file)]
    assert sorted(texts_of(merged)) == sorted(texts_of(whole))
    descriptions = []
    for file in (whole, merged):
        with safe_open(file, framework="pt") as stored:
            descriptions.append(json.loads(stored.metadata()["statistics"]))
    assert descriptions[0] == descriptions[1]


def test_two_shards_of_the_same_texts_draw_different_labels(
    write_rows: Callable[..., Path], tiny_folder: Path, tmp_path: Path, succeed: Succeed
) -> None:
    rows = write_rows([{"sentence": "the film was not bad", "label": 0}] * 32)
    words = ["--task", "sst2", "--data", rows]
    name = "encoder.layer.1.output.dense.row_output"
    drawn = [load_file(file)[name] for file in shards(2, "sampled", tmp_path, tiny_folder, succeed, *words)]
    given = [load_file(file)[name] for file in shards(2, "data", tmp_path, tiny_folder, succeed, *words)]
    assert not torch.allclose(drawn[0], drawn[1], rtol=1e-2)
    torch.testing.assert_close(given[0], given[1])


def test_batches_do_not_change_what_is_drawn(
    data: list[object], tiny_folder: Path, tmp_path: Path, succeed: Succeed
) -> None:
    for size in (1, 16):
        succeed("fisher", tiny_folder, "-o", tmp_path / str(size), *data, "--labels", "sampled", "--batch-size", size)
    one, many = (load_file(tmp_path / name) for name in ("1", "16"))
    for name, tensor in one.items():
        largest = float(tensor.abs().max())
        torch.testing.assert_close(many[name], tensor, rtol=1e-4, atol=1e-5 * largest, msg=name)


def test_a_merger_is_compressed_like_one_run(
    data: list[object], tiny_folder: Path, tmp_path: Path, succeed: Succeed
) -> None:
    files = shards(2, "data", tmp_path, tiny_folder, succeed, *data)
    succeed("fisher", "--merge", *files, "-o", tmp_path / "merged")
    words = ["--fisher", tmp_path / "merged", "--rank", 6, "--json"]
    record = json.loads(succeed("compress", tiny_folder, tmp_path / "small", *words))
    assert record["reconstruction"]["sequences"] == EXAMPLES
    assert record["fisher"]["examples"] == EXAMPLES
    assert record["fisher"]["data"] == "train.jsonl"


def test_one_shard_without_texts_leaves_the_merger_without_and_says_so(
    data: list[object], tiny_folder: Path, tmp_path: Path, run: Run
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert run("fisher", tiny_folder, "-o", first, *data, "--shard", "1/2").exit_code == 0
    assert run("fisher", tiny_folder, "-o", second, *data, "--shard", "2/2", "--no-samples").exit_code == 0
    result = run("fisher", "--merge", first, second, "-o", tmp_path / "merged", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["examples"], report["sample_sequences"]) == (EXAMPLES, 0)
    assert "One of the files holds no texts" in result.stderr
    assert "give --data beside it" in result.stderr


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        ("model", ["different models cannot be merged", "first", "second"]),
        ("collect", ["different collections cannot be merged", "kfac,row in ", "row in "]),
        ("labels", ["different label sources cannot be merged", "data in ", "sampled in "]),
        ("temperature", ["different temperatures cannot be merged", "4 in ", "1.5 in "]),
    ],
)
def test_shards_that_differ_are_refused(
    difference: str,
    words: list[str],
    data: list[object],
    tiny_folder: Path,
    changed_model: Callable[..., Path],
    tmp_path: Path,
    run: Run,
    refused: Refused,
) -> None:
    model = changed_model()
    if difference == "model":
        weights = load_file(model / "model.safetensors")
        weights["classifier.bias"] += 1
        save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    changes: dict[str, list[object]] = {
        "collect": ["--collect", "row"],
        "labels": ["--labels", "sampled"],
        "temperature": ["--temperature", 1.5],
    }
    options = changes.get(difference, [])
    few = [*data, "--max-samples", 4]
    assert run("fisher", tiny_folder, "-o", tmp_path / "first", *few).exit_code == 0
    assert run("fisher", model, "-o", tmp_path / "second", *few, *options).exit_code == 0
    sentence = refused("fisher", "--merge", tmp_path / "first", tmp_path / "second", "-o", tmp_path / "merged")
    assert all(word in sentence for word in [*words, "collect all shards of one model in the same way"])


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ([], 2, "0 models given: name one MODEL"),
        (["MODEL", "MODEL", "DATA"], 2, "2 models given: name one MODEL"),
        (["--merge"], 2, "at least two statistics files, and 0 given"),
        (["--merge", "FILE"], 2, "at least two statistics files, and 1 given"),
        (["--merge", "FILE", "FILE"], 1, "is given more than once"),
        (["--merge", "FILE", "NOWHERE"], 1, "does not exist; make one with fwsvd-export fisher"),
        (["--merge", "FILE", "MODEL"], 1, "MODEL"),
        (["--merge", "FILE", "OTHER", "DATA"], 2, "--task is for collecting; --merge takes statistics files"),
        (["--merge", "FILE", "OTHER", "--labels", "data"], 2, "--labels is for collecting"),
        (["--merge", "FILE", "OTHER", "--shard", "1/1"], 2, "--shard is for collecting"),
        (["--merge", "FILE", "OTHER", "--no-samples"], 2, "is for collecting"),
        (["--merge", "FILE", "OTHER", "--device", "cpu"], 2, "--device is for collecting"),
        (["MODEL", "DATA", "--shard", "0/4"], 2, "'0/4' is not a shard: I/N with 1 <= I <= N is allowed"),
        (["MODEL", "DATA", "--shard", "5/4"], 2, "'5/4' is not a shard"),
        (["MODEL", "DATA", "--shard", "half"], 2, "'half' is not a shard"),
        (["MODEL", "DATA", "--shard", "49/49"], 1, "shard 49/49 of train.jsonl is empty: it has 48 rows"),
    ],
)
def test_options_of_shards_and_mergers(
    options: list[Any],
    code: int,
    words: str,
    data: list[object],
    tiny_folder: Path,
    statistics_file: Path,
    tmp_path: Path,
    refused: Refused,
) -> None:
    names: dict[str, Path] = {
        "MODEL": tiny_folder,
        "FILE": statistics_file,
        "OTHER": tmp_path / "other",
        "NOWHERE": tmp_path / "nowhere",
    }
    given = [word for option in options for word in (data if option == "DATA" else [names.get(option, option)])]
    words = str(tiny_folder) if words == "MODEL" else words
    assert words in refused("fisher", *given, "-o", tmp_path / "out", code=code)


def test_a_merger_replaces_a_file_only_when_asked(
    data: list[object], tiny_folder: Path, statistics_file: Path, tmp_path: Path, run: Run, refused: Refused
) -> None:
    words = ["fisher", tiny_folder, "-o", tmp_path / "other", *data, *ON_SHARDS]
    assert run(*words).exit_code == 0
    merge = ["fisher", "--merge", tmp_path / "other", statistics_file, "-o", tmp_path / "other"]
    before = file_sha256(tmp_path / "other")
    assert "--overwrite" in refused(*merge)
    assert file_sha256(tmp_path / "other") == before
    assert run(*merge, "--overwrite").exit_code == 0
    assert file_sha256(tmp_path / "other") != before


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("token_ids", lambda ids: ids + 25, "has input_ids up to"),
        ("token_ids", lambda ids: ids[:-1], "the calibration sample is damaged: token_ids has"),
        ("token_ids", lambda ids: ids.float(), "the calibration sample is damaged: token_ids is a torch.float32"),
        ("token_ids", lambda ids: None, "damaged or cut short"),
        ("lengths", lambda lengths: None, "damaged or cut short"),
        ("lengths", lambda lengths: -lengths, "the calibration sample is damaged"),
        ("lengths", lambda lengths: lengths.sum()[None].int(), "a text of"),
        ("lengths", lambda lengths: lengths[:0], "the calibration sample is damaged: lengths is"),
        (
            "token_type_ids",
            lambda ids: torch.full_like(ids, 2),
            "has token_type_ids up to 2, and the model knows 0 to 1",
        ),
        ("position_ids", lambda ids: torch.full_like(ids, 64), "has position_ids up to 64"),
        ("attention_mask", torch.zeros_like, "there is no calibration data"),
    ],
)
def test_statistics_with_another_sample(
    name: str,
    change: Callable[[Tensor], Tensor | None],
    reason: str,
    tiny_folder: Path,
    statistics_file: Path,
    tmp_path: Path,
    refused: Refused,
) -> None:
    tensors = load_file(statistics_file)
    changed = change(tensors.get(f"sample.{name}", tensors["sample.token_ids"]))
    tensors = {key: tensor for key, tensor in tensors.items() if key != f"sample.{name}"}
    with safe_open(statistics_file, framework="pt") as stored:
        metadata = stored.metadata()
    added = {} if changed is None else {f"sample.{name}": changed.contiguous()}
    save_file({**tensors, **added}, tmp_path / "fisher.safetensors", metadata)
    words = ["--fisher", tmp_path / "fisher.safetensors", "--rank", 4]
    assert reason in refused("compress", tiny_folder, tmp_path / "out", *words)
