"""``bench`` on small models, as a user runs it."""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from fwsvd_export import __version__
from fwsvd_export.architectures.counts import total_parameters
from fwsvd_export.checkpoints.load import load_checkpoint

Run = Callable[..., Result]
Succeed = Callable[..., str]
Refused = Callable[..., str]

SPEED = ["--threads", 1, "--rounds", 1, "--batch-sizes", "1,2", "--lengths", "4,6"]
RUNTIMES = ["torch", "onnxruntime", "onnxruntime-int8"]


@pytest.fixture(scope="module")
def bench_folder(
    run: Run, tiny_folder: Path, compressed_folder: Path, data_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Everything ``bench -o`` writes for a dense and a compressed model under all runtimes. Do not write into it."""
    out = tmp_path_factory.mktemp("bench") / "out"
    task = ["--task", "sst2", "--data", data_file]
    result = run("bench", tiny_folder, compressed_folder, *task, *SPEED, "-o", out)
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture(scope="module")
def results(bench_folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bench_folder / "results.json").read_text())
    return found


def test_the_folder_holds_results_page_and_picture(bench_folder: Path) -> None:
    assert sorted(file.name for file in bench_folder.iterdir()) == ["latency.png", "report.md", "results.json"]
    page = (bench_folder / "report.md").read_text()
    assert "| onnxruntime-int8 | tiny-classifier |" in page
    assert "![Latency](latency.png)" in page


def test_every_model_is_described_and_timed_under_every_runtime(
    results: dict[str, Any], tiny_folder: Path, compressed_folder: Path
) -> None:
    dense, small = results["models"]
    for row, folder in ((dense, tiny_folder), (small, compressed_folder)):
        assert row["model"] == str(folder)
        assert row["parameters"] == total_parameters(load_checkpoint(str(folder)).model)
        assert row["file_bytes"] == (folder / "model.safetensors").stat().st_size
        keys = [(timing["runtime"], timing["batch_size"], timing["length"]) for timing in row["latency"]]
        assert keys == [(runtime, size, length) for runtime in RUNTIMES for size in (1, 2) for length in (4, 6)]
        assert all(0 < timing["median_ms"] <= timing["p90_ms"] for timing in row["latency"])
        assert set(row["runtimes"]) == set(RUNTIMES)


def test_speedups_and_operations_are_against_the_dense_model_under_the_same_runtime(results: dict[str, Any]) -> None:
    dense, small = results["models"]
    for before, after in zip(dense["latency"], small["latency"], strict=True):
        assert before["speedup"] == 1
        assert before["flops_ratio"] == 1
        rounds = zip(before["round_medians_ms"], after["round_medians_ms"], strict=True)
        assert after["speedup"] == pytest.approx(statistics.median(slow / fast for slow, fast in rounds))
        assert after["flops_ratio"] > 1


def test_the_metric_is_that_of_evaluate(
    results: dict[str, Any], compressed_folder: Path, data_file: Path, succeed: Succeed
) -> None:
    measured = json.loads(succeed("evaluate", compressed_folder, "--task", "sst2", "--data", data_file, "--json"))
    small = results["models"][1]
    assert (small["metric"], small["value"]) == ("accuracy", measured["value"])
    assert small["runtimes"]["onnxruntime"]["value"] == measured["value"]
    assert 0 <= small["runtimes"]["onnxruntime-int8"]["value"] <= 1


def test_every_model_but_the_first_is_compared_with_it_under_the_same_runtime(
    results: dict[str, Any],
    bench_folder: Path,
    tiny_folder: Path,
    compressed_folder: Path,
    data_file: Path,
    succeed: Any,
) -> None:
    dense, small = results["models"]
    assert [dense["difference"], *(found["difference"] for found in dense["runtimes"].values())] == [None] * 4
    page = (bench_folder / "report.md").read_text()
    assert "| accuracy | difference, 95 % |" in page
    assert "over the same 48 examples, with a paired\nbootstrap interval: where it holds 0" in page
    for runtime in RUNTIMES:
        value, difference = (small["runtimes"][runtime][name] for name in ("value", "difference"))
        assert difference["dense"] == dense["runtimes"][runtime]["value"]
        assert difference["value"] == value - difference["dense"]
        assert difference["against"] == str(tiny_folder)
        assert difference["against_sha256"] == dense["sha256"]
        ends = f"{difference['value']:+.4f} [{difference['low']:+.4f}, {difference['high']:+.4f}]"
        assert f" | {value:.4f} | {ends} | " in page
    assert small["difference"] == small["runtimes"]["torch"]["difference"]
    words = ["evaluate", compressed_folder, "--against", tiny_folder, "--task", "sst2", "--data", data_file, "--json"]
    assert json.loads(succeed(*words))["difference"] == small["difference"]


def test_models_that_cannot_be_compared_are_refused_before_anything_is_exported(
    tiny_folder: Path,
    ner_folder: Path,
    changed_model: Callable[..., Path],
    data_file: Path,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fwsvd_export.workflows.bench.run_onnx", lambda *arguments: pytest.fail("exported"))
    named = changed_model(id2label={"0": "bad", "1": "good"}, label2id={"bad": 0, "good": 1})
    task = ["--task", "sst2", "--data", data_file, *SPEED]
    assert "two models with the same head are needed" in refused("bench", tiny_folder, ner_folder, *task)
    assert "calls its classes LABEL_0, LABEL_1, and the" in refused("bench", tiny_folder, named, *task)


def test_the_environment_is_recorded(results: dict[str, Any], data_file: Path) -> None:
    environment = results["environment"]
    assert (environment["threads"], environment["rounds"], environment["data"]) == (1, 1, data_file.name)
    assert environment["versions"]["fwsvd-export"] == __version__
    assert {"torch", "transformers", "onnxruntime", "python"} <= set(environment["versions"])
    assert environment["cpu"]


def test_models_are_left_as_they_were(bench_folder: Path, tiny_folder: Path, compressed_folder: Path) -> None:
    assert not (tiny_folder / "onnx").exists()
    assert not (compressed_folder / "onnx").exists()


def test_torch_alone_without_data_or_output(tiny_folder: Path, compressed_folder: Path, succeed: Succeed) -> None:
    answer = json.loads(succeed("bench", tiny_folder, compressed_folder, "--runtime", "torch", *SPEED, "--json"))
    assert [model["metric"] for model in answer["models"]] == [None, None]
    assert [model["value"] for model in answer["models"]] == [None, None]
    assert [model["difference"] for model in answer["models"]] == [None, None]
    assert "onnxruntime" not in answer["environment"]["versions"]


def test_openvino_runs_the_same_files_and_is_named_where_it_did(
    tiny_folder: Path, compressed_folder: Path, data_file: Path, succeed: Succeed
) -> None:
    words = ("--runtime", "onnxruntime,openvino", *SPEED, "--task", "sst2", "--data", data_file)
    answer = json.loads(succeed("bench", tiny_folder, compressed_folder, *words, "--json"))
    for model in answer["models"]:
        assert [timing["runtime"] for timing in model["latency"][:: len(model["latency"]) // 2]] == [
            "onnxruntime",
            "openvino",
        ]
        first, second = (model["runtimes"][name] for name in ("onnxruntime", "openvino"))
        assert first["file_bytes"] == second["file_bytes"]
        assert first["value"] == second["value"]
    assert {"onnxruntime", "openvino"} <= set(answer["environment"]["versions"])


def test_the_table_names_models_shapes_and_speedups(
    tiny_folder: Path, compressed_folder: Path, succeed: Succeed
) -> None:
    table = succeed("bench", tiny_folder, compressed_folder, "--runtime", "torch", *SPEED)
    for words in ("tiny-classifier", "small", "1 x 4, ms", "2 x 6, ms", "(x1.0/1.0)"):
        assert words in table


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--runtime", "tensorrt"], 2, "one of torch, onnxruntime, onnxruntime-int8, openvino, openvino-bf16"),
        (["--batch-sizes", "1,two"], 2, "'1,two': whole numbers separated by commas"),
        (["--lengths", "0"], 1, "lengths 0: whole numbers of at least 1"),
        (["--rounds", 0], 1, "rounds 0"),
        (["--runtime", "torch", "--lengths", "4,65"], 1, "takes at most 64 tokens; lower --lengths"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    options: list[object], code: int, words: str, tiny_folder: Path, refused: Refused
) -> None:
    assert words in refused("bench", tiny_folder, *options, code=code)


@pytest.mark.parametrize("again", ["{0}", "{0}/", "{0}/../{0.name}"])
def test_a_model_named_twice_is_refused(again: str, tiny_folder: Path, refused: Refused) -> None:
    sentence = refused("bench", tiny_folder, again.format(tiny_folder))
    assert f"a model is named twice ({tiny_folder}" in sentence
    assert "every other one once" in sentence


def test_models_in_folders_of_one_name_are_told_apart_everywhere(
    tiny_folder: Path, compressed_folder: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib import pyplot

    for name in ("old", "new"):
        shutil.copytree(compressed_folder, tmp_path / name / "model")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pyplot, "close", lambda figure: None)
    models = [tiny_folder, "old/model", tmp_path / "new" / "model"]
    result = run("bench", *models, "--runtime", "torch", *SPEED, "-o", "out")
    drawn = [text.get_text() for text in pyplot.gcf().axes[-1].get_legend().get_texts()]
    monkeypatch.undo()
    pyplot.close("all")
    assert result.exit_code == 0, result.output
    names = ["tiny-classifier", "old/model", "new/model"]
    assert drawn == names
    found = json.loads((tmp_path / "out" / "results.json").read_text())["models"]
    assert [model["model"] for model in found] == list(map(str, models))
    assert [model["name"] for model in found] == names
    page = (tmp_path / "out" / "report.md").read_text()
    assert all(f" {name} │" in result.stdout and f"| torch | {name} |" in page for name in names)


def test_counts_of_one_have_a_singular(bench_folder: Path, tiny_folder: Path, succeed: Succeed) -> None:
    page = (bench_folder / "report.md").read_text()
    assert ", 1 thread; medians of 1 interleaved round of\n" in page
    title = succeed("bench", tiny_folder, "--runtime", "torch", *SPEED).splitlines()[0]
    assert title.rstrip().endswith(", 1 thread")


def test_an_output_that_exists_is_refused_before_the_work(tiny_folder: Path, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "file").write_text("mine")
    assert "--overwrite" in refused("bench", tiny_folder, "-o", tmp_path)


def test_without_the_extra_the_exact_line_to_install_it_is_given(
    tiny_folder: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fwsvd_export.export import libraries

    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(libraries, "import_module", missing)
    assert 'pip install "fwsvd-export[onnx]"' in refused("bench", tiny_folder, *SPEED)


def test_lengths_are_checked_before_anything_is_exported(
    tiny_folder: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fwsvd_export.workflows.bench.run_onnx", lambda *arguments: pytest.fail("exported"))
    assert "takes at most 64 tokens" in refused("bench", tiny_folder, "--lengths", 65)


def test_throughput_is_of_whole_texts(
    tiny_folder: Path, compressed_folder: Path, data_file: Path, succeed: Succeed, refused: Refused
) -> None:
    words = ("bench", tiny_folder, compressed_folder, *SPEED, "--runtime", "torch,onnxruntime")
    data = ("--task", "sst2", "--data", data_file, "--batch-size", 8)
    dense, small = json.loads(succeed(*words, *data, "--throughput", 20, "--json"))["models"]
    for runtime in ("torch", "onnxruntime"):
        own, its = (model["runtimes"][runtime]["throughput"] for model in (small, dense))
        assert (own["sequences"], own["batch_size"], its["gain"]) == (20, 8, 1)
        assert own["gain"] == pytest.approx(own["rounds"][0] / its["rounds"][0])
        assert own["median"] > 0
    assert dense["runtimes"]["torch"]["value"] is not None
    command = json.loads(succeed(*words, *data, "--json"))["command"]
    assert "bench" in command[:3]
    assert command[-3:] == ["--batch-size", "8", "--json"]
    printed = succeed(*words, *data, "--throughput", 20)
    assert "sequences/s" in printed
    said = refused(*words, "--throughput", 20)
    assert "--throughput is measured on texts of the data; give --task and --data" in said
    said = refused(*words, *data, "--throughput", 0)
    assert "throughput 0: a whole number of texts of at least 1 is allowed" in said
