"""The commands that repeat the results name no local folder."""

from __future__ import annotations

from dataclasses import replace

import pytest
from click.testing import CliRunner

from fwsvd_export.cli import group
from fwsvd_export.report.page.chapters import ChapterFacts, chapters_of
from fwsvd_export.report.page.commands import commands_section
from fwsvd_export.report.page.facts import BenchFacts, CheckpointFacts, Facts, LossFacts, SweepFacts
from tests.report.page.results import (
    SMALL,
    TRAINING,
    bench_result,
    export_record,
    losses,
    measurements,
    record,
    sweep_result,
)

CHECKPOINT = CheckpointFacts("small", record(), SMALL, False, measurements(), export_record(), TRAINING)


def chapter(*found: Facts) -> ChapterFacts:
    (only,) = chapters_of(found)
    return only


def lines(*found: Facts) -> dict[str, str]:
    section = commands_section(chapter(*found))
    assert section is not None
    return {command.makes: command.line for command in section.commands}


def test_what_was_typed_is_repeated_without_folders() -> None:
    assert lines(SweepFacts("sweep", sweep_result()), CHECKPOINT) == {
        "sweep": "fwsvd-export sweep dense -o sweep",
        "small": "fwsvd-export compress dense small --ratio 0.1",
        "small, training": "fwsvd-export finetune small trained --teacher dense",
        "small, ONNX files": "fwsvd-export onnx small --int8 --task sst2 --data validation.jsonl --max-drop 0.01",
    }


@pytest.mark.parametrize("shard", [("--shard", "4/4"), ("--shard=4/4",)])
def test_the_command_of_a_sweep_that_shares_made_makes_the_whole(shard: tuple[str, ...]) -> None:
    sweep = SweepFacts("sweep", sweep_result(command=("fwsvd-export", "sweep", "dense", *shard, "-o", "sweep")))
    assert lines(sweep) == {"sweep": "fwsvd-export sweep dense -o sweep"}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("someone/glue:sst2 (validation)", "--dataset someone/glue:sst2 --split validation"),
        ("someone/reviews (test)", "--dataset someone/reviews --split test"),
        ("saved (test)", "--data saved --split test"),
    ],
)
def test_data_of_the_hub_and_splits_of_folders_are_named_by_their_options(data: str, words: str) -> None:
    bench = bench_result()
    found = lines(BenchFacts("bench", replace(bench, environment=replace(bench.environment, data=data))))["bench"]
    assert f"--task sst2 {words} --runtime" in found


def test_the_confidence_of_an_int8_target_and_models_of_one_name_are_told_apart() -> None:
    int8 = export_record().int8
    assert int8 is not None
    found = lines(replace(CHECKPOINT, export=export_record(int8=replace(int8, confidence=0.8))))
    assert found["small, ONNX files"].endswith("--max-drop 0.01 --confidence 0.8")
    bench = bench_result()
    models = [replace(model, model=f"/tmp/{side}/model") for model, side in zip(bench.models, "abc", strict=True)]
    assert "bench a/model b/model c/model --task" in lines(BenchFacts("b", replace(bench, models=tuple(models))))["b"]


def test_a_benchmark_is_repeated_as_it_was_typed() -> None:
    typed = ("fwsvd-export", "bench", "dense", "small", "--task", "sst2", "--label-map", "0=1", "--throughput", "64")
    line = lines(BenchFacts("bench", replace(bench_result(), command=typed)))["bench"]
    assert line == "fwsvd-export bench dense small --task sst2 --label-map 0=1 --throughput 64"


def test_a_benchmark_is_put_together_from_its_results_and_is_a_command() -> None:
    line = lines(BenchFacts("bench", bench_result()))["bench"]
    assert line == (
        "fwsvd-export bench dense models/small tiny --task sst2 --data validation.jsonl --runtime torch,onnxruntime "
        "--batch-sizes 1,8 --lengths 32 --threads 2 --rounds 5 -o bench"
    )
    result = CliRunner().invoke(group, [*line.split()[1:], "--help"])
    assert result.exit_code == 0


def test_what_is_not_known_is_left_out() -> None:
    result = bench_result()
    bare = replace(result, environment=replace(result.environment, task=None, data=None, threads=None))
    line = lines(BenchFacts("bench", replace(bare, models=tuple(replace(m, latency=()) for m in bare.models))))["bench"]
    assert line == "fwsvd-export bench dense models/small tiny --rounds 5 -o bench"
    plain = export_record(int8=None)
    found = lines(replace(CHECKPOINT, record=record(command=None), export=plain, training=None))
    assert found == {"small, ONNX files": "fwsvd-export onnx small"}
    assert commands_section(chapter(LossFacts("losses", losses()))) is None
