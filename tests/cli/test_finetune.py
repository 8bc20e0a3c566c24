"""finetune: a dense or compressed model is trained, and what comes out is a checkpoint of ours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from fwsvd_export.data import encode, files, line_table
from fwsvd_export.storage.digest import file_sha256

Run = Callable[..., Result]
# Runs the command line, and waits for its end in the middle of the training: two evaluations are done
WAITS_AT_THE_THIRD_EVALUATION = """
import itertools, time
from fwsvd_export.workflows import finetune
evaluate, calls = finetune.evaluate_model, itertools.count(1)
def waiting(*arguments):
    if next(calls) == 3:
        print("here", flush=True)
        time.sleep(600)
    return evaluate(*arguments)
finetune.evaluate_model = waiting
from fwsvd_export.cli import main
main()
"""
QUICK = ("--epochs", 2, "--lr", 3e-3, "--evaluations", 2, "--batch-size", 8)


@pytest.fixture(scope="module")
def small(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory, run: Run) -> Path:
    out = tmp_path_factory.mktemp("compressed") / "small"
    assert run("compress", tiny_folder, out, "--method", "svd", "--rank", 4).exit_code == 0
    return out


def read(folder: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / name).read_text())
    return content


@pytest.mark.parametrize("taught", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
def test_what_is_trained_is_never_worse_than_its_start_and_says_how_it_was_made(
    compressed: bool, taught: bool, tiny_folder: Path, small: Path, data_file: Path, tmp_path: Path, run: Run
) -> None:
    model, out = small if compressed else tiny_folder, tmp_path / "out"
    other = tmp_path / "other.jsonl"
    other.write_text(
        "".join(
            f'{{"sentence": "a {word} plot", "label": {place % 2}}}\n'
            for place, word in enumerate(["good", "bad", "dull", "great", "poor", "fine", "very", "never"])
        )
    )
    data = ("--task", "sst2", "--data", data_file, "--validation", other)
    teacher = ("--teacher", tiny_folder) if taught else ()
    result = run("finetune", model, out, *data, *QUICK, *teacher, "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["output"] == str(out)
    assert {name: value for name, value in record.items() if name != "output"} == read(out, "training.json")
    assert record["best"] == max(step["value"] for step in record["steps"]) >= record["start"]
    assert record["start"] == record["steps"][0]["value"]
    assert (record["teacher"] is not None) is taught
    assert (record["validation"], record["validation_examples"]) == ("other.jsonl", 8)
    measured = json.loads(run("evaluate", out, "--task", "sst2", "--data", other, "--json").stdout)
    assert measured["value"] == record["best"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert (out / "compression.json").is_file() is compressed
    if compressed:
        entry = read(out, "compression.json")["history"][-1]
        assert entry["action"] == "finetune"
        assert entry["sha256"] == file_sha256(out / "model.safetensors")
        assert entry["details"]["best"] == record["best"]


def test_a_trained_checkpoint_goes_through_every_command(
    tiny_folder: Path, small: Path, data_file: Path, tmp_path: Path, succeed: Callable[..., str]
) -> None:
    out, data = tmp_path / "out", ("--task", "sst2", "--data", data_file)
    succeed("finetune", small, out, *data, *QUICK)
    assert "fine-tuned (task sst2" in (out / "README.md").read_text()
    succeed("card", out)
    succeed("onnx", out)
    succeed("push", out, "somebody/model", "--dry-run")
    succeed("densify", out, tmp_path / "plain")
    succeed("finetune", out, tmp_path / "again", *data, *QUICK, "--teacher", tiny_folder)
    actions = [entry["action"] for entry in read(tmp_path / "again", "compression.json")["history"]]
    assert actions == ["compress", "finetune", "finetune"]
    assert any("fine-tuned" in entry for entry in json.loads(succeed("inspect", out, "--json"))["since"])


def test_training_rows_need_no_labels_with_a_teacher(
    tiny_folder: Path, small: Path, data_file: Path, tmp_path: Path, run: Run
) -> None:
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(f'{{"sentence": "the {word} film is {word}"}}\n' for word in ("good", "bad", "dull") * 4))
    command = (
        "finetune",
        small,
        tmp_path / "out",
        "--task",
        "sst2",
        "--data",
        texts,
        "--validation",
        data_file,
        *QUICK,
    )
    refused = run(*command)
    assert refused.exit_code == 1
    assert "label" in refused.stderr
    assert run(*command, "--teacher", tiny_folder).exit_code == 0
    weighed = run(*command, "--teacher", tiny_folder, "--label-weight", 1, "--overwrite")
    assert weighed.exit_code == 1
    assert "label" in weighed.stderr


def test_texts_of_a_file_that_stays_on_disk_teach_the_same(
    tiny_folder: Path, small: Path, data_file: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("finetune", small, "--teacher", tiny_folder, "--task", "sst2", "--data", data_file, *QUICK)
    assert run(words[0], small, tmp_path / "whole", *words[2:]).exit_code == 0
    monkeypatch.setattr(files, "LARGE", 0)
    for module in (line_table, encode):
        monkeypatch.setattr(module, "AT_ONCE", 7)
    assert run(words[0], small, tmp_path / "stored", *words[2:]).exit_code == 0
    records = [read(tmp_path / name, "training.json") for name in ("whole", "stored")]
    assert records[0]["steps"] == records[1]["steps"]
    assert records[0]["examples"] == records[1]["examples"] > 7
    digests = {file_sha256(tmp_path / name / "model.safetensors") for name in ("whole", "stored")}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--epochs", 0), 1, "epochs 0: a number above 0 is allowed"),
        (("--lr", -1), 1, "lr -1: a number above 0 is allowed"),
        (("--patience", 0), 1, "patience 0: a whole number of at least 1 is allowed"),
        (("--precision", "float16", "--device", "cpu"), 1, "precision float16: device cpu does not train in it"),
        (("--precision", "float61"), 2, "float16"),
        (("--embeddings", "thaw"), 2, "freeze, train"),
        (("--task", "text"), 1, "task text has no labels and no metric; choose one that has"),
        (("--teacher", "nowhere"), 1, "nowhere"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(
    options: tuple[object, ...], code: int, said: str, small: Path, data_file: Path, tmp_path: Path, run: Run
) -> None:
    command = ("finetune", small, tmp_path / "out", "--task", "sst2", "--data", data_file, "--text-column", "sentence")
    result = run(*command, *options)
    assert result.exit_code == code
    assert said in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_data_is_asked_for(small: Path, tmp_path: Path, run: Run) -> None:
    result = run("finetune", small, tmp_path / "out", "--task", "sst2")
    assert result.exit_code == 2
    assert "no data given: name a local file with --data or a data set on the Hub with --dataset" in result.stderr


def test_a_teacher_with_other_labels_is_refused(
    small: Path, ner_folder: Path, data_file: Path, tmp_path: Path, run: Run
) -> None:
    command = ("finetune", small, tmp_path / "out", "--task", "sst2", "--data", data_file)
    result = run(*command, "--teacher", ner_folder)
    assert result.exit_code == 1
    assert "the teacher's head is ForTokenClassification, and the model's is ForSequenceClassification" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_was_killed_goes_on_and_another_one_is_refused(
    tiny_folder: Path, small: Path, data_file: Path, tmp_path: Path, run: Run
) -> None:
    out, state = tmp_path / "out", tmp_path / ".out.training"
    data = ("--task", "sst2", "--data", data_file, "--batch-size", 2, "--evaluations", 4, "--teacher", tiny_folder)
    command = ("finetune", small, out, *data, "--epochs", 8, "--lr", 3e-3)
    whole = tmp_path / "whole"
    assert run(*command[:2], whole, *command[3:]).exit_code == 0
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS_AT_THE_THIRD_EVALUATION, "-q", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not out.exists()
    assert list(state.glob("checkpoint-*/complete"))
    other = run(*command, "--seed", 1)
    assert other.exit_code == 1
    assert "holds a run that was killed, with another seed" in other.stderr
    assert "give the same command to continue it, or --overwrite to start anew" in other.stderr
    assert run(*command).exit_code == 0
    assert not state.exists()
    assert file_sha256(out / "model.safetensors") == file_sha256(whole / "model.safetensors")
    assert read(out, "training.json")["steps"] == read(whole, "training.json")["steps"]


def test_several_processes_train_together(tiny_folder: Path, small: Path, data_file: Path, tmp_path: Path) -> None:
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
              "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]  # fmt: skip
    command = ["-m", "fwsvd_export", "finetune", small, tmp_path / "out", "--task", "sst2", "--data", data_file,
               *QUICK, "--teacher", tiny_folder, "--json", "--device", "cpu"]  # fmt: skip
    words = [sys.executable, *launch, *map(str, command)]
    done = subprocess.run(
        words, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["processes"] == 2
    batches = -(-record["examples"] // record["batch_size"])
    assert record["planned"] == 2 * -(-batches // 2), "each process takes every other batch, for two passes"
    assert all(step["loss"] is not None for step in record["steps"][1:])
    assert record["settings"]["precision"] == "float32"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
