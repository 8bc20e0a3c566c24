"""``bench`` as a function: ONNX files that are there already, and what progress calls the models."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fwsvd_export.benchmark.latency import LatencyPlan
from fwsvd_export.benchmark.runtimes import RUNTIMES
from fwsvd_export.errors import DataError, ExportError
from fwsvd_export.runtime.progress import Advance
from fwsvd_export.workflows import bench
from fwsvd_export.workflows.bench import BenchRequest, run_bench
from fwsvd_export.workflows.export import OnnxRequest, run_onnx
from fwsvd_export.workflows.source import Source

PLAN = LatencyPlan(batch_sizes=(1,), lengths=(4,), rounds=1, repeats=1, warm_up=0)


@pytest.fixture
def exported(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """The two-class model with onnx/, after which nothing more can be exported."""
    folder = tmp_path / "exported"
    shutil.copytree(tiny_folder, folder)
    run_onnx(OnnxRequest(Source(str(folder))))
    monkeypatch.setattr(bench, "run_onnx", lambda *arguments: pytest.fail("exported"))
    return Source(str(folder), device="cpu")


def test_onnx_files_that_are_there_are_run(exported: Source) -> None:
    result = run_bench(BenchRequest((exported,), ("onnxruntime",), PLAN, exported=True))
    (model,) = result.models
    file = Path(exported.model) / "onnx" / "model.onnx"
    assert model.runtimes["onnxruntime"].file_bytes == file.stat().st_size


@pytest.mark.parametrize("runtime", ["onnxruntime", "onnxruntime-int8"])
def test_a_model_without_them_is_refused_with_the_command_that_makes_them(
    runtime: str, exported: Source, tiny_folder: Path
) -> None:
    missing = Source(str(tiny_folder)) if runtime == "onnxruntime" else exported
    models = tuple(dict.fromkeys((exported, missing)))
    with pytest.raises(ExportError) as caught:
        run_bench(BenchRequest(models, (runtime,), PLAN, exported=True))
    assert f"fwsvd-export onnx {missing.model}" in str(caught.value)


@pytest.mark.parametrize("names", [("one", "two"), ("same", "same")])
def test_progress_calls_models_by_short_names_that_differ(
    names: tuple[str, str], tiny_folder: Path, tmp_path: Path
) -> None:
    folders = [tmp_path / str(place) / name for place, name in enumerate(names)]
    for folder in folders:
        shutil.copytree(tiny_folder, folder)
    notes = []

    @contextmanager
    def steps(what: str, total: int) -> Iterator[Advance]:
        yield lambda note="": notes.append(note)

    result = run_bench(BenchRequest(tuple(Source(str(folder)) for folder in folders), ("torch",), PLAN), steps)
    assert [model.model for model in result.models] == [str(folder) for folder in folders]
    shown = names if len(set(names)) == 2 else ("0/same", "1/same")
    assert notes == [f"{name} (torch)" for name in shown]


@pytest.mark.parametrize(("runtimes", "given"), [(("torch", "tensorrt"), "tensorrt"), ((), "none")])
def test_bench_refuses_runtimes_outside_the_table(runtimes: tuple[str, ...], given: str) -> None:
    with pytest.raises(DataError) as caught:
        BenchRequest((Source("model"),), runtimes)
    assert f"runtime {given}" in str(caught.value)
    assert all(name in str(caught.value) for name in RUNTIMES)
