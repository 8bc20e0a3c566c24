"""The demo's recipe on a small model: every file of its folder, and what the numbers in it are."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fwsvd_export.benchmark.result import BenchResult
from fwsvd_export.benchmark.runtimes import USUAL_RUNTIMES
from fwsvd_export.checkpoints.folder import read_compression
from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.cli import group
from fwsvd_export.cli.demo import next_commands
from fwsvd_export.errors import CardError, MissingExtraError, OutputError
from fwsvd_export.runtime.progress import silent
from fwsvd_export.storage.digest import file_sha256
from fwsvd_export.workflows import demo, demo_assets
from fwsvd_export.workflows.demo import DemoResult, run_demo
from fwsvd_export.workflows.evaluate import run_evaluate
from fwsvd_export.workflows.export import OnnxRequest
from fwsvd_export.workflows.source import Source
from tests.helpers import shrink_demo

ONNX = {"config.json", "export.json", "model.onnx", "model_quantized.onnx", "tokenizer.json"}
MODEL = {"config.json", "model.safetensors", "tokenizer.json"}
COMPRESSED = MODEL | {"README.md", "compression.json", "lowrank_layers.py", "modeling_lowrank_bert.py"}


@pytest.fixture(scope="module")
def made(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DemoResult]:
    """The demo's folder and result. Do not write into it."""
    out = tmp_path_factory.mktemp("demo") / "out"
    with pytest.MonkeyPatch.context() as patch:
        shrink_demo(patch, tiny_folder, tmp_path_factory.mktemp("assets"))
        return out, run_demo(out)


