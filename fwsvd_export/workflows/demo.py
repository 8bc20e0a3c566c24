"""The whole job on an embedded real model and real sentences, without network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

from fwsvd_export.benchmark.latency import LatencyPlan
from fwsvd_export.benchmark.result import BenchResult
from fwsvd_export.benchmark.runtimes import TORCH, USUAL_RUNTIMES
from fwsvd_export.checkpoints.carried import Carried
from fwsvd_export.checkpoints.folder import write_dense
from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.checkpoints.record import CompressionRecord
from fwsvd_export.checkpoints.weights import stored_weights
from fwsvd_export.data.request import DataRequest
from fwsvd_export.errors import MissingExtraError
from fwsvd_export.export.libraries import check_libraries
from fwsvd_export.records import Budget, RankRequest
from fwsvd_export.report.figures import check_figures, draw_accuracy_and_latency
from fwsvd_export.report.page.render import plotly_script
from fwsvd_export.runtime.device import device_named
from fwsvd_export.runtime.environment import machine
from fwsvd_export.runtime.progress import Steps, silent
from fwsvd_export.storage.json_files import write_json
from fwsvd_export.storage.output import atomic_output
from fwsvd_export.storage.temporary import scratch_folder
from fwsvd_export.training.settings import TrainingSettings
from fwsvd_export.workflows.bench import BenchRequest, run_bench
from fwsvd_export.workflows.compress import run_compress
from fwsvd_export.workflows.compress_request import CompressRequest
from fwsvd_export.workflows.demo_assets import LABELS, MODEL, REVIEWS, TASK, checked_asset, split_reviews
from fwsvd_export.workflows.demo_report import Measured, write_demo_report
from fwsvd_export.workflows.evaluate import run_evaluate
from fwsvd_export.workflows.export import OnnxRequest, run_onnx
from fwsvd_export.workflows.finetune import run_finetune
from fwsvd_export.workflows.finetune_request import FinetuneRequest
from fwsvd_export.workflows.fisher import run_fisher
from fwsvd_export.workflows.source import Source, Stopwatch

METHODS = ("svd", "fwsvd", "kfac")
RATIO = 0.25  # of the encoder's linear weights
TRAIN_ROWS = 6400
TEST_ROWS = 2000
CALIBRATION_ROWS = 1024
BATCH_SIZE = 32
HELD_OUT_ROWS = 400  # of the training rows: whether training is better than its start is seen on them
SETTINGS = TrainingSettings(epochs=1, learning_rate=2e-4, embeddings="train", evaluations=1)
BATCH_SIZES, LENGTHS = (1,), (32, 128)  # of the latencies: one sentence, short or long

# What lies in the demo's folder
DENSE, SMALL = "dense", "kfac"  # the two models that are exported and timed
TRAIN_FILE, TEST_FILE = "reviews-train.csv", "reviews-test.csv"
STATISTICS_FILE = "fisher.safetensors"
RESULTS_FILE = "results.json"
PICTURE = "demo.png"


@dataclass(frozen=True)
class DemoRow:
    """One model: its size, the metric under torch, and how long it took to make.

    Attributes:
        model: the name of its folder.
        parameters: all of them.
        linear_weights: those of the encoder's linear layers.
        file_bytes: of the weights file.
        dtype: of the weights in it.
        accuracy: on the test sentences.
        compress_seconds: wall time; 0 for the dense model.
    """

    model: str
    parameters: int
    linear_weights: int
    file_bytes: int
    dtype: str
    accuracy: float
    compress_seconds: float


@dataclass(frozen=True)
class DemoResult:
    """What the demo measured.

    Attributes:
        rows: the dense model, then a compressed one per method.
        bench: the dense model and the one by ``SMALL``, under every runtime.
        test_examples: sentences that the accuracies were measured on.
        seconds: wall time of each stage.
        left_out: why there is no ONNX part, in one sentence; None when there is one.
        outside_atol: models whose ONNX file differs from torch by more than it may.
    """

    rows: tuple[DemoRow, ...]
    bench: BenchResult
    test_examples: int
    seconds: dict[str, float]
    left_out: str | None = None
    outside_atol: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As in the folder's ``results.json``: what ``bench`` writes, and more, so that ``card`` reads it too."""
        own = {name: value for name, value in asdict(self).items() if name != "bench"}
        return {**own, **self.bench.to_json()}


def run_demo(out: Path, *, device: str = "auto", overwrite: bool = False, steps: Steps = silent) -> DemoResult:
    """Fine-tunes a classifier, compresses it three ways to one size, exports and times it, and writes a folder.

    The folder holds the four models, the data, the statistics, ``results.json``, a picture and ``report.html``; the
    dense and the kfac model have ``onnx/``, and the compressed models' cards say what was measured.

    Args:
        out: the folder; it appears whole or not at all.
        device: for everything but ONNX and latencies, which are the CPU's.
        overwrite: replace ``out``.
        steps: progress.

    Raises:
        MissingExtraError: the ``demo`` extra is not installed; without the ``onnx`` extra that part is left out.
        DataError: the model or the sentences are not those that the demo was made with.
        OutputError: ``out`` exists, or the disk is full.
    """
    with atomic_output(out, overwrite) as folder:
        encoder, reviews = checked_asset(MODEL).parent, checked_asset(REVIEWS)
        check_figures()
        plotly_script()  # or a library that is missing would be found after the work
        left_out = _missing_onnx()
        folder.mkdir()
        clock = Stopwatch()
        with clock.phase("prepare"):
            split_reviews(reviews, (folder / TRAIN_FILE, TRAIN_ROWS), (folder / TEST_FILE, TEST_ROWS))
        with clock.phase("fine-tune"):
            _train_dense(encoder, folder, device, steps)
        records = _compress(folder, device, clock, steps)
        runtimes = (TORCH,) if left_out else USUAL_RUNTIMES
        outside: tuple[str, ...] = ()
        if not left_out:
            with clock.phase("onnx"):
                outside = _export(folder, steps)
        with clock.phase("bench"):
            bench = _bench(folder, runtimes, steps)
        with clock.phase("evaluate"):
            rows = _rows(folder, records, bench, clock.seconds, device, steps)
        result = DemoResult(rows, bench, TEST_ROWS, clock.seconds, left_out, outside)
        _write_results(folder, result, device)
    return result


