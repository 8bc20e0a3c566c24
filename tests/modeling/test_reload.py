"""Checkpoints load, compute and save again in a process that cannot import the package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoTokenizer

from fwsvd_export import compress
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.checkpoints.folder import read_compression
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import task_named
from fwsvd_export.records import Budget, RankRequest
from fwsvd_export.workflows.compress import run_compress
from fwsvd_export.workflows.compress_request import CompressRequest
from fwsvd_export.workflows.evaluate import run_evaluate
from fwsvd_export.workflows.source import Source
from tests.helpers import HEADS

WRITTEN = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}  # by run_compress, as dtype
WORDS = {f"words-of-{name}": name for name in HEADS}  # with factorised word embeddings
JOBS = [*HEADS, *WORDS, "regression", "matched", "matched-words", *WRITTEN]
# A single output is computed with another kernel where weights mapped from a file are aligned differently
SINGLE_OUTPUT = {job: 1e-6 for job in JOBS if job.endswith("ForMultipleChoice") or job == "regression"}
TEXT = "a very good movie but never dull"

LOADER = '''
import json, sys

class Blocked:
    """Makes every import of the package fail, wherever it is installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "fwsvd_export":
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())

import torch, transformers
from safetensors.torch import load_file, save_file

def outputs_of(model, inputs):
    with torch.no_grad():
        return {f"output {index}": tensor.clone() for index, tensor in enumerate(model(**inputs).to_tuple())}

def load(auto_class, folder, **options):
    options = {"trust_remote_code": True, "output_loading_info": True, "torch_dtype": "auto", **options}
    model, info = getattr(transformers, auto_class).from_pretrained(folder, **options)
    keys = ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")
    return model, {key: sorted(map(str, info[key])) for key in keys if key in info}

def run(job):
    inputs = load_file(job["inputs"])
    model, info = load(job["auto_class"], job["folder"])
    actual = {**{name: tensor.clone() for name, tensor in model.state_dict().items()}, **outputs_of(model, inputs)}
    save_file(actual, job["actual"])
    model.save_pretrained(job["again"])
    second, second_info = load(job["auto_class"], job["again"])
    outputs = outputs_of(second, inputs)
    return {
        "class": type(model).__name__,
        "module": type(model).__module__,
        "training": model.training,
        "keys": info,
        "second_keys": second_info,
        "second_equal": all(torch.equal(outputs[name], actual[name]) for name in outputs),
    }

def label_all(folder, rows):
    """What a script does that evaluates a folder on a data set, and knows nothing of how the model was made."""
    from datasets import Dataset
    from transformers.pipelines.pt_utils import KeyDataset

    classify = transformers.pipeline("text-classification", model=folder, trust_remote_code=True, device="cpu")
    texts = KeyDataset(Dataset.from_list(rows), "sentence")
    return [(row["label"], row["score"]) for row in classify(texts, batch_size=5)]

def look_around(folder, text):
    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    base, info = load("AutoModel", folder)
    classify = transformers.pipeline("text-classification", model=folder, trust_remote_code=True, device="cpu")
    head, _ = load("AutoModelForSequenceClassification", folder)
    with torch.no_grad():
        logits = head(**tokenizer(text, return_tensors="pt")).logits
    state = head.bert.state_dict()
    return {
        "config": [type(config).__name__, config.model_type, config.low_rank],
        "tokens": tokenizer(text)["input_ids"],
        "base": [type(base).__name__, info["missing_keys"], info["mismatched_keys"]],
        "base_equal": all(torch.equal(tensor, state[name]) for name, tensor in base.state_dict().items()),
        "pipeline": classify(text, top_k=None),
        "scores": {head.config.id2label[index]: score for index, score in enumerate(logits.softmax(-1)[0].tolist())},
    }

def train_a_little(folder, out):
    """A changed copy, saved as a script without the package does."""
    model, _ = load("AutoModelForSequenceClassification", folder)
    with torch.no_grad():
        model.classifier.bias.add_(1.0)
    model.save_pretrained(out)

order = json.load(open(sys.argv[1]))
results = {name: run(job) for name, job in order["jobs"].items()}
around = look_around(order["classifier"], order["text"])
train_a_little(order["classifier"], order["trained"])
around["labels"] = label_all(order["classifier"], order["rows"])
try:
    import fwsvd_export
    blocked = False
except ImportError:
    blocked = True