@pytest.fixture
def small_demo(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo is small within the test."""
    shrink_demo(monkeypatch, tiny_folder, tmp_path_factory.mktemp("assets"))


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_the_folder_holds_models_data_statistics_results_and_a_picture(made: tuple[Path, DemoResult]) -> None:
    out, _ = made
    files = {"reviews-train.csv", "reviews-test.csv", "fisher.safetensors", "results.json", "demo.png", "report.html"}
    assert names(out) == {"dense", "svd", "fwsvd", "kfac", *files}
    assert names(out / "dense") >= MODEL | {"onnx"}
    for method in demo.METHODS:
        assert names(out / method) >= COMPRESSED
        assert ("onnx" in names(out / method)) == (method == "kfac")
        assert read_compression(out / method).method == method
    for name in ("dense", "kfac"):
        assert names(out / name / "onnx") >= ONNX


def test_the_picture_is_not_blank(made: tuple[Path, DemoResult]) -> None:
    from matplotlib.image import imread

    assert imread(made[0] / "demo.png").std() > 0.05


def test_the_rows_say_what_is_on_disk(made: tuple[Path, DemoResult]) -> None:
    out, result = made
    assert [row.model for row in result.rows] == ["dense", "svd", "fwsvd", "kfac"]
    for row in result.rows:
        checkpoint = load_checkpoint(str(out / row.model))
        assert row.parameters == sum(parameter.numel() for parameter in checkpoint.model.parameters())
        assert row.file_bytes == (out / row.model / "model.safetensors").stat().st_size
        measured = run_evaluate(Source(str(out / row.model)), demo._test_data(out)).measurement
        assert (row.accuracy, result.test_examples) == (measured.value, measured.examples)
    assert {row.dtype for row in result.rows} == {"float32"}, "sizes are compared at one dtype"


def test_the_compressed_models_have_one_size(made: tuple[Path, DemoResult]) -> None:
    dense, *small = made[1].rows
    assert dense.compress_seconds == 0
    for row in small:
        assert 0.8 * demo.RATIO < row.linear_weights / dense.linear_weights <= demo.RATIO
        assert row.compress_seconds > 0


def test_dense_and_kfac_are_timed_on_their_own_onnx_files(made: tuple[Path, DemoResult]) -> None:
    out, result = made
    dense, small = result.bench.models
    assert (dense.model, small.model) == ("dense", "kfac")
    for model in (dense, small):
        assert model.sha256 == file_sha256(out / model.model / "model.safetensors")
        assert {timing.runtime for timing in model.latency} == set(model.runtimes) == set(USUAL_RUNTIMES)
        assert {(timing.batch_size, timing.length) for timing in model.latency} == {(1, 4), (1, 6)}
        for runtime, file in (("onnxruntime", "model.onnx"), ("onnxruntime-int8", "model_quantized.onnx")):
            assert model.runtimes[runtime].file_bytes == (out / model.model / "onnx" / file).stat().st_size
            assert model.runtimes[runtime].value is not None
    assert all(timing.speedup == 1 for timing in dense.latency)


def test_the_results_file_is_one_that_bench_and_card_read(made: tuple[Path, DemoResult]) -> None:
    out, result = made
    found = json.loads((out / "results.json").read_text())
    assert found == json.loads(json.dumps(result.to_json()))
    assert BenchResult.from_json(found, "results.json", CardError) == result.bench
    assert {"prepare", "fine-tune", "statistics", *demo.METHODS, "onnx", "bench", "evaluate"} == set(found["seconds"])
    assert (found["left_out"], found["outside_atol"]) == (None, [])


def test_the_card_says_what_was_measured(made: tuple[Path, DemoResult]) -> None:
    out, result = made
    measured = json.loads((out / "kfac" / "measurements.json").read_text())
    scores = {(score["model"], score["runtime"]): score["value"] for score in measured["scores"]}
    for model, name in zip(result.bench.models, ("dense", "compressed"), strict=True):
        for runtime in USUAL_RUNTIMES:
            assert scores[name, runtime] == model.runtimes[runtime].value
    assert len(measured["runs"]) == 1
    card = (out / "kfac" / "README.md").read_text()
    assert f"{result.rows[-1].accuracy:.4f}" in card
    assert "reviews-test.csv" in card
    assert "onnx" in card


def test_no_file_names_the_folder_that_it_was_made_in(made: tuple[Path, DemoResult]) -> None:
    out, _ = made
    for file in out.rglob("*"):
        if file.suffix in (".json", ".md", ".csv"):
            text = file.read_text(encoding="utf-8")
            assert ".partial-" not in text, file
            assert str(out.parent) not in text, file


def test_the_commands_that_are_named_next_work(
    made: tuple[Path, DemoResult], capsys: pytest.CaptureFixture[str]
) -> None:
    out, result = made
    load, evaluate, _ = (shlex.split(line) for line in next_commands(out, with_onnx=True))
    exec(load[2], {})
    printed = capsys.readouterr().out
    assert any(label in printed for label in demo_assets.LABELS.values())
    answer = CliRunner().invoke(group, [*evaluate[1:], "--json"])
    assert answer.exit_code == 0, answer.output
    measured = json.loads(answer.stdout)
    assert measured["value"] == result.bench.models[1].runtimes["onnxruntime-int8"].value


@pytest.mark.usefixtures("small_demo")
def test_without_the_onnx_extra_the_rest_is_done_and_the_reason_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise MissingExtraError("onnxruntime", "onnx")

    monkeypatch.setattr(demo, "check_libraries", missing)
    result = run_demo(tmp_path / "out")
    assert result.left_out is not None
    assert "ONNX" in result.left_out
    assert 'pip install "fwsvd-export[onnx]"' in result.left_out
    assert [set(model.runtimes) for model in result.bench.models] == [{"torch"}, {"torch"}]
    assert not list((tmp_path / "out").rglob("onnx"))
    assert "onnx" not in result.seconds
    assert names(tmp_path / "out") >= {"results.json", "demo.png"}
    assert f"{result.rows[-1].accuracy:.4f}" in (tmp_path / "out" / "kfac" / "README.md").read_text()


def test_an_onnx_file_that_differs_too_much_from_torch_is_named(
    made: tuple[Path, DemoResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("dense", "kfac"):
        shutil.copytree(made[0] / name, tmp_path / name, ignore=shutil.ignore_patterns("onnx"))
    tolerances = iter((1.0, 0.0))
    monkeypatch.setattr(demo, "OnnxRequest", lambda *given, **more: OnnxRequest(*given, **more, atol=next(tolerances)))
    assert demo._export(tmp_path, silent) == ("kfac",)


@pytest.mark.usefixtures("small_demo")
def test_an_output_that_exists_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "split_reviews", lambda *arguments: pytest.fail("worked"))
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="--overwrite"):
        run_demo(tmp_path)
    assert names(tmp_path) == {"file"}


@pytest.mark.usefixtures("small_demo")
def test_a_missing_figure_library_is_named_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "split_reviews", lambda *arguments: pytest.fail("worked"))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"fwsvd-export\[report\]"):
        run_demo(tmp_path / "out")
    assert names(tmp_path) == set()


@pytest.mark.usefixtures("small_demo")
def test_what_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run_fisher", fails)
    with pytest.raises(KeyboardInterrupt):
        run_demo(tmp_path / "out")
    assert names(tmp_path) == set()
