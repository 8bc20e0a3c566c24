"""compress --max-drop: the smallest model within an accuracy target on validation data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from transformers import AutoTokenizer

from fwsvd_export.storage.digest import file_sha256
from fwsvd_export.workflows import compress
from fwsvd_export.workflows import fisher as workflow

Run = Callable[..., Result]
Refused = Callable[..., str]
ROWS = 400
FEW_ROWS = 120  # of which 24 are held out: too few to be sure of a drop below 14 %
UNIFORM_STEP = (8 * 64 + 4 * 96) / 16384  # of the ratio, from one common rank to the next


@pytest.fixture(scope="session")
def answered(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, list[str]], Path]:
    """A function that writes texts with the dense model's own answers as labels: its accuracy is 1."""
    from transformers import BertForSequenceClassification

    model = BertForSequenceClassification.from_pretrained(tiny_folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)

    def write(name: str, texts: list[str]) -> Path:
        with torch.no_grad():
            answers = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.argmax(dim=-1).tolist()
        rows = [{"sentence": text, "label": label} for text, label in zip(texts, answers, strict=True)]
        file = tmp_path_factory.mktemp("answered") / name
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return file

    return write


@pytest.fixture
def train(answered: Callable[[str, list[str]], Path], make_sentences: Callable[..., list[str]]) -> Path:
    return answered("answered.jsonl", make_sentences(ROWS, seed=1))


@pytest.fixture
def few(answered: Callable[[str, list[str]], Path], make_sentences: Callable[..., list[str]]) -> Path:
    return answered("few.jsonl", make_sentences(FEW_ROWS, seed=1))


@pytest.fixture
def held_out(answered: Callable[[str, list[str]], Path], make_sentences: Callable[..., list[str]]) -> Path:
    """Other texts, and one of the training texts."""
    return answered("held-out.jsonl", [*make_sentences(80, seed=2), make_sentences(ROWS, seed=1)[-1]])


def record_of(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "compression.json").read_text())
    return record


def assert_met(record: dict[str, Any], max_drop: float) -> None:
    """The search ended at the smallest trial that met the target, and that is the model."""
    gate = record["gate"]
    assert (gate["max_drop"], gate["metric"], gate["dense"], gate["kept"]) == (max_drop, "accuracy", 1.0, True)
    assert gate["confidence"] == 0.95
    assert all(trial["kept"] == (trial["low"] >= -max_drop) for trial in gate["trials"])
    assert all(trial["low"] <= trial["value"] - 1.0 <= trial["high"] <= 0 for trial in gate["trials"])
    smallest = min(trial["ratio"] for trial in gate["trials"] if trial["kept"])
    assert smallest - UNIFORM_STEP <= record["parameters"]["ratio"] <= smallest < 1
    assert record["asked"]["ratio"] is None


def test_rows_of_the_data_are_held_out_for_validation(train: Path, tiny_folder: Path, tmp_path: Path, run: Run) -> None:
    words = ["--task", "sst2", "--data", train, "--max-drop", 0.1]
    result = run("compress", tiny_folder, tmp_path / "small", *words)
    assert result.exit_code == 0, result.output
    record = record_of(tmp_path / "small")
    assert_met(record, 0.1)
    assert (record["fisher"]["examples"], record["gate"]["validation"]) == (320, "answered.jsonl")
    assert 60 <= record["gate"]["validation_examples"] <= 80
    assert {"load", "statistics", "solve", "trials"} <= record["seconds"].keys()
    assert "(may drop by 0.1)" in result.stdout
    for trial in record["gate"]["trials"]:
        row = next(line for line in result.stdout.splitlines() if f"ratio {trial['ratio']:.3f}" in line)
        change = f"({trial['value'] - 1:+.4f} [{trial['low']:+.4f}, {trial['high']:+.4f}])"
        assert f"{trial['value']:.4f} {change} {'met' if trial['kept'] else 'missed'}" in row


