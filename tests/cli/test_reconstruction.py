"""compress --reconstruct: when layers are reconstructed on the data, what is said of it, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from transformers import AutoTokenizer

from fwsvd_export.solvers.table import SOLVERS
from fwsvd_export.storage.digest import file_sha256
from fwsvd_export.workflows import compress as workflow

Run = Callable[..., Result]
Refused = Callable[..., str]
Compress = Callable[..., dict[str, Any]]
EXAMPLES = 48
OTHERS = [name for name in SOLVERS if name != "kfac"]


@pytest.fixture
def data(data_file: Path) -> list[object]:
    return ["--task", "sst2", "--data", data_file]


@pytest.fixture(scope="module")
def tokens(tiny_folder: Path, data_file: Path) -> int:
    """Of the data file, without padding."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    texts = [json.loads(line)["sentence"] for line in data_file.read_text().splitlines()]
    return sum(len(ids) for ids in tokenizer(texts)["input_ids"])


@pytest.fixture
def compress(tiny_folder: Path, tmp_path: Path, succeed: Callable[..., str]) -> Compress:
    """A function that compresses the two-class model into tmp_path/name and gives the record it has written."""

    def compress(name: str, *options: object) -> dict[str, Any]:
        report = json.loads(succeed("compress", tiny_folder, tmp_path / name, *options, "--json"))
        record: dict[str, Any] = json.loads((tmp_path / name / "compression.json").read_text())
        assert report == {"output": str(tmp_path / name), **record}
        return record

    return compress


def digest(folder: Path) -> str:
    return file_sha256(folder / "model.safetensors")


def test_kfac_with_data_is_reconstructed_unless_asked_not_to(
    data: list[object], tokens: int, compress: Compress, tmp_path: Path
) -> None:
    expected = {"sequences": EXAMPLES, "tokens": tokens, "head_pull": None}
    assert compress("default", *data, "--rank", 6)["reconstruction"] == expected
    assert compress("asked", *data, "--rank", 6, "--reconstruct")["reconstruction"] == expected
    assert compress("not", *data, "--rank", 6, "--no-reconstruct")["reconstruction"] is None
    assert digest(tmp_path / "default") == digest(tmp_path / "asked") != digest(tmp_path / "not")


def test_with_enough_texts_the_head_is_fitted_too_and_the_summary_says_so(
    data_file: Path, tiny_folder: Path, tmp_path: Path, run: Run
) -> None:
    more = tmp_path / "more.jsonl"
    more.write_text(data_file.read_text() * 3)
    result = run("compress", tiny_folder, tmp_path / "out", "--task", "sst2", "--data", more, "--rank", 2)
    assert result.exit_code == 0, result.output
    assert "144 sequences of more.jsonl; pooler and head fitted too" in result.stdout
    record = json.loads((tmp_path / "out" / "compression.json").read_text())
    assert 0 < record["reconstruction"]["head_pull"] <= 0.1
    assert "pooler and head too" in (tmp_path / "out" / "README.md").read_text()


def test_layers_are_reconstructed_on_more_rows_than_the_statistics_take(
    data: list[object], data_file: Path, tiny_folder: Path, compress: Compress, tmp_path: Path, run: Run
) -> None:
    few = (*data, "--max-samples", 16, "--rank", 6)
    compress("few", *few)
    record = compress("more", *few, "--reconstruct-samples", EXAMPLES)
    assert record["fisher"]["examples"] == 16
    assert record["reconstruction"]["sequences"] == EXAMPLES
    same = compress("same", *few, "--reconstruct-samples", 16)
    assert same["reconstruction"]["sequences"] == 16
    assert digest(tmp_path / "same") == digest(tmp_path / "few") != digest(tmp_path / "more")
    rows = [json.loads(line) for line in data_file.read_text().splitlines()]
    unlabelled = tmp_path / "rows.jsonl"
    unlabelled.write_text("".join(json.dumps({"sentence": row["sentence"]}) + "\n" for row in rows))
    stored = ("--fisher", tmp_path / "statistics.safetensors", "--rank", 6)
    run("fisher", tiny_folder, *data, "--max-samples", 16, "-o", tmp_path / "statistics.safetensors")
    on_file = compress("file", *stored, "--task", "sst2", "--data", unlabelled, "--reconstruct-samples", EXAMPLES)
    assert on_file["reconstruction"]["sequences"] == EXAMPLES
    assert digest(tmp_path / "file") == digest(tmp_path / "more"), "no label of the other rows is read"


