"""What ``demo`` prints; the recipe itself is tested in tests/workflows."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import Result

from fwsvd_export.benchmark.result import BenchEnvironment, BenchModel, BenchResult, BenchRuntime, BenchTiming
from fwsvd_export.benchmark.runtimes import TORCH, USUAL_RUNTIMES
from fwsvd_export.cli import group
from fwsvd_export.cli.demo import demo_table, next_commands
from fwsvd_export.workflows import demo
from fwsvd_export.workflows.demo import DemoResult, DemoRow

Run = Callable[..., Result]


def model(name: str, factor: float) -> BenchModel:
    """A model that is so many times smaller and faster."""
    return BenchModel(
        model=name,
        sha256=None,
        parameters=1000,
        metric="accuracy",
        value=0.9 / factor,
        examples=2000,
        runtimes={runtime: BenchRuntime(int(4e6 / factor), 0.8 / factor) for runtime in USUAL_RUNTIMES},
        latency=tuple(
            BenchTiming(runtime, 1, length, length / factor, length, (), factor, factor)
            for runtime in USUAL_RUNTIMES
            for length in (32, 128)
        ),
    )


ENVIRONMENT = BenchEnvironment(
    cpu="a processor", cores=2, gpu=None, threads=2, versions={}, rounds=5, repeats=10, task="t", data="d"
)
RESULT = DemoResult(
    rows=(
        DemoRow("dense", 22_000_000, 1000, 90_900_000, "float32", 0.822, 0.0),
        DemoRow("svd", 14_000_000, 250, 59_000_000, "float32", 0.6325, 0.8),
        DemoRow("fwsvd", 14_000_000, 250, 59_000_000, "float32", 0.7065, 1.0),
        DemoRow("kfac", 14_000_000, 250, 59_000_000, "float32", 0.815, 21.9),
    ),
    bench=BenchResult((model("dense", 1.0), model("kfac", 2.0)), ENVIRONMENT),
    test_examples=2000,
    seconds={"fine-tune": 114.2, "kfac": 21.9},
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the recipe was asked for; it answers with ``asked["result"]`` at once."""
    asked: dict[str, Any] = {"result": RESULT}

    def run_demo(out: Path, **options: Any) -> DemoResult:
        asked.update(options, out=out)
        result: DemoResult = asked["result"]
        return result

    monkeypatch.setattr(demo, "run_demo", run_demo)
    return asked


def test_the_table_has_every_model_under_torch_and_two_under_the_onnx_runtimes() -> None:
    titles, rows = demo_table(RESULT)
    assert titles[-2:] == ["1 x 32, ms", "1 x 128, ms"]
    assert {len(row) for row in rows} == {len(titles)}
    assert [row[:2] for row in rows[:4]] == [[name, TORCH] for name in ("dense", "svd", "fwsvd", "kfac")]
    assert [tuple(row[:2]) for row in rows[4:]] == [
        (n, runtime) for runtime in USUAL_RUNTIMES[1:] for n in ("dense", "kfac")
    ]
    assert rows[1] == ["svd", "torch", "14,000,000", "25 %", "59.0 MB", "0.6325", "", ""]
    assert rows[-1][2:] == ["14,000,000", "25 %", "2.0 MB", "0.4000", "16.0 (x2.0)", "64.0 (x2.0)"]


def test_the_default_folder_is_named_with_picture_card_and_next_commands(run: Run, asked: dict[str, Any]) -> None:
    result = run("demo")
    assert result.exit_code == 0, result.output
    assert (asked["out"], asked["overwrite"], asked["device"]) == (Path("demo-output"), False, "auto")
    assert "kfac" in result.stdout
    assert "float32" in result.stdout
    for words in ("fine-tune 114 s", "demo-output/report.html", "demo-output/demo.png", "demo-output/kfac/README.md"):
        assert words in result.stderr
    for line in next_commands(Path("demo-output"), with_onnx=True):
        assert line in result.stderr


def test_a_folder_and_overwriting_are_passed_on(run: Run, asked: dict[str, Any], tmp_path: Path) -> None:
    assert run("demo", "-o", tmp_path / "out", "--overwrite", "--device", "cpu").exit_code == 0
    assert (asked["out"], asked["overwrite"], asked["device"]) == (tmp_path / "out", True, "cpu")


def test_json_is_one_object_on_stdout(run: Run, asked: dict[str, Any]) -> None:
    result = run("demo", "--json")
    assert json.loads(result.stdout) == json.loads(json.dumps(RESULT.to_json()))
    assert set(json.loads(result.stdout)) >= {"rows", "models", "environment", "seconds", "left_out"}


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_what_is_left_out_is_said_in_one_sentence(run: Run, asked: dict[str, Any], options: list[str]) -> None:
    asked["result"] = replace(RESULT, left_out="ONNX is left out: install it")
    result = run("demo", *options)
    assert result.exit_code == 0
    assert result.stderr.count("ONNX is left out: install it") == 1
    assert "onnxruntime" not in result.stderr, "the next commands do without it"


def test_onnx_files_that_differ_from_torch_end_with_the_code_of_a_missed_gate(run: Run, asked: dict[str, Any]) -> None:
    asked["result"] = replace(RESULT, outside_atol=("kfac",))
    result = run("demo")
    assert result.exit_code == 3
    assert "ONNX files of kfac differ from torch" in result.stderr


@pytest.mark.parametrize("with_onnx", [True, False])
def test_the_next_commands_are_ones_that_the_command_line_takes(with_onnx: bool) -> None:
    load, *commands = (shlex.split(line) for line in next_commands(Path("a folder"), with_onnx=with_onnx))
    compile(load[2], "load", "exec")
    assert '"a folder/kfac"' in load[2]
    for words, name in zip(commands, ("evaluate", "bench"), strict=True):
        assert Path(words[0]).name == "fwsvd-export"
        assert words[1] == name
        command = group.get_command(click.Context(group), name)
        assert command is not None
        command.make_context(name, words[2:])
        assert ("onnxruntime-int8" in words) == (with_onnx and name == "evaluate")


def test_an_output_that_exists_is_refused_with_the_remedy(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "file").write_text("mine")
    assert "--overwrite" in refused("demo", "-o", tmp_path)