def test_calibration_takes_its_samples_and_validation_the_rest(
    train: Path, tiny_folder: Path, tmp_path: Path, succeed: Callable[..., str]
) -> None:
    data = ["--task", "sst2", "--data", train, "--max-samples", 40, "--seed", 3]
    succeed("compress", tiny_folder, tmp_path / "small", *data, "--max-drop", 0.2)
    record = record_of(tmp_path / "small")
    assert_met(record, 0.2)
    assert record["fisher"]["examples"] == 40
    assert 300 < record["gate"]["validation_examples"] <= 360
    ratio = min(trial["ratio"] for trial in record["gate"]["trials"] if trial["kept"])
    succeed("compress", tiny_folder, tmp_path / "asked", *data, "--ratio", ratio)
    first, asked = (file_sha256(tmp_path / name / "model.safetensors") for name in ("small", "asked"))
    assert first == asked, "the statistics come from the rows that --max-samples alone chooses"


def test_validation_data_is_used_without_what_calibration_has_seen(
    train: Path, held_out: Path, tiny_folder: Path, tmp_path: Path, succeed: Callable[..., str]
) -> None:
    words = ["--task", "sst2", "--data", train, "--validation", held_out, "--max-drop", 0.1]
    report = json.loads(succeed("compress", tiny_folder, tmp_path / "small", *words, "--json"))
    assert report == {"output": str(tmp_path / "small"), **record_of(tmp_path / "small")}
    assert_met(report, 0.1)
    seen = {json.loads(line)["sentence"] for line in train.read_text().splitlines()}
    unseen = [line for line in held_out.read_text().splitlines() if json.loads(line)["sentence"] not in seen]
    assert len(unseen) < 81
    assert (report["gate"]["validation"], report["gate"]["validation_examples"]) == ("held-out.jsonl", len(unseen))
    assert report["fisher"]["examples"] == ROWS


