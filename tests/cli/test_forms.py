"""Every form in which a base lies on disk, and every head, goes through all commands, and what they wrote is true."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from safetensors.torch import load_file
from torch import Tensor

from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.hub.card.metadata import split_front_matter
from fwsvd_export.storage.digest import file_sha256
from tests.conftest import save_tokenizer, sentences, write_jsonl
from tests.helpers import HEADS, tiny_head

Run = Callable[..., Result]
RANK = 5
COMMIT = "0123456789abcdef" * 2 + "01234567"
NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
TAGS = {"id2label": dict(enumerate(NAMES)), "label2id": {name: number for number, name in enumerate(NAMES)}}
REGRESSION = {"num_labels": 1, "problem_type": "regression"}
# Form -> dtype of the weights on disk
FORMS = {
    "one file": "float32",
    "several files": "float32",
    "float16": "float16",
    "bfloat16": "bfloat16",
    "snapshot of the Hub's cache": "float32",
    "link to a folder": "float32",
    "read-only": "float32",
    "größer als 模型 (v1.0)": "float32",
}
READER = '''
import json, sys

class Blocked:
    """Makes every import of the package fail, wherever it is installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "fwsvd_export":
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())

import torch, transformers
from safetensors.torch import load_file, save_file

for job in json.loads(sys.argv[1]):
    model, info = getattr(transformers, job["auto_class"]).from_pretrained(
        job["folder"], trust_remote_code=True, output_loading_info=True
    )
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    with torch.no_grad():
        outputs = model.float().eval()(**load_file(job["inputs"])).to_tuple()
    save_file({str(number): tensor.contiguous() for number, tensor in enumerate(outputs)}, job["outputs"])
