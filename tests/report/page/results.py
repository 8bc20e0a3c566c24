"""Results of one dense model as commands leave them in folders, made without a model; the tests beside import them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from fwsvd_export.benchmark.result import BenchEnvironment, BenchModel, BenchResult, BenchRuntime, BenchTiming
from fwsvd_export.checkpoints.gate import Gate, RecordedTrial
from fwsvd_export.checkpoints.record import (
    Asked,
    CompressionRecord,
    FileDigest,
    HistoryEntry,
    RecordedFisher,
    RecordedLayer,
    RecordedParameters,
    RecordedReconstruction,
)
from fwsvd_export.evaluation.difference import Difference
from fwsvd_export.export.record import ExportRecord, RecordedCheck, RecordedDifference, RecordedInt8
from fwsvd_export.hub.card.measurements import (
    FileSize,
    Latency,
    Measurements,
    Run,
    RunModel,
    Score,
    ScoreEnvironment,
)
from fwsvd_export.report.losses import RecordedLoss, RecordedLosses
from fwsvd_export.runtime.environment import Environment
from fwsvd_export.sweep.result import TRAININGS, SweepDense, SweepResult, SweepRow
from fwsvd_export.training.history import TrainingStep
from fwsvd_export.training.record import TrainingRecord
from fwsvd_export.training.settings import TrainingSettings

BASE, SMALL = "a" * 64, "b" * 64  # digests
HOSTILE = "</script><img src=x onerror=alert(1)><b>\"'&amp;%{y}"
VERSIONS = {"fwsvd-export": "0.1.0", "torch": "2.13.0"}
MACHINE = Environment("a processor", 2, None, 2, VERSIONS)
DENSE_VALUE = 0.884
ROLES = ("attention.query", "attention.value", "feed_forward")
RANKS: dict[str, int | None] = {f"layer.{n}.{role}": 4 + n for n in range(2) for role in ROLES} | {
    "layer.1.feed_forward": None
}


TRIALS = (RecordedTrial(0.1, 0.87, True, -0.019, 0.001), RecordedTrial(0.05, 0.86, False, -0.041, -0.01))


def difference(value: float) -> Difference:
    return Difference("dense", value, value - 0.013, value + 0.012, 0.95, 872, DENSE_VALUE)


def sweep_row(method: str, ratio: float, value: float, **more: Any) -> SweepRow:
    training = more.pop("training", "none")
    return SweepRow(
        method=method,
        ratio=ratio,
        rank=None,
        seed=more.pop("seed", 0),
        finetuned=training != "none",
        training=training,
        metric="accuracy",
        value=value,
        examples=872,
        difference=difference(value - DENSE_VALUE),
        parameters=round(12_000_000 + 10_000_000 * ratio),
        linear_ratio=ratio,
        ranks=RANKS,
        seconds=12.0,
        key="0" * 64,
        **more,
    )


def sweep_result(methods: tuple[str, ...] = ("svd", "kfac"), seeds: int = 2, **changes: Any) -> SweepResult:
    """Two methods, three sizes, every training, of which kfac at 10 % and distilled is the smallest that does."""
    rows = [
        sweep_row(method, ratio, 0.872 - 0.15 * (len(methods) - place) * (0.3 - ratio) / (1 + 2 * done) + 0.002 * seed,
                  training=training, seed=seed)
        for place, method in enumerate(methods)
        for ratio in (0.05, 0.10, 0.25)
        for done, training in enumerate(TRAININGS)
        for seed in range(seeds)
    ]  # fmt: skip
    found = SweepResult(
        model="/home/me/models/dense",
        base_sha256=BASE,
        task="sst2",
        data="train.jsonl",
        validation="validation.jsonl",
        metric="accuracy",
        dense=SweepDense(value=DENSE_VALUE, parameters=22_000_000, linear_weights=10_000_000),
        rows=tuple(rows),
        planned=len(rows) + 6,
        command=("fwsvd-export", "sweep", "/home/me/models/dense", "-o", "sweep"),
        environment=MACHINE,
    )
    return replace(found, **changes)


def bench_model(name: str, sha256: str, parameters: int, value: float, speed: float) -> BenchModel:
    runtimes = ("torch", "onnxruntime")
    return BenchModel(
        model=name,
        sha256=sha256,
        parameters=parameters,
        metric="accuracy",
        value=value,
        examples=872,
        runtimes={
            runtime: BenchRuntime(
                4 * parameters, value, difference=difference(value - DENSE_VALUE) if speed > 1 else None
            )
            for runtime in runtimes
        },
        latency=tuple(
            BenchTiming(runtime, batch, 32, batch * ms / speed, 1.1 * batch * ms / speed, (), speed, 2 * speed)
            for runtime, ms in zip(runtimes, (20.0, 10.0), strict=True)
            for batch in (1, 8)
        ),
    )


def bench_result(small: str = "models/small") -> BenchResult:
    environment = BenchEnvironment(**vars(MACHINE), rounds=5, repeats=3, task="sst2", data="validation.jsonl")
    dense = bench_model("/home/me/models/dense", BASE, 22_000_000, DENSE_VALUE, 1.0)
    others = bench_model(small, SMALL, 13_000_000, 0.87, 2.9), bench_model("tiny", "c" * 64, 12_000_000, 0.5, 4.0)
    return BenchResult((dense, *others), environment)


def record(**changes: Any) -> CompressionRecord:
    found = CompressionRecord(
        base_model="dense",
        base_sha256=BASE,
        command=("fwsvd-export", "compress", "dense", "small", "--ratio", "0.1"),
        method="kfac",
        allocate="greedy",
        asked=Asked(ratio=0.1),
        reconstruction=RecordedReconstruction(20_000, 900),
        parameters=RecordedParameters(10_000_000, 1_000_000, 0.1, 22_000_000, 13_000_000),
        layers=tuple(RecordedLayer(name, (32, 64), rank, rank is None, 0.01) for name, rank in RANKS.items()),
        fisher=RecordedFisher("sst2", "train.jsonl", 512, "data", 128, None),
        seconds={"solve": 3.0},
        versions=VERSIONS,
        gate=Gate(0.02, "accuracy", DENSE_VALUE, "held.jsonl", 400, True, TRIALS, confidence=0.95),
        files={"model.safetensors": FileDigest(52_000_000, SMALL)},
        history=(
            HistoryEntry("compress", "d" * 64),
            HistoryEntry("finetune", SMALL, {"epochs": 2, "teacher": "dense"}),
        ),
    )
    return replace(found, **changes)


def measurements() -> Measurements:
    environment = ScoreEnvironment(**vars(MACHINE))
    models = {"dense": (BASE, DENSE_VALUE, 1.0), "compressed": (SMALL, 0.87, 2.9)}
    scores = [
        Score(name, sha256, "sst2", "validation.jsonl", "torch", "accuracy", value, {}, 872, environment)
        for name, (sha256, value, _) in models.items()
    ]
    runs = [
        RunModel(name, sha256, 13_000_000, {"torch": FileSize(52_000_000)},
                 (Latency("torch", 1, 32, 20 / speed, 22 / speed, speed, 2 * speed),))
        for name, (sha256, _, speed) in models.items()
    ]  # fmt: skip
    return Measurements(scores=tuple(scores), runs=(Run(environment, tuple(runs)),))


def export_record(**changes: Any) -> ExportRecord:
    shape = RecordedDifference(1, 8, False, 2e-6)
    found = ExportRecord(
        model="small",
        class_name="Model",
        weights_sha256="e" * 64,
        file_sha256=SMALL,
        settings={},
        opset=18,
        check=RecordedCheck(1e-4, True, shape, (shape,)),
        int8=RecordedInt8(0.1, "sst2", "validation.jsonl", 872, "accuracy", 0.87, 0.869, 0.01, True),
        files={},
    )
    return replace(found, **changes)


def losses(**changes: Any) -> RecordedLosses:
    layers = (RecordedLoss(name, rank, 1e-4 * rank, 2e-4 * rank) for name, rank in RANKS.items() if rank is not None)
    found = RecordedLosses(
        rank_correlation=0.9, layers=tuple(layers), examples=256, base_model="dense", base_sha256=BASE, method="kfac"
    )
    return replace(found, **changes)


TRAINING = TrainingRecord(
    model="small",
    model_sha256="d" * 64,
    teacher="dense",
    teacher_sha256=BASE,
    task="sst2",
    data="train.jsonl",
    examples=8192,
    validation="validation.jsonl",
    validation_examples=872,
    metric="accuracy",
    start=0.85,
    best=0.87,
    best_step=20,
    planned=20,
    steps=(TrainingStep(0, 0.85), TrainingStep(10, 0.86, 0.6), TrainingStep(20, 0.87, 0.5)),
    settings=TrainingSettings().resolved(distilled=True),
    batch_size=32,
    command=("fwsvd-export", "finetune", "/home/me/small", "trained", "--teacher", "dense"),
    versions={**VERSIONS, "accelerate": "1.15.0"},
)


def write(folder: Path, name: str, content: Any) -> Path:
    """A JSON file in a folder, which is made where it is missing; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(content if isinstance(content, dict) else content.to_json()))
    return folder


def write_all(parent: Path, small: str = "models/small", methods: tuple[str, ...] = ("svd", "kfac")) -> list[Path]:
    """A folder of every kind: a sweep, a benchmark, a compressed checkpoint with all that may lie in it, and losses."""
    checkpoint = write(parent / "small", "compression.json", record())
    write(checkpoint, "measurements.json", measurements())
    write(checkpoint, "training.json", TRAINING)
    write(checkpoint, "onnx/export.json", export_record())
    return [
        write(parent / "sweep", "results.json", sweep_result(methods)),
        write(parent / "bench", "results.json", bench_result(small)),
        checkpoint,
        write(parent / "losses", "losses.json", losses()),
    ]