def test_a_target_is_measured_on_the_weights_that_are_saved(
    tiny_folder: Path, train: Path, tmp_path: Path, succeed: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scored, rounded = compress.scored, []

    def noted(model: Any, *arguments: Any) -> Any:
        rounded.append(all(torch.equal(values, values.bfloat16().float()) for values in model.parameters()))
        return scored(model, *arguments)

    monkeypatch.setattr(compress, "scored", noted)
    words = ["--task", "sst2", "--data", train, "--max-drop", 0.2, "--method", "svd", "--dtype", "bfloat16"]
    succeed("compress", tiny_folder, tmp_path / "small", *words)
    assert len(rounded) > 2
    assert all(rounded[1:]), "all but the dense model"


@pytest.mark.parametrize(("method", "max_drop"), [("kfac", 0.15), ("svd", 0.45)])
def test_a_statistics_file_goes_with_validation_data(
    method: str,
    max_drop: float,
    statistics_file: Path,
    held_out: Path,
    tiny_folder: Path,
    tmp_path: Path,
    succeed: Callable[..., str],
) -> None:
    words = ["--fisher", statistics_file, "--task", "sst2", "--validation", held_out, "--method", method]
    for name in ("small", "again"):
        succeed("compress", tiny_folder, tmp_path / name, *words, "--max-drop", max_drop)
    record = record_of(tmp_path / "small")
    assert_met(record, max_drop)
    assert record["gate"]["validation_examples"] == 81
    assert record["allocate"] == {"kfac": "greedy", "svd": "uniform"}[method]
    first, again = (file_sha256(tmp_path / name / "model.safetensors") for name in ("small", "again"))
    assert first == again


def test_svd_needs_no_more_than_validation_data(
    held_out: Path, tiny_folder: Path, tmp_path: Path, succeed: Callable[..., str]
) -> None:
    words = ["--method", "svd", "--task", "sst2", "--validation", held_out, "--max-drop", 0.15, "--rank-multiple", 4]
    succeed("compress", tiny_folder, tmp_path / "small", *words)
    record = record_of(tmp_path / "small")
    assert record["gate"]["kept"]
    assert record["fisher"] is None
    assert {layer["rank"] for layer in record["layers"]} <= {4, 8, 12, 16, 20, None}


@pytest.mark.parametrize("as_json", [True, False])
def test_an_accuracy_target_that_is_missed_writes_the_model_and_ends_with_three(
    as_json: bool, train: Path, tiny_folder: Path, tmp_path: Path, run: Run
) -> None:
    words = ["--task", "sst2", "--data", train, "--max-drop", 0, "--max-rank", 1, *(["--json"] if as_json else [])]
    result = run("compress", tiny_folder, tmp_path / "small", *words)
    assert result.exit_code == 3
    for word in ("target is missed", "at ratio 1", "accuracy", "more than 0"):
        assert word in result.stderr
    record = record_of(tmp_path / "small")
    gate = record["gate"]
    assert not gate["kept"]
    (trial,) = gate["trials"]
    assert (trial["ratio"], trial["kept"]) == (1.0, False)
    assert trial["value"] < gate["dense"] == 1.0
    assert {layer["rank"] for layer in record["layers"]} == {1}
    assert (tmp_path / "small" / "model.safetensors").is_file()
    if as_json:
        assert json.loads(result.stdout) == {"output": str(tmp_path / "small"), **record}


def test_a_target_without_any_drop_is_met_where_dense_layers_are_allowed(
    train: Path, tiny_folder: Path, tmp_path: Path, succeed: Callable[..., str]
) -> None:
    words = ["--task", "sst2", "--data", train, "--max-drop", 0]
    gate = json.loads(succeed("compress", tiny_folder, tmp_path / "small", *words, "--json"))["gate"]
    assert gate["kept"]
    assert gate["trials"][0] == {"ratio": 1.0, "value": 1.0, "kept": True, "low": 0.0, "high": 0.0}


# All layers but one stay dense, and that one loses little
NEARLY_DENSE = ["--max-rank", 20]
for pattern in ("encoder.layer.0.*", "encoder.layer.1.attention.*", "*.intermediate.*"):
    NEARLY_DENSE += ["--keep-dense", pattern]


def test_a_target_that_is_missed_for_want_of_examples_says_how_many_would_do(
    few: Path, tiny_folder: Path, tmp_path: Path, run: Run
) -> None:
    words = ["--task", "sst2", "--data", few, "--max-drop", 0.1, *NEARLY_DENSE]
    result = run("compress", tiny_folder, tmp_path / "small", *words)
    assert result.exit_code == 3
    gate = record_of(tmp_path / "small")["gate"]
    (trial,) = gate["trials"]
    change, examples = trial["value"] - 1.0, gate["validation_examples"]
    assert trial["low"] < -0.1 <= change
    assert (
        f"The accuracy target is missed: at ratio 1 accuracy changes by {change:+.4f}, which would do, but with "
        f"95 % confidence all that {examples} examples show is a change of no less than {trial['low']:+.4f}; about "
    ) in result.stderr
    assert " examples like these would be enough, or allow more with --max-drop.\n" in result.stderr


def test_the_model_is_as_small_as_the_confidence_allows(
    train: Path, held_out: Path, tiny_folder: Path, tmp_path: Path, succeed: Callable[..., str]
) -> None:
    words = ["--task", "sst2", "--data", train, "--validation", held_out, "--max-drop", 0.15]
    ratios = []
    for confidence in (0.55, 0.95, 0.999):
        out = tmp_path / str(confidence)
        succeed("compress", tiny_folder, out, *words, "--confidence", confidence)
        gate = record_of(out)["gate"]
        assert gate["confidence"] == confidence
        ratios.append(min(trial["ratio"] for trial in gate["trials"] if trial["kept"]))
    assert ratios == sorted(ratios)
    assert ratios[0] < ratios[-1]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["DATA", "--max-drop", 0.1, "--ratio", 0.5], 2, "give a size or --max-drop, not both"),
        (["DATA", "--max-drop", 0.1, "--rank", 4], 2, "give a size or --max-drop, not both"),
        (["DATA", "--max-drop", 0.1, "--params", "9K"], 2, "give a size or --max-drop, not both"),
        (["DATA", "--ratio", 0.5, "--validation", "HELD_OUT"], 2, "--validation is for --max-drop"),
        (["DATA", "--validation", "HELD_OUT"], 2, "no size given: give exactly one of --ratio, --rank, --params"),
        (["DATA", "--max-drop", "some"], 2, "'some'"),
        (["DATA", "--ratio", 0.5, "--confidence", 0.9], 2, "--confidence is for --max-drop, which is not given"),
        (["DATA", "--max-drop", 0.1, "--confidence", "sure"], 2, "'sure'"),
        (["DATA", "--max-drop", 0.1, "--confidence", 0.5], 1, "confidence 0.5: a number above 0.5 and below 1 is"),
        (["DATA", "--max-drop", 0.1, "--confidence", 95], 1, "confidence 95: a number above 0.5 and below 1 is"),
        (["DATA", "--max-drop", -0.1], 1, "max-drop -0.1: a number of at least 0 is allowed"),
        (["DATA", "--max-drop", "nan"], 1, "max-drop nan: a number of at least 0 is allowed"),
        (["DATA", "--max-drop", 0.1, "--method", "als"], 1, "method als solves one rank at a time; give --ratio"),
        (["DATA", "--max-drop", 0.1, "--method", "svd", "--allocate", "greedy"], 1, "use --method kfac"),
        (["DATA", "--max-drop", 0.1, "--keep-dense", "*.pooler"], 1, "matches no layer"),
        (["DATA", "--max-drop", 0.1, "--validation", "TRAIN"], 1, "all validation examples are also calibration"),
        (["DATA", "--max-drop", 0.1, "--validation", "NOWHERE"], 1, "does not exist"),
        (["--fisher", "FISHER", "--max-drop", 0.1], 1, "needs data to measure on: give --validation FILE"),
        (["--fisher", "FISHER", "--max-drop", 0.1, "--validation", "HELD_OUT"], 2, "--task is missing"),
        (
            ["--fisher", "FISHER", "--max-drop", 0.1, "--validation", "SEEN", "--task", "sst2"],
            1,
            "train.jsonl is what the statistics were collected on; give other data with --validation, or",
        ),
        (["--method", "svd", "--max-drop", 0.1], 1, "needs data to measure on: give --validation FILE"),
        (
            ["--method", "kfac", "--max-drop", 0.1, "--validation", "HELD_OUT", "--task", "sst2"],
            1,
            "kfac needs statistics: give task data or a statistics file",
        ),
    ],
)
def test_accuracy_targets_that_make_no_sense_are_refused(
    options: list[Any],
    code: int,
    words: str,
    train: Path,
    held_out: Path,
    data_file: Path,
    statistics_file: Path,
    tiny_folder: Path,
    tmp_path: Path,
    refused: Refused,
) -> None:
    files = {"TRAIN": train, "HELD_OUT": held_out, "FISHER": statistics_file, "SEEN": data_file}
    files["NOWHERE"] = tmp_path / "nowhere.jsonl"
    data = ["--task", "sst2", "--data", train]
    given = [word for option in options for word in (data if option == "DATA" else [files.get(option, option)])]
    assert words in refused("compress", tiny_folder, tmp_path / "out", *given, code=code)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--max-drop", -0.1], "max-drop -0.1"),
        (["--max-drop", 0.1, "--confidence", 2], "confidence 2"),
        (["--max-drop", 0.1, "--method", "als"], "method als solves one rank at a time"),
    ],
)
def test_accuracy_targets_that_cannot_be_searched_for_are_refused_before_any_long_work(
    options: list[Any],
    sentence: str,
    train: Path,
    tiny_folder: Path,
    tmp_path: Path,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(workflow, "collect_statistics")
    words = ["--task", "sst2", "--data", train, *options]
    assert sentence in refused("compress", tiny_folder, tmp_path / "out", *words)


@pytest.mark.parametrize("apart", [True, False])
def test_a_task_without_a_metric_is_refused_before_any_long_work(
    apart: bool,
    train: Path,
    held_out: Path,
    tiny_folder: Path,
    tmp_path: Path,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(workflow, "collect_statistics")
    words = ["--task", "text", "--text-column", "sentence", "--labels", "sampled", "--data", train, "--max-drop", 0.1]
    words += ["--validation", held_out] if apart else []
    assert refused("compress", tiny_folder, tmp_path / "out", *words) == (
        "Error: task text has no labels and no metric; choose one that has"
    )
