"""Folders are recognised by what lies in them; what cannot be read is said in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fwsvd_export.errors import CardError, CheckpointError, FwsvdExportError, ReportError
from fwsvd_export.report.page.facts import BenchFacts, CheckpointFacts, LossFacts, SweepFacts
from fwsvd_export.report.page.read import is_checkpoint, read_folders
from fwsvd_export.storage.digest import file_sha256
from tests.report.page.results import (
    BASE,
    SMALL,
    TRAINING,
    bench_result,
    export_record,
    losses,
    measurements,
    record,
    sweep_result,
    write,
    write_all,
)


def refusal(*folders: Path, error: type[FwsvdExportError] = ReportError) -> str:
    with pytest.raises(error) as caught:
        read_folders(folders)
    return str(caught.value)


def test_every_kind_of_folder_is_recognised_and_read_whole(tmp_path: Path) -> None:
    sweep, bench, checkpoint, layers = read_folders(write_all(tmp_path))
    assert isinstance(sweep, SweepFacts)
    assert isinstance(bench, BenchFacts)
    assert isinstance(checkpoint, CheckpointFacts)
    assert isinstance(layers, LossFacts)
    assert (sweep.result, bench.result, layers.losses) == (sweep_result(), bench_result(), losses())
    assert checkpoint.record == record()
    assert (checkpoint.export, checkpoint.training, checkpoint.changed) == (export_record(), TRAINING, False)
    assert checkpoint.measurements == measurements()
    assert {facts.base.sha256 for facts in (sweep, bench, checkpoint, layers)} == {BASE}
    assert [facts.label for facts in (sweep, bench, checkpoint, layers)] == ["sweep", "bench", "small", "losses"]


def test_what_the_demo_wrote_is_a_benchmark(tmp_path: Path) -> None:
    folder = write(tmp_path, "results.json", {"rows": [{"model": "dense"}], **bench_result().to_json()})
    (facts,) = read_folders([folder])
    assert isinstance(facts, BenchFacts)


def test_a_checkpoint_may_have_its_record_alone(tmp_path: Path) -> None:
    (facts,) = read_folders([write(tmp_path, "compression.json", record())])
    assert isinstance(facts, CheckpointFacts)
    assert (facts.sha256, facts.changed, facts.export, facts.training) == (SMALL, False, None, None)
    assert is_checkpoint(tmp_path)


def test_weights_that_the_record_does_not_know_are_told_from_those_it_does(tmp_path: Path) -> None:
    write(tmp_path, "compression.json", record())
    write(tmp_path, "measurements.json", measurements())
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    (facts,) = read_folders([tmp_path])
    assert isinstance(facts, CheckpointFacts)
    assert facts.changed
    assert facts.sha256 == file_sha256(tmp_path / "model.safetensors")
    assert [score.model for score in facts.measurements.scores] == ["dense"], "scores of other weights are left out"


def test_labels_tell_folders_of_one_name_apart(tmp_path: Path) -> None:
    folders = [write(tmp_path / name / "bench", "results.json", bench_result()) for name in ("a", "b")]
    assert [facts.label for facts in read_folders(folders)] == ["a/bench", "b/bench"]
    assert [facts.label for facts in read_folders(folders, ["one", "other"])] == ["one", "other"]


def test_what_is_not_a_folder_is_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path / "nothing")
    assert said.startswith(
        f"{tmp_path / 'nothing'} is not a folder; give a compressed checkpoint (compression.json), or "
    )
    (tmp_path / "file").write_text("")
    assert "file is not a folder" in refusal(tmp_path / "file")


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path)
    assert said.startswith(f"{tmp_path} holds nothing that a report is made of; give a compressed checkpoint")
    assert "bench -o (results.json), sweep -o (results.json) or compress --report (losses.json) wrote" in said


def test_a_folder_given_twice_is_refused_however_it_is_spelt(tmp_path: Path) -> None:
    folder = write(tmp_path / "bench", "results.json", bench_result())
    (tmp_path / "other").mkdir()
    again = tmp_path / "other" / ".." / "bench"
    assert refusal(folder, again) == f"{again} is the same folder as {folder}; give every folder once"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("results.json", "{", "is not readable JSON"),
        ("results.json", "[]", "holds no JSON object; make the folder again with the command that wrote it"),
        ("results.json", "{}", "is of another command: it has neither models nor rows; give a compressed checkpoint"),
        ("losses.json", "{}", "has no rank_correlation; compress again with --report"),
    ],
)
def test_a_damaged_file_is_named(name: str, content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    sentence = refusal(tmp_path)
    assert str(tmp_path / name) in sentence
    assert said in sentence


def test_losses_of_earlier_versions_do_not_say_whose_they_are(tmp_path: Path) -> None:
    write(tmp_path, "losses.json", losses(base_model=None, base_sha256=None, method=None))
    assert refusal(tmp_path) == (
        f"{tmp_path / 'losses.json'} does not say which model it is of, as files of earlier versions do not; compress "
        "again with --report"
    )


def test_a_benchmark_without_models_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "results.json", replace(bench_result(), models=()))
    assert refusal(tmp_path) == f"{tmp_path / 'results.json'} has no models; measure again with bench -o"


def test_onnx_files_of_other_weights_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "compression.json", record())
    write(tmp_path, "onnx/export.json", export_record(file_sha256="f" * 64))
    assert refusal(tmp_path) == (
        f"{tmp_path / 'onnx'} was made from other weights than the model has; run fwsvd-export onnx --overwrite again"
    )


Spoil = Callable[[Path], object]
UNFIT = {**TRAINING.to_json(), "metric": 1}


@pytest.mark.parametrize(
    ("spoil", "said", "error"),
    [
        (
            lambda at: write(at, "compression.json", {"format": 1}),
            "compression.json has no base_model",
            CheckpointError,
        ),
        (lambda at: write(at, "measurements.json", {"format": 9}), "measurements.json has format 9", CardError),
        (
            lambda at: write(at, "training.json", UNFIT),
            "training.json: metric is 1",
            ReportError,
        ),
        (lambda at: write(at, "onnx/export.json", {"format": 1}), "export.json has no model", ReportError),
    ],
)
def test_every_record_of_a_checkpoint_is_checked(
    spoil: Spoil, said: str, error: type[FwsvdExportError], tmp_path: Path
) -> None:
    write(tmp_path, "compression.json", record())
    spoil(tmp_path)
    assert said in refusal(tmp_path, error=error)