'''


@dataclass
class Case:
    """A base of one head in one form, and what the commands made of it.

    Attributes:
        class_name: of the base.
        form: how it lies on disk.
        settings: of its configuration.
        task: to evaluate on; None where the head has no metric.
        base: what the commands are given.
        small: what compress wrote.
        values: task metric of the base and of the compressed model.
    """

    class_name: str
    form: str
    settings: dict[str, Any] = field(default_factory=dict)
    task: str | None = None
    base: Path = Path()
    small: Path = Path()
    values: tuple[float, ...] = ()

    def __str__(self) -> str:
        return f"{self.class_name}{'-regression' if self.settings == REGRESSION else ''}, {self.form}"


def cases() -> Iterator[Case]:
    """Every head once, and regression; the forms in turn, so that each of them comes with two heads at least."""
    wanted: list[tuple[str, dict[str, Any], str | None]] = []
    for name in HEADS:
        if name.endswith("ForSequenceClassification"):
            wanted += [(name, {}, "sst2"), (name, REGRESSION, "stsb")]
        elif name.endswith("ForTokenClassification"):
            wanted.append((name, TAGS, "ner"))
        else:
            wanted.append((name, {}, None))
    forms = list(FORMS)
    wanted.sort(key=lambda case: case[2] is None)  # what can be measured comes in as many forms as there are
    for number, (name, settings, task) in enumerate(wanted):
        yield Case(name, forms[number % len(forms)], settings, task)


CASES = {str(case): case for case in cases()}


def test_every_form_and_every_head_are_there() -> None:
    assert {case.form for case in CASES.values()} == set(FORMS)
    assert {case.class_name for case in CASES.values()} == set(HEADS)
    assert {case.form for case in CASES.values() if case.task is not None} == set(FORMS)


def written(case: Case, place: Path) -> Path:
    """The base on disk, in its form."""
    folder = place / (case.form if "模型" in case.form else "my-model")
    model = tiny_head(case.class_name, **case.settings).to(getattr(torch, FORMS[case.form]))
    model.save_pretrained(folder, **({"max_shard_size": "20KB"} if case.form == "several files" else {}))
    save_tokenizer(folder)
    if case.form == "snapshot of the Hub's cache":
        return as_snapshot(folder, place / "models--somebody--my-model")
    if case.form == "link to a folder":
        (place / "latest").symlink_to(folder)
        return place / "latest"
    if case.form == "read-only":
        for file in folder.iterdir():
            file.chmod(0o444)
        folder.chmod(0o555)
    return folder


def as_snapshot(folder: Path, place: Path) -> Path:
    """The files as the Hub's client caches them: links, in a folder named by the commit, to files named by digest."""
    snapshot = place / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (place / "blobs").mkdir()
    for file in list(folder.iterdir()):
        blob = place / "blobs" / file_sha256(file)
        shutil.move(file, blob)
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    return snapshot


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Task -> rows with its columns."""
    place, texts = tmp_path_factory.mktemp("data"), sentences(12)
    rows: dict[str, list[dict[str, Any]]] = {
        "sst2": [{"sentence": text, "label": number % 2} for number, text in enumerate(texts)],
        "stsb": [
            {"sentence1": text, "sentence2": other, "label": 0.5 * number}
            for number, (text, other) in enumerate(zip(texts, texts[::-1], strict=True))
        ],
        "ner": [
            {"tokens": words, "ner_tags": [NAMES[at % len(NAMES)] for at in range(len(words))]}
            for words in map(str.split, texts)
        ],
    }
    return {task: write_jsonl(place / f"{task}.jsonl", found) for task, found in rows.items()}


@pytest.fixture(scope="module")
def made(run: Run, data: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Case]]:
    """Every case, once all commands have run."""
    done = {}
    for name, case in CASES.items():
        place = tmp_path_factory.mktemp("form")
        case.base, case.small = written(case, place), place / "small"
        through_all_commands(run, case, data)
        done[name] = case
    yield done
    for case in done.values():
        if case.form == "read-only":
            case.base.chmod(0o755)


def through_all_commands(run: Run, case: Case, data: dict[str, Path]) -> None:
    def succeed(*words: object) -> str:
        result = run(*words)
        assert result.exit_code == 0, f"{case}: {result.output}"
        return result.stdout

    succeed("compress", case.base, case.small, "--method", "svd", "--rank", RANK)
    results: list[object] = []
    if case.task is not None:
        for model in (case.base, case.small):
            found = json.loads(succeed("evaluate", model, "--task", case.task, "--data", data[case.task], "--json"))
            file = case.small.parent / f"result-{len(results)}.json"
            file.write_text(json.dumps(found))
            results += ["--results", file]
            case.values += (found["value"],)
    succeed("onnx", case.small, *(["--int8"] if case.form == "several files" else []))
    succeed("card", case.small, *results)
    with pytest.MonkeyPatch.context() as patch:  # one process loads all of them below
        patch.setattr("fwsvd_export.hub.verify.folder.check_loading", lambda *arguments: ())
        assert json.loads(succeed("push", case.small, "me/small", "--dry-run", "--json"))["findings"] == []


@pytest.fixture(scope="module")
def outputs(
    made: dict[str, Case], head_inputs: Callable[[str], dict[str, Tensor]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Tensor]]:
    """What one process without the package computes with each of them."""
    from safetensors.torch import save_file

    place, jobs = tmp_path_factory.mktemp("outputs"), []
    for number, case in enumerate(made.values()):
        save_file(head_inputs(case.class_name), place / f"{number}-inputs")
        auto_class = encoder_of(tiny_head(case.class_name, **case.settings)).head.auto_class
        job = {"folder": str(case.small), "auto_class": auto_class}
        jobs.append({**job, **{what: str(place / f"{number}-{what}") for what in ("inputs", "outputs")}})
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "HF_HOME": str(place / "home"),
        "HF_MODULES_CACHE": str(place / "modules"),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),  # sums are split the same way in both processes
    }
    command = [sys.executable, "-c", READER, json.dumps(jobs)]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {name: load_file(job["outputs"]) for name, job in zip(made, jobs, strict=True)}


def record_of(case: Case) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((case.small / "compression.json").read_text())
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_record_says_what_the_base_was(name: str, made: dict[str, Case]) -> None:
    case, record = made[name], record_of(made[name])
    files = {file.name: file for file in case.base.glob("*.safetensors")}
    assert (len(files) > 1) == (case.form == "several files")
    assert {at: entry["sha256"] for at, entry in record["base_files"].items()} == {
        at: file_sha256(file) for at, file in files.items()
    }
    assert record["base_sha256"] == (None if len(files) > 1 else file_sha256(files["model.safetensors"]))
    assert record["base_weights"] == {
        "bytes": sum(file.stat().st_size for file in files.values()), "dtype": FORMS[case.form],
    }  # fmt: skip
    cached = case.form == "snapshot of the Hub's cache"
    expected = ("somebody/my-model", COMMIT) if cached else (case.base.resolve().name, None)
    assert (record["base_model"], record["base_revision"]) == expected


@pytest.mark.parametrize("name", CASES)
def test_ranks_and_counts_are_those_of_the_files(name: str, made: dict[str, Case]) -> None:
    case, record = made[name], record_of(made[name])
    layers, small = record["layers"], load_file(case.small / "model.safetensors")
    dense = tiny_head(case.class_name, **case.settings)
    assert [layer["name"] for layer in layers] == [layer.name for layer in encoder_of(dense).layers]
    assert {layer["rank"] for layer in layers} == {RANK}
    for layer in layers:
        (down,) = (tensor for at, tensor in small.items() if at.endswith(f"{layer['name']}.down.weight"))
        assert down.shape == (RANK, layer["shape"][1])
    counts = record["parameters"]
    assert counts["linear_dense"] == sum(math.prod(layer["shape"]) for layer in layers)
    assert counts["linear_compressed"] == sum(RANK * sum(layer["shape"]) for layer in layers)
    assert counts["ratio"] == counts["linear_compressed"] / counts["linear_dense"]
    assert counts["total_compressed"] == sum(tensor.numel() for tensor in small.values())
    assert counts["total_dense"] == sum(parameter.numel() for parameter in dense.parameters())


@pytest.mark.parametrize("name", CASES)
def test_weights_have_the_declared_dtype(name: str, made: dict[str, Case]) -> None:
    small, dtype = made[name].small, FORMS[made[name].form]
    settings = json.loads((small / "config.json").read_text())
    assert settings.get("dtype", settings.get("torch_dtype")) == dtype
    assert {tensor.dtype for tensor in load_file(small / "model.safetensors").values()} == {getattr(torch, dtype)}
    assert not [file for file in small.rglob("*") if file.is_symlink() or not os.access(file, os.W_OK)]


@pytest.mark.parametrize("name", CASES)
def test_onnx_was_made_from_these_weights_and_keeps_to_atol(name: str, made: dict[str, Case]) -> None:
    small = made[name].small
    record = json.loads((small / "onnx" / "export.json").read_text())
    assert record["check"]["within"]
    assert record["check"]["worst"]["max_difference"] <= record["check"]["atol"] == 1e-4
    assert record["file_sha256"] == file_sha256(small / "model.safetensors")
    quantised = made[name].form == "several files"
    assert (small / "onnx" / "model_quantized.onnx").is_file() == (record["int8"] is not None) == quantised


@pytest.mark.parametrize("name", CASES)
def test_the_card_has_the_numbers_of_the_records(name: str, made: dict[str, Case]) -> None:
    case, record = made[name], record_of(made[name])
    card, counts = (case.small / "README.md").read_text(), record["parameters"]
    for key in ("total_dense", "total_compressed", "linear_dense", "linear_compressed"):
        assert f" {counts[key]:,} " in card
    assert f"{100 * counts['ratio']:.1f} %" in card
    for digest in (
        file_sha256(case.small / "model.safetensors"),
        *(at["sha256"] for at in record["base_files"].values()),
    ):
        assert f"`{digest}`" in card
    assert "Since then" not in card
    metadata = split_front_matter(card)[1] or {}
    cached = case.form == "snapshot of the Hub's cache"
    assert metadata.get("base_model") == ("somebody/my-model" if cached else None)
    if case.task is not None:
        assert f"| {case.values[0]:.4f} | {case.values[1]:.4f} |" in card
        assert metadata["model-index"][0]["results"][0]["metrics"][0]["value"] == case.values[1]


@pytest.mark.parametrize("name", CASES)
def test_without_the_package_it_answers_the_same(
    name: str,
    made: dict[str, Case],
    outputs: dict[str, dict[str, Tensor]],
    head_inputs: Callable[[str], dict[str, Tensor]],
) -> None:
    case = made[name]
    with torch.no_grad():
        expected = load_checkpoint(str(case.small)).model(**head_inputs(case.class_name)).to_tuple()
    assert len(outputs[name]) == len(expected)
    for number, tensor in enumerate(expected):
        # A single output is computed with another kernel where weights mapped from a file are aligned differently
        torch.testing.assert_close(outputs[name][str(number)], tensor, rtol=0, atol=1e-6)