loaded = [name for name in sys.modules if name.partition(".")[0] == "fwsvd_export"]
json.dump({"jobs": results, "around": around, "blocked": blocked, "loaded": loaded}, open(sys.argv[2], "w"))
'''


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reload")


@pytest.fixture(scope="module")
def made(
    room: Path,
    make_head: Callable[..., Any],
    head_inputs: Callable[[str], dict[str, Tensor]],
    tiny_folder: Path,
    data_file: Path,
) -> dict[str, Any]:
    """Every job's checkpoint, with its weights and outputs before it was saved: job -> model."""
    models = {name: compress(make_head(name), method="svd", rank=5) for name in HEADS}
    models |= {job: compress(make_head(name), method="svd", rank=5, embeddings=0.5) for job, name in WORDS.items()}
    regression = make_head("BertForSequenceClassification", num_labels=1, problem_type="regression")
    models["regression"] = compress(regression, method="svd", rank=5)
    for name, model in models.items():
        model.save_pretrained(room / f"{name}-small")
    for name in WRITTEN:
        source, out = Source(str(tiny_folder), device="cpu"), room / f"{name}-small"
        compressed, _ = run_compress(CompressRequest(source, out, "svd", RankRequest(Budget(rank=5)), dtype=name))
        models[name] = compressed.model
    data = DataRequest(task_named("sst2"), file=data_file)
    for name, share in (("matched", None), ("matched-words", 0.5)):
        source, size = Source(str(tiny_folder), device="cpu"), RankRequest(Budget(ratio=0.4), embeddings=share)
        compressed, _ = run_compress(CompressRequest(source, room / f"{name}-small", "kfac", size, data))
        assert compressed.report.reconstruction is not None
        assert compressed.report.plan.widths, "neurons are gone"
        assert (compressed.report.embedding.rank is None) == (share is None)
        models[name] = compressed.model
    for name, model in models.items():
        save_file(head_inputs(name), room / f"{name}-inputs.safetensors")
        with torch.no_grad():
            outputs = model(**head_inputs(name)).to_tuple()
        state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
        state |= {f"output {index}": tensor for index, tensor in enumerate(outputs)}
        save_file(state, room / f"{name}-expected.safetensors")
    return models


@pytest.fixture(scope="module")
def report(room: Path, made: dict[str, Any], data_file: Path) -> dict[str, Any]:
    """What one process without the package saw of all the checkpoints."""
    jobs = {
        name: {
            "auto_class": encoder_of(model).head.auto_class,
            "folder": str(room / f"{name}-small"),
            "again": str(room / f"{name}-again"),
            "inputs": str(room / f"{name}-inputs.safetensors"),
            "actual": str(room / f"{name}-actual.safetensors"),
        }
        for name, model in made.items()
    }
    rows = [json.loads(line) for line in data_file.read_text().splitlines()]
    order = {
        "jobs": jobs,
        "classifier": str(room / "float32-small"),
        "trained": str(room / "trained"),
        "text": TEXT,
        "rows": rows,
    }
    (room / "order.json").write_text(json.dumps(order))
    (room / "loader.py").write_text(LOADER)
    elsewhere = room / "elsewhere"
    elsewhere.mkdir()
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "HF_HOME": str(room / "home"),
        "HF_MODULES_CACHE": str(room / "modules"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": str(torch.get_num_threads()),  # sums are split the same way in both processes
    }
    command = [sys.executable, str(room / "loader.py"), str(room / "order.json"), str(room / "report.json")]
    done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((room / "report.json").read_text())


def names_of(model: Any) -> set[str]:
    return {"config.json", "model.safetensors", "compression.json", *encoder_of(model).family.code_files}


def model_files(folder: Path, model: Any) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names_of(model)}


def test_the_process_really_had_no_package(report: dict[str, Any]) -> None:
    assert report["blocked"]
    assert report["loaded"] == []


@pytest.mark.parametrize("job", JOBS)
def test_the_auto_class_loads_every_key(job: str, report: dict[str, Any], made: dict[str, Any]) -> None:
    result = report["jobs"][job]
    assert result["class"] == type(made[job]).__name__
    assert result["module"].startswith("transformers_modules.")
    assert result["training"] is False
    for keys in (result["keys"], result["second_keys"]):
        assert keys.keys() >= {"missing_keys", "unexpected_keys", "mismatched_keys"}
        assert not any(keys.values())


@pytest.mark.parametrize("job", JOBS)
def test_weights_and_outputs_are_those_from_before_saving(job: str, room: Path, report: dict[str, Any]) -> None:
    expected, actual = (load_file(room / f"{job}-{kind}.safetensors") for kind in ("expected", "actual"))
    assert expected.keys() == actual.keys()
    assert "output 0" in expected
    tolerance = SINGLE_OUTPUT.get(job, 0.0)
    for name, tensor in expected.items():
        allowed = tolerance if name.startswith("output") else 0.0
        torch.testing.assert_close(actual[name], tensor, rtol=0, atol=allowed, msg=lambda text, name=name: name + text)


@pytest.mark.parametrize("job", JOBS)
def test_saving_again_gives_the_same_model_files(
    job: str, room: Path, made: dict[str, Any], report: dict[str, Any]
) -> None:
    again = room / f"{job}-again"
    assert {file.name for file in again.iterdir()} == names_of(made[job])
    assert model_files(again, made[job]) == model_files(room / f"{job}-small", made[job])
    assert report["jobs"][job]["second_equal"]


@pytest.mark.parametrize("job", JOBS)
def test_our_own_classes_save_the_same_model_files(
    job: str, room: Path, made: dict[str, Any], report: dict[str, Any], tmp_path: Path
) -> None:
    model, info = type(made[job]).from_pretrained(room / f"{job}-again", output_loading_info=True, torch_dtype="auto")
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    model.save_pretrained(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == names_of(model)
    assert model_files(tmp_path, model) == model_files(room / f"{job}-small", model)


@pytest.mark.parametrize(("job", "dtype"), WRITTEN.items())
def test_the_file_holds_the_dtype_that_was_asked_for(
    job: str, dtype: torch.dtype, room: Path, made: dict[str, Any]
) -> None:
    assert {tensor.dtype for tensor in load_file(room / f"{job}-small" / "model.safetensors").values()} == {dtype}


def test_configuration_and_tokenizer_load(report: dict[str, Any], made: dict[str, Any], tiny_folder: Path) -> None:
    assert report["around"]["config"] == ["LowRankBertConfig", "lowrank_bert", made["float32"].config.low_rank]
    assert report["around"]["tokens"] == AutoTokenizer.from_pretrained(tiny_folder)(TEXT)["input_ids"]


def test_the_base_model_loads_from_a_classifier(report: dict[str, Any]) -> None:
    assert report["around"]["base"] == ["LowRankBertModel", [], []]
    assert report["around"]["base_equal"]


def test_the_pipeline_classifies_as_the_model_does(report: dict[str, Any]) -> None:
    scores = {row["label"]: row["score"] for row in report["around"]["pipeline"]}
    assert len(scores) == 2
    assert scores == pytest.approx(report["around"]["scores"], abs=1e-6)


def test_a_data_set_through_the_pipeline_gives_the_accuracy_that_evaluate_prints(
    report: dict[str, Any], made: dict[str, Any], room: Path, tiny_folder: Path, data_file: Path
) -> None:
    model, folder = made["float32"], room / "float32-small"
    rows = [json.loads(line) for line in data_file.read_text().splitlines()]
    texts = [row["sentence"] for row in rows]
    with torch.no_grad():
        batch = AutoTokenizer.from_pretrained(tiny_folder)(texts, padding=True, return_tensors="pt")
        likeliest = model(**batch).logits.softmax(-1).max(-1)
    found = report["around"]["labels"]
    assert [label for label, _ in found] == [model.config.id2label[index] for index in likeliest.indices.tolist()]
    assert [score for _, score in found] == pytest.approx(likeliest.values.tolist(), abs=1e-5)
    right = [model.config.label2id[label] == row["label"] for (label, _), row in zip(found, rows, strict=True)]
    found = run_evaluate(Source(str(folder), device="cpu"), DataRequest(task_named("sst2"), file=data_file))
    assert sum(right) / len(right) == found.measurement.value


def test_a_model_changed_elsewhere_keeps_its_record_and_says_so(room: Path, report: dict[str, Any]) -> None:
    before, after = (read_compression(room / name) for name in ("float32-small", "trained"))
    assert [entry.action for entry in before.history] == ["compress"]
    assert [entry.action for entry in after.history] == ["compress", "save"]
    assert after.describes(room / "trained")
    assert not before.describes(room / "trained")
    assert after.history[0].sha256 == before.files["model.safetensors"].sha256 != after.history[1].sha256
    assert after.layers == before.layers