def test_what_a_target_is_measured_on_is_not_reconstructed_on(data: list[object], compress: Compress) -> None:
    words = (*data, "--max-samples", 24, "--max-drop", 0.9, "--confidence", 0.6, "--reconstruct-samples", EXAMPLES)
    record = compress("target", *words)
    assert record["gate"]["validation_examples"] == EXAMPLES - 24
    assert record["reconstruction"]["sequences"] == 24


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--rank", 6, "--reconstruct-samples", 0), "reconstruct_samples 0: a whole number of at least 1 is allowed"),
        (("--rank", 6, "--reconstruct-samples", 9, "--no-reconstruct"), "and no layer is reconstructed; leave it out"),
        (("--rank", 6, "--reconstruct-samples", 9, "--method", "svd"), "and no layer is reconstructed; leave it out"),
    ],
)
def test_rows_for_reconstruction_that_make_no_sense_are_refused(
    options: tuple[object, ...], sentence: str, data: list[object], tiny_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    assert sentence in refused("compress", tiny_folder, tmp_path / "out", *data, *options)
    assert not (tmp_path / "out").exists()


def test_a_statistics_file_alone_is_as_good_as_its_data(
    data: list[object], tokens: int, statistics_file: Path, compress: Compress, tmp_path: Path
) -> None:
    alone = compress("alone", "--fisher", statistics_file, "--rank", 6)
    beside = compress("beside", "--fisher", statistics_file, *data, "--rank", 6)
    compress("data", *data, "--rank", 6)
    assert (
        alone["reconstruction"]
        == beside["reconstruction"]
        == {"sequences": EXAMPLES, "tokens": tokens, "head_pull": None}
    )
    assert beside["fisher"] == alone["fisher"]
    assert beside["fisher"]["sha256"] == file_sha256(statistics_file)
    assert "statistics" not in beside["seconds"], "they are read, not collected"
    assert digest(tmp_path / "alone") == digest(tmp_path / "beside") == digest(tmp_path / "data")


@pytest.mark.parametrize("wanted", [[], ["--reconstruct"]])
def test_the_summary_says_what_layers_were_reconstructed_on_beside_a_statistics_file(
    wanted: list[str], data: list[object], statistics_file: Path, tiny_folder: Path, tmp_path: Path, run: Run
) -> None:
    cells = {}
    for name, words in {
        "file": ["--fisher", statistics_file, *wanted],
        "data": ["--fisher", statistics_file, *data, *wanted],
        "not": ["--fisher", statistics_file, "--no-reconstruct"],
        "fwsvd": ["--fisher", statistics_file, "--method", "fwsvd"],
    }.items():
        result = run("compress", tiny_folder, tmp_path / name, *words, "--rank", 6)
        assert result.exit_code == 0, result.output
        assert "Layers are not reconstructed" not in result.stderr
        (cells[name],) = [line for line in result.stdout.splitlines() if "layers reconstructed on" in line]
    assert "sequences in the statistics file" in cells["file"]
    assert "sequences of train.jsonl" in cells["data"]
    assert "nothing: not asked for" in cells["not"]
    assert "nothing: fwsvd does not do it" in cells["fwsvd"]


def test_a_statistics_file_without_texts_goes_on_without_reconstruction_and_says_so(
    without_texts: Path, data: list[object], compress: Compress, tiny_folder: Path, tmp_path: Path, run: Run
) -> None:
    result = run("compress", tiny_folder, tmp_path / "small", "--fisher", without_texts, "--rank", 6)
    assert result.exit_code == 0, result.output
    assert "nothing: no texts in the statistics file" in result.stdout
    (hinted,) = [line for line in result.stderr.splitlines() if line.startswith("Layers are not reconstructed")]
    for word in ("--no-samples", "earlier version", "give --data beside --fisher", "collect again"):
        assert word in hinted
    assert json.loads((tmp_path / "small" / "compression.json").read_text())["reconstruction"] is None
    compress("plain", *data, "--rank", 6, "--no-reconstruct")
    assert digest(tmp_path / "small") == digest(tmp_path / "plain")
    compress("beside", "--fisher", without_texts, *data, "--rank", 6)
    compress("data", *data, "--rank", 6)
    assert digest(tmp_path / "beside") == digest(tmp_path / "data")


@pytest.fixture(scope="module")
def without_texts(tiny_folder: Path, data_file: Path, tmp_path_factory: pytest.TempPathFactory, run: Run) -> Path:
    """Statistics of the two-class model without texts. Do not write into it."""
    file = tmp_path_factory.mktemp("statistics") / "without.safetensors"
    words = ["--task", "sst2", "--data", data_file, "--no-samples"]
    assert run("fisher", tiny_folder, "-o", file, *words).exit_code == 0
    return file


def test_data_beside_a_statistics_file_needs_no_labels(
    statistics_file: Path, data_file: Path, write_rows: Callable[..., Path], compress: Compress, tmp_path: Path
) -> None:
    rows = [{"text": json.loads(line)["sentence"]} for line in data_file.read_text().splitlines()]
    unlabelled = ["--task", "text", "--data", write_rows(rows)]
    labelled = ["--task", "sst2", "--data", data_file]
    for name, given in (("unlabelled", unlabelled), ("labelled", labelled)):
        compress(name, "--fisher", statistics_file, *given, "--rank", 6)
    assert digest(tmp_path / "unlabelled") == digest(tmp_path / "labelled")


@pytest.mark.parametrize("method", OTHERS)
def test_other_methods_are_not_reconstructed(method: str, data: list[object], compress: Compress) -> None:
    assert compress("small", *data, "--max-samples", 4, "--method", method, "--rank", 4)["reconstruction"] is None


@pytest.mark.parametrize("size", [["--ratio", 0.4], ["--ratio", 0.4, "--allocate", "uniform"], ["--params", "12K"]])
def test_every_way_of_sharing_a_budget_is_reconstructed(
    size: list[object], data: list[object], compress: Compress, tmp_path: Path
) -> None:
    reconstructed = compress("reconstructed", *data, *size)
    plain = compress("plain", *data, *size, "--no-reconstruct")
    assert reconstructed["reconstruction"]["sequences"] == EXAMPLES
    assert reconstructed["layers"] == plain["layers"]
    assert digest(tmp_path / "reconstructed") != digest(tmp_path / "plain")


def test_the_same_command_gives_the_same_bytes(data: list[object], compress: Compress, tmp_path: Path) -> None:
    for name in ("first", "again"):
        compress(name, *data, "--ratio", 0.3)
    assert digest(tmp_path / "first") == digest(tmp_path / "again")


@pytest.mark.parametrize(
    ("options", "row"), [([], "{tokens} tokens"), (["--no-reconstruct"], "nothing: not asked for")]
)
def test_the_summary_says_what_layers_were_reconstructed_on(
    options: list[str], row: str, data: list[object], tokens: int, tiny_folder: Path, tmp_path: Path, run: Run
) -> None:
    result = run("compress", tiny_folder, tmp_path / "small", *data, "--rank", 6, *options)
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.stdout.splitlines() if "layers reconstructed on" in line]
    assert row.format(tokens=f"{tokens:,}") in line


