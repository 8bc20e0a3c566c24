"""Whatever is wrong ends in one sentence that says what to do, and leaves nothing behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from safetensors.torch import load_file, save_file

from fwsvd_export.architectures.registry import FAMILIES

Run = Callable[..., Result]
Refused = Callable[..., str]
WriteRows = Callable[[list[dict[str, Any]]], Path]
Changed = Callable[..., Path]

SVD = ("--method", "svd", "--rank", 4)
FWSVD = ("--fisher", "FISHER", "--method", "fwsvd", "--rank", 4)


def test_a_folder_without_a_model(tmp_path: Path, refused: Refused) -> None:
    assert "has no config.json" in refused("compress", tmp_path, tmp_path / "out", *SVD)


def test_a_file_or_a_missing_folder(data_file: Path, tmp_path: Path, refused: Refused) -> None:
    for source in (data_file, tmp_path / "nowhere", "./nowhere", "some/where/else"):
        assert "is not a folder" in refused("compress", source, tmp_path / "out", *SVD)


def test_a_name_that_is_neither_a_folder_nor_on_the_hub(tmp_path: Path, refused: Refused) -> None:
    assert "no folder here" in refused("inspect", "no-such-model")
    assert "neither a folder nor the id" in refused("inspect", "no such model!")


def test_pickled_weights(tiny_folder: Path, tmp_path: Path, refused: Refused) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_folder, model)
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    sentence = refused("compress", model, tmp_path / "out", *SVD)
    assert "never read" in sentence
    assert "safetensors" in sentence


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "gpt2"}, ["'gpt2' is not supported", "supported: ", *FAMILIES]),
        ({"model_type": None}, ["not supported", "supported: ", *FAMILIES]),
        ({"model_type": "distilbert"}, ["cannot be read", "dim is 768 by config.json and 32 by the weights"]),
        ({"architectures": ["BertLMHeadModel"]}, ["BertLMHeadModel is not supported", "BertForSequenceClassification"]),
        ({"position_embedding_type": "relative_key"}, ["relative_key", "absolute"]),
        ({"is_decoder": True}, ["decoder"]),
        ({"hidden_size": 33}, ["cannot be read"]),
        ({"hidden_size": 64}, ["cannot be read"]),
        ({"hidden_size": "wide"}, ["cannot be read"]),
        ({"architectures": ["BertForTokenClassification"], "num_labels": 9}, ["cannot be read"]),
        ({"architectures": ["BertForQuestionAnswering"]}, ["lack qa_outputs.bias, qa_outputs.weight"]),
    ],
)
def test_configurations_that_do_not_fit(
    config: dict[str, Any], words: list[str], changed_model: Changed, tmp_path: Path, refused: Refused
) -> None:
    sentence = refused("compress", changed_model(**config), tmp_path / "out", *SVD)
    for word in words:
        assert word in sentence


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00\xff", '{"model_type": "bert"'])
def test_a_damaged_configuration(text: str, changed_model: Changed, tmp_path: Path, refused: Refused) -> None:
    model = changed_model()
    (model / "config.json").write_text(text, encoding="latin-1")
    assert "config.json" in refused("compress", model, tmp_path / "out", *SVD)


@pytest.mark.parametrize("part", [0.0, 0.001, 0.01, 0.5, 0.999])
def test_weights_cut_short(part: float, changed_model: Changed, tmp_path: Path, refused: Refused) -> None:
    model = changed_model()
    weights = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(weights[: int(part * len(weights))])
    assert "cannot be read" in refused("compress", model, tmp_path / "out", *SVD)


def test_weights_without_the_classifier(changed_model: Changed, tmp_path: Path, refused: Refused) -> None:
    model = changed_model()
    weights = load_file(model / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith("classifier")}
    save_file(kept, model / "model.safetensors", metadata={"format": "pt"})
    for command in (["compress", model, tmp_path / "out", *SVD], ["inspect", model]):
        assert "lack classifier.bias, classifier.weight, which BertForSequenceClassification has" in refused(*command)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["bert.encoder.layer.1.output.dense.weight", "classifier.bias"])
def test_weights_that_are_not_finite(
    name: str, value: float, changed_model: Changed, tmp_path: Path, refused: Refused
) -> None:
    model = changed_model()
    weights = load_file(model / "model.safetensors")
    weights[name].view(-1)[0] = value
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    assert name in refused("compress", model, tmp_path / "out", *SVD)


@pytest.mark.parametrize("kept", [set(), {"tokenizer_config.json"}])
def test_a_tokenizer_without_its_vocabulary(
    kept: set[str], changed_model: Changed, data_file: Path, tmp_path: Path, refused: Refused
) -> None:
    model = changed_model()
    for path in model.iterdir():
        if path.name not in kept | {"config.json", "model.safetensors"}:
            path.unlink()
    data = ["--task", "sst2", "--data", data_file]
    assert "no tokenizer with a vocabulary" in refused("compress", model, tmp_path / "out", *data, "--rank", 4)


def test_a_compressed_model_names_the_model_to_compress_instead(
    tiny_folder: Path, compressed_folder: Path, data_file: Path, tmp_path: Path, refused: Refused
) -> None:
    data = ["--task", "sst2", "--data", data_file]
    for command in (
        ["compress", compressed_folder, tmp_path / "out", *SVD],
        ["fisher", compressed_folder, "-o", tmp_path / "out", *data],
    ):
        sentence = refused(*command)
        assert "already compressed" in sentence
        assert f"compress its base, {tiny_folder.name}, again" in sentence


def test_densify_of_a_dense_model(tiny_folder: Path, tmp_path: Path, refused: Refused) -> None:
    assert "not compressed" in refused("densify", tiny_folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"text": "good", "label": 1}], ["no column 'sentence'", "text, label", "--text-column"]),
        ([{"sentence": "good"}], ["no column 'label'", "it has sentence"]),
        ([{"sentence": "good", "label": 0}, {"sentence": "bad", "label": 2}], ["row 2", "label 2", "0 to 1"]),
        ([{"sentence": "good", "label": -1}], ["row 1", "label -1"]),
        ([{"sentence": "good", "label": 0.5}], ["row 1", "label 0.5"]),
        ([{"sentence": "good", "label": "great"}], ["row 1", "label 'great'", "0 to 1", "--label-map"]),
        (
            [{"sentence": "good", "label": 1}, {"sentence": "bad", "label": None}],
            ["row 2", "column 'label' is empty", "--on-bad-row skip"],
        ),
        ([{"sentence": 5, "label": 1}], ["row 1", "'sentence' holds 5", "a text is needed"]),
        (
            [{"sentence": "good", "label": 1}, {"sentence": None, "label": 1}],
            ["row 2", "column 'sentence' is empty", "--on-bad-row skip"],
        ),
    ],
)
def test_rows_that_do_not_fit(
    rows: list[dict[str, Any]],
    words: list[str],
    write_rows: WriteRows,
    tiny_folder: Path,
    tmp_path: Path,
    refused: Refused,
) -> None:
    data = ["--task", "sst2", "--data", write_rows(rows)]
    sentences = [
        refused("compress", tiny_folder, tmp_path / "out", *data, "--rank", 4),
        refused("evaluate", tiny_folder, *data),
    ]
    assert all(word in sentence for word in words for sentence in sentences)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([1.5, float("nan")], "row 2"),
        (["high", "low"], "row 1: label 'high' is not a finite number"),
        ([None, 1.0], "row 1"),
    ],
)
def test_regression_labels_that_are_no_numbers(
    labels: list[Any], words: str, regression_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("sentence1,sentence2,label\n" + "".join(f"good,bad,{'' if v is None else v}\n" for v in labels))
    assert words in refused("evaluate", regression_folder, "--task", "stsb", "--data", file)


def test_a_task_of_another_kind_of_label(
    tiny_folder: Path, regression_folder: Path, data_file: Path, refused: Refused
) -> None:
    columns = ["--data", data_file, "--text-column", "sentence"]
    assert "with 2 outputs" in refused("evaluate", tiny_folder, "--task", "regression", *columns)
    assert "with one output" in refused("evaluate", regression_folder, "--task", "classification", *columns)
    assert "no labels" in refused("evaluate", tiny_folder, "--task", "text", *columns)
    assert "one class per word" in refused(
        "evaluate", tiny_folder, "--task", "ner", "--label-column", "label", *columns
    )


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--rank", 4], 1, "kfac needs statistics: give task data or a statistics file"),
        (["--rank", 4, "--data", "DATA"], 2, "--task is missing: one of sst2"),
        (["--rank", 4, "--data", "DATA", "--task", "sst3"], 2, "'sst3': one of sst2"),
        (["--rank", 4, "--data", "DATA", "--dataset", "glue:sst2", "--task", "sst2"], 1, "exactly one of --data"),
        (
            ["--rank", 4, "--fisher", "FISHER", "--labels", "sampled"],
            1,
            "collected with labels data; leave --labels out",
        ),
        (
            ["--rank", 4, "--fisher", "FISHER", "--temperature", 1],
            1,
            "--temperature 1 is given, and the statistics file was collected with temperature 4; leave --temperature",
        ),
        (
            ["--rank", 4, "--data", "DATA", "--task", "sst2", "--temperature", 0],
            1,
            "temperature 0: a number above 0 is allowed",
        ),
        (["--rank", 4, "--data", "DATA", "--task", "sst2", "--max-samples", 0], 1, "max_samples 0"),
        (
            ["--rank", 4, "--data", "DATA", "--task", "sst2", "--labels", "guessed"],
            2,
            "'guessed': one of data, sampled",
        ),
        (
            ["--fisher", "FISHER"],
            2,
            "no size given: give exactly one of --ratio, --rank, --params and --max-drop",
        ),
        (["--fisher", "FISHER", "--rank", 4, "--ratio", 0.5], 1, "ratio and rank given: give exactly one"),
        (["--fisher", "FISHER", "--ratio", 0], 1, "ratio 0: "),
        (["--fisher", "FISHER", "--ratio", 1.5], 1, "ratio 1.5: "),
        (["--fisher", "FISHER", "--ratio", -1], 1, "ratio -1: "),
        (["--fisher", "FISHER", "--ratio", "nan"], 1, "ratio nan: "),
        (["--fisher", "FISHER", "--ratio", "half"], 2, "'half'"),
        (["--fisher", "FISHER", "--ratio", 0.001], 1, "ask for a ratio of at least"),
        (["--fisher", "FISHER", "--rank", 0], 1, "rank 0: "),
        (["--fisher", "FISHER", "--rank", 33], 1, "encoder.layer.0.attention.self.query: at most 32"),
        (["--fisher", "FISHER", "--params", "many"], 2, "write 20_000_000, 20M, .5M or 2e7"),
        (["--fisher", "FISHER", "--params", "-5"], 2, "'-5'"),
        (["--fisher", "FISHER", "--params", 0], 1, "params 0: "),
        (["--fisher", "FISHER", "--params", "1K"], 1, "parameters"),
        (["--fisher", "FISHER", "--rank", 4, "--method", "magic"], 2, "'magic': one of svd"),
        ([*FWSVD, "--fisher-axis", "up"], 2, "'up': one of input, output"),
        (["--fisher", "FISHER", "--rank", 4, "--fisher-axis", "input"], 1, "for method fwsvd, and the method is kfac"),
        ([*FWSVD, "--fisher-axis", "output", "--solver-option", "axis=input"], 1, "contradict each other; give one"),
        ([*FWSVD, "--solver-option", "axis=up"], 1, "axis=up: input or output is allowed"),
        (["--fisher", "FISHER", "--rank", 4, "--allocate", "fairly"], 2, "'fairly': one of greedy, uniform"),
        (["--fisher", "FISHER", "--rank", 4, "--device", "abacus"], 2, "device 'abacus': one of auto, cpu, cuda"),
        (["--fisher", "FISHER", "--rank", 4, "--dtype", "int8"], 2, "'int8'"),
        (["--fisher", "NOWHERE", "--rank", 4], 1, "does not exist; make one with fwsvd-export fisher"),
    ],
)
def test_options_of_compress(
    options: list[Any],
    code: int,
    words: str,
    tiny_folder: Path,
    data_file: Path,
    statistics_file: Path,
    tmp_path: Path,
    refused: Refused,
) -> None:
    files = {"DATA": data_file, "FISHER": statistics_file, "NOWHERE": tmp_path / "nowhere.safetensors"}
    options = [files.get(option, option) for option in options]
    assert words in refused("compress", tiny_folder, tmp_path / "out", *options, code=code)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ([], 2, "no data given"),
        (["--collect", "everything"], 2, "'everything': one of kfac, row, element"),
        (["--collect", ""], 2, "choose one or more of kfac, row, element"),
        (["--labels", "guessed"], 2, "'guessed': one of data, sampled"),
    ],
)
def test_options_of_fisher(
    options: list[str], code: int, words: str, tiny_folder: Path, data_file: Path, tmp_path: Path, refused: Refused
) -> None:
    data = ["--task", "sst2", "--data", data_file] if options else []
    assert words in refused("fisher", tiny_folder, "-o", tmp_path / "out", *data, *options, code=code)


def test_cuda_without_a_cuda_device(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "no CUDA device" in refused("compress", tiny_folder, tmp_path / "out", *SVD, "--device", "cuda")


def test_statistics_of_another_model(
    statistics_file: Path, tmp_path: Path, changed_model: Changed, refused: Refused
) -> None:
    model = changed_model()
    weights = load_file(model / "model.safetensors")
    weights["classifier.bias"] += 1
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    arguments = ["--fisher", statistics_file, "--rank", 4]
    assert "belong to another model" in refused("compress", model, tmp_path / "out", *arguments)


@pytest.mark.parametrize("cut", [0, 7, 8, 100, 5000, -1])
def test_statistics_cut_short(
    cut: int, tiny_folder: Path, statistics_file: Path, tmp_path: Path, refused: Refused
) -> None:
    file = tmp_path / "cut.safetensors"
    file.write_bytes(statistics_file.read_bytes()[:cut])
    sentence = refused("compress", tiny_folder, tmp_path / "out", "--fisher", file, "--rank", 4)
    assert "damaged or cut short" in sentence
    assert "collect again" in sentence


def test_files_that_hold_no_statistics(tiny_folder: Path, tmp_path: Path, refused: Refused) -> None:
    garbage = tmp_path / "garbage.safetensors"
    garbage.write_bytes(bytes(range(256)) * 40)
    arguments = ["compress", tiny_folder, tmp_path / "out", "--rank", 4, "--fisher"]
    assert "damaged" in refused(*arguments, garbage)
    assert "is no statistics file" in refused(*arguments, tiny_folder / "model.safetensors")


@pytest.mark.parametrize(
    ("collected", "method", "needed"),
    [("kfac", "fwsvd", "row"), ("kfac,row", "em", "element"), ("row", "als", "element"), ("element", "kfac", "kfac")],
)
def test_statistics_without_what_the_method_needs(
    collected: str,
    method: str,
    needed: str,
    tiny_folder: Path,
    data_file: Path,
    tmp_path: Path,
    run: Run,
    refused: Refused,
) -> None:
    file = tmp_path / "fisher.safetensors"
    data = ["--task", "sst2", "--data", data_file, "--max-samples", 4]
    assert run("fisher", tiny_folder, "-o", file, *data, "--collect", collected).exit_code == 0
    sentence = refused("compress", tiny_folder, tmp_path / "out", "--fisher", file, "--method", method, "--rank", 4)
    held = collected.replace(",", ", ")
    assert f"method {method} needs {needed} statistics, and these hold {held};" in sentence
    again = sentence.rsplit(" ", 1)[1]
    assert again == f"{collected},{needed}"
    assert run("fisher", tiny_folder, "-o", file, *data, "--collect", again, "--overwrite").exit_code == 0
    options = ["--fisher", file, "--method", method, "--rank", 4]
    assert run("compress", tiny_folder, tmp_path / "out", *options).exit_code == 0


def test_outputs_that_exist_or_have_no_parent(
    tiny_folder: Path, compressed_folder: Path, data_file: Path, tmp_path: Path, refused: Refused
) -> None:
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    (folder / "notes.txt").write_text("keep me")
    file.write_text("keep me")
    for out, words in ((folder, "--overwrite"), (file, "--overwrite"), (tmp_path / "no" / "out", "does not exist")):
        assert words in refused("compress", tiny_folder, out, *SVD)
        assert words in refused("densify", compressed_folder, out)
        assert words in refused("fisher", tiny_folder, "-o", out, "--task", "sst2", "--data", data_file)
    assert file.read_text() == (folder / "notes.txt").read_text() == "keep me"


def test_verbose_shows_the_traceback(tmp_path: Path, run: Run) -> None:
    result = run("-v", "inspect", tmp_path)
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("Error: ")


def test_an_unexpected_error_is_one_sentence_too(monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    def stumble(*arguments: object, **options: object) -> None:
        raise RuntimeError("Error(s) in something:\n\tthe reason")

    monkeypatch.setattr("fwsvd_export.workflows.inspect.inspect_checkpoint", stumble)
    assert "RuntimeError: Error(s) in something: the reason (not expected here; -v shows where)" in refused(
        "inspect", "anything"
    )


def test_the_model_that_comes_in_is_never_replaced(tiny_folder: Path, tmp_path: Path, refused: Refused) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_folder, model)
    sentence = refused("compress", model, model, "--overwrite", *SVD)
    assert "the model that comes in, which is never replaced" in sentence


def test_a_size_that_cannot_be_met_fails_before_data_is_read(
    tiny_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    missing = ("--task", "sst2", "--data", tmp_path / "missing.jsonl")
    assert "at most 32 (its smaller side)" in refused(
        "compress", tiny_folder, tmp_path / "out", "--rank", 900, *missing
    )