def _missing_onnx() -> str | None:
    """Why ONNX files cannot be made here, or None when they can."""
    try:
        check_libraries()
    except MissingExtraError as error:
        return f"ONNX files and their latencies are left out: {error}"
    return None


def _train_dense(encoder: Path, folder: Path, device: str, steps: Steps) -> None:
    """The pretrained encoder with a new two-class head, fine-tuned for one epoch."""
    base = load_checkpoint(str(encoder))
    torch.manual_seed(0)  # the head's initial weights
    model: Any = AutoModelForSequenceClassification.from_pretrained(
        encoder, num_labels=len(LABELS), id2label=LABELS, label2id={name: index for index, name in LABELS.items()}
    )
    data = DataRequest(TASK, folder / TRAIN_FILE, max_samples=TRAIN_ROWS - HELD_OUT_ROWS, batch_size=BATCH_SIZE)
    with scratch_folder("demo") as scratch:
        write_dense(model, scratch / "new-head", Carried(tuple(base.tokenizer_files)))
        start = Source(str(scratch / "new-head"), device=device)
        run_finetune(FinetuneRequest(start, folder / DENSE, data, settings=SETTINGS), steps)


def _compress(folder: Path, device: str, clock: Stopwatch, steps: Steps) -> dict[str, CompressionRecord]:
    """Statistics once, then a folder per method, all of one size; the records by method."""
    source, statistics = Source(str(folder / DENSE), device=device), folder / STATISTICS_FILE
    calibration = DataRequest(TASK, folder / TRAIN_FILE, max_samples=CALIBRATION_ROWS)
    with clock.phase("statistics"):
        run_fisher(source, statistics, calibration, collect=("kfac", "row"), labels="data", steps=steps)
    records = {}
    for method in METHODS:
        request = CompressRequest(source, folder / method, method, RankRequest(Budget(ratio=RATIO)), fisher=statistics)
        with clock.phase(method):
            _, records[method] = run_compress(request, steps)
    return records


def _export(folder: Path, steps: Steps) -> tuple[str, ...]:
    """``onnx/`` in the folders of the dense and the small model; names those that differ too much from torch."""
    exported = {name: run_onnx(OnnxRequest(Source(str(folder / name)), int8=True), steps) for name in (DENSE, SMALL)}
    return tuple(name for name, found in exported.items() if not found.within_atol)


def _bench(folder: Path, runtimes: tuple[str, ...], steps: Steps) -> BenchResult:
    """Accuracy and latency of the dense and the small model; they are called by the names of their folders."""
    request = BenchRequest(
        models=tuple(Source(str(folder / name), device="cpu") for name in (DENSE, SMALL)),
        runtimes=runtimes,
        plan=LatencyPlan(BATCH_SIZES, LENGTHS, torch.get_num_threads()),
        data=_test_data(folder),
        exported=True,
    )
    result = run_bench(request, steps)
    return result.renamed(lambda folder: Path(folder).name)


def _test_data(folder: Path) -> DataRequest:
    return DataRequest(TASK, folder / TEST_FILE, batch_size=BATCH_SIZE)


def _rows(
    folder: Path,
    records: Mapping[str, CompressionRecord],
    bench: BenchResult,
    seconds: Mapping[str, float],
    device: str,
    steps: Steps,
) -> tuple[DemoRow, ...]:
    """A row per model; those that the benchmark has not scored are scored here."""
    accuracies = {row.model: row.value for row in bench.models}

    def row(name: str, parameters: int, linear_weights: int) -> DemoRow:
        accuracy = accuracies.get(name)
        if accuracy is None:
            evaluated = run_evaluate(Source(str(folder / name), device=device), _test_data(folder), steps)
            accuracy = evaluated.measurement.value
        stored = stored_weights(folder / name)
        return DemoRow(name, parameters, linear_weights, stored.bytes, stored.dtype, accuracy, seconds.get(name, 0.0))

    sizes = {method: record.parameters for method, record in records.items()}
    dense = row(DENSE, sizes[SMALL].total_dense, sizes[SMALL].linear_dense)
    small = (row(method, size.total_compressed, size.linear_compressed) for method, size in sizes.items())
    return dense, *small


def _write_results(folder: Path, result: DemoResult, device: str) -> None:
    """``results.json``, the picture, the compressed models' cards with what was measured, and the page."""
    write_json(folder / RESULTS_FILE, result.to_json())
    shape = (BATCH_SIZES[0], LENGTHS[-1])
    accuracies = {row.model: row.accuracy for row in result.rows}
    draw_accuracy_and_latency(accuracies, result.bench.models, shape, folder / PICTURE)
    measured = Measured(TEST_FILE, TEST_ROWS, machine(torch.get_num_threads(), device=device_named(device)))
    write_demo_report(folder, accuracies, measured, {SMALL: folder / RESULTS_FILE})