@pytest.mark.parametrize("method", OTHERS)
def test_reconstruction_is_refused_for_methods_without_a_gradient_norm(
    method: str, data: list[object], tiny_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    words = ["compress", tiny_folder, tmp_path / "out", *data, "--method", method, "--rank", 4, "--reconstruct"]
    sentence = refused(*words)
    for word in ("reconstruction", f"method {method} does not have", "use --method kfac", "leave out --reconstruct"):
        assert word in sentence


def test_reconstruction_without_data_is_refused(
    without_texts: Path, tiny_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    words = ["compress", tiny_folder, tmp_path / "out", "--rank", 4, "--reconstruct"]
    sentence = refused(*words)
    for word in ("reconstruction needs calibration data", "give --data", "leave out --reconstruct"):
        assert word in sentence
    sentence = refused(*words, "--fisher", without_texts)
    for word in (
        "reconstruction needs",
        "hold no texts",
        "--no-samples",
        "give --data beside --fisher",
        "collect again",
    ):
        assert word in sentence
    assert sentence.endswith("or leave out --reconstruct")


def test_refusals_come_before_the_model_is_loaded(
    data: list[object],
    statistics_file: Path,
    without_texts: Path,
    tmp_path: Path,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(workflow, "load_dense")
    words = ["compress", tmp_path / "nowhere", tmp_path / "out", "--fisher", statistics_file, "--rank", 4]
    assert "leave --labels out" in refused(*words, *data, "--labels", "sampled")
    assert "reconstruction needs calibration data" in refused(*words[:-3], without_texts, *words[-2:], "--reconstruct")
    assert "use --method kfac" in refused(*words, "--reconstruct", "--method", "svd")


@pytest.fixture
def others(write_rows: Callable[..., Path], make_sentences: Callable[..., list[str]]) -> Path:
    """Rows that are in no other file."""
    texts = make_sentences(60, seed=9)
    return write_rows([{"sentence": text, "label": index % 2} for index, text in enumerate(texts)])


@pytest.mark.parametrize("given", ["data", "statistics and data"])
def test_trials_of_an_accuracy_target_are_reconstructed(
    given: str, data: list[object], others: Path, statistics_file: Path, compress: Compress, tmp_path: Path
) -> None:
    source = [*(["--fisher", statistics_file] if given != "data" else []), *data]
    words = [*source, "--validation", others, "--max-drop", 0.2]
    record = compress("small", *words)
    kept = [trial for trial in record["gate"]["trials"] if trial["kept"]]
    assert record["reconstruction"]["sequences"] == EXAMPLES
    assert len(record["gate"]["trials"]) > 2
    ratio = min(trial["ratio"] for trial in kept)
    compress("asked", *source, "--ratio", ratio)
    assert digest(tmp_path / "small") == digest(tmp_path / "asked"), "the model tried is the one --ratio gives"
    plain = compress("plain", *data, "--validation", others, "--max-drop", 0.2, "--no-reconstruct")
    assert plain["reconstruction"] is None
    assert plain["gate"]["trials"] != record["gate"]["trials"]


def test_an_accuracy_target_is_reconstructed_on_rows_that_it_is_not_measured_on(
    others: Path, statistics_file: Path, compress: Compress
) -> None:
    words = ["--fisher", statistics_file, "--task", "sst2", "--data", others, "--max-drop", 0.2]
    record = compress("small", *words)
    assert record["reconstruction"]["sequences"] == 48
    assert record["gate"]["validation_examples"] <= 12


def test_an_accuracy_target_is_not_measured_on_texts_that_the_statistics_hold(
    data_file: Path, others: Path, statistics_file: Path, write_rows: Callable[..., Path], compress: Compress
) -> None:
    both = [json.loads(line) for file in (data_file, others) for line in file.read_text().splitlines()]
    sentences = {row["sentence"] for row in both[:EXAMPLES]}
    unseen = sum(row["sentence"] not in sentences for row in both)
    words = ["--fisher", statistics_file, "--task", "sst2", "--validation", write_rows(both), "--max-drop", 0.2]
    record = compress("small", *words)
    assert record["gate"]["validation_examples"] == unseen >= 50
    assert record["reconstruction"]["sequences"] == EXAMPLES


def test_an_accuracy_target_is_not_measured_on_what_the_statistics_came_from(
    data: list[object], statistics_file: Path, tiny_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    words = ["compress", tiny_folder, tmp_path / "out", "--fisher", statistics_file, *data, "--max-drop", 0.2]
    sentence = refused(*words)
    for word in ("train.jsonl is what the statistics were collected on", "--validation", "--data without --fisher"):
        assert word in sentence


@pytest.mark.parametrize(
    ("options", "hinted"),
    [(["--max-samples", 4], True), ([], False), (["--max-samples", 4, "--no-reconstruct"], False)],
)
def test_few_tokens_for_reconstruction_are_reported(
    options: list[object], hinted: bool, data: list[object], tiny_folder: Path, tmp_path: Path, run: Run
) -> None:
    result = run("compress", tiny_folder, tmp_path / "small", *data, "--rank", 4, *options)
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "small" / "compression.json").read_text())
    hints = [line for line in result.stderr.splitlines() if line.startswith("Reconstructed on only")]
    assert len(hints) == hinted
    for hint in hints:
        for word in (f"{record['reconstruction']['tokens']} tokens", "(64)", "give more data", "--no-reconstruct"):
            assert word in hint
