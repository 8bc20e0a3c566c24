"""``compress --max-drop X --for size|latency``: what is tried is what is deployed, the exported graph under a runtime.

Statistics and decompositions are made once, every size is compressed and saved once, and what is in its folder is
exported and measured.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import torch

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.benchmark.latency import LatencyPlan, speedup, time_runners
from fwsvd_export.benchmark.run_under import bytes_under, check_runtimes, run_under, runner_of
from fwsvd_export.benchmark.runtimes import CALIBRATED, RUNTIME_FILES, libraries_of
from fwsvd_export.benchmark.turns import Runner
from fwsvd_export.checkpoints.folder import write_model
from fwsvd_export.checkpoints.gate import Gate, RecordedDeployment, RecordedTrial
from fwsvd_export.checkpoints.record import CompressionRecord
from fwsvd_export.compression.build import Compressed
from fwsvd_export.compression.checks import widths_of
from fwsvd_export.compression.prepare import Prepared, prepare
from fwsvd_export.data.batches import Batches
from fwsvd_export.data.request import DataRequest
from fwsvd_export.errors import DataError
from fwsvd_export.evaluation.chance import warn_below_chance
from fwsvd_export.evaluation.deployment import Deployment, DeploymentTrial, Space, cheapest_within
from fwsvd_export.evaluation.paired import Scored, paired_difference, scored
from fwsvd_export.evaluation.similarity import referred
from fwsvd_export.evaluation.target import Target
from fwsvd_export.export.folder import write_surroundings
from fwsvd_export.export.identity import Identity
from fwsvd_export.export.libraries import check_libraries
from fwsvd_export.export.openvino_int8 import write_openvino_int8
from fwsvd_export.export.quantize import quantize
from fwsvd_export.ranks.choices import smallest_ratio
from fwsvd_export.records import Budget
from fwsvd_export.runtime.progress import Steps, silent
from fwsvd_export.storage.file_names import INT8_FILE, ONNX_FILE, ONNX_FOLDER, OPENVINO_INT8_FILE
from fwsvd_export.storage.temporary import scratch_folder
from fwsvd_export.workflows.compress import Run, dtype_of, gate_of, prepare_run, write_run
from fwsvd_export.workflows.compress_request import CompressRequest
from fwsvd_export.workflows.deployment_request import SIZE, DeploymentRequest
from fwsvd_export.workflows.export import Exported, OnnxRequest, calibration_texts, int8_graph, run_onnx, write_float
from fwsvd_export.workflows.source import Source, load_source

RATIOS = (1.0, 0.75, 0.6, 0.5, 0.42, 0.35, 0.3, 0.25, 0.21, 0.18, 0.15, 0.125, 0.1, 0.085, 0.07, 0.06, 0.05)
SHARES = (1.0, 0.75, 0.5, 0.31, 0.2)  # of the word embeddings
LENGTH = 128  # tokens of the text that is timed
ROUNDS = 5
DENSE, FLOAT_RUNTIME = "dense", "onnxruntime"  # what a speed-up is over


def run_deployed(
    request: CompressRequest, asked: DeploymentRequest, steps: Steps = silent
) -> tuple[Compressed, CompressionRecord, Exported]:
    """Compresses a checkpoint to what is cheapest to deploy within the accuracy target, and exports it.

    Args:
        request: with a ``max_drop``.
        asked: what is to be small, and where.
        steps: progress.

    Raises:
        DataError, ExportError, MissingExtraError: as ``check_deployment``, before the long work.
    """
    check_deployment(request, asked)
    run = prepare_run(request, steps)
    compressed, gate = _search(run, asked, steps)
    record = write_run(run, compressed, gate, steps=steps)
    runtime = _runtime_of(gate)
    calibrated = None if request.data is None or runtime != CALIBRATED else request.data.without_labels()
    int8 = RUNTIME_FILES[runtime] == INT8_FILE
    source = Source(str(request.out), device="cpu")
    return compressed, record, run_onnx(OnnxRequest(source, int8=int8, openvino_int8=calibrated), steps)


def check_deployment(request: CompressRequest, asked: DeploymentRequest) -> None:
    """Refuses a search that could not be made.

    Raises:
        DataError: no text for the ranges of OpenVINO's activations in 8 bits.
        ExportError, MissingExtraError: a runtime that is not here.
    """
    if CALIBRATED in asked.runtimes and request.data is None:
        raise DataError(f"{CALIBRATED} takes the ranges of activations from text of the task: give --data")
    check_libraries(*libraries_of((*asked.runtimes, FLOAT_RUNTIME)), *(("nncf",) * (CALIBRATED in asked.runtimes)))
    check_runtimes(asked.runtimes)


def _search(run: Run, asked: DeploymentRequest, steps: Steps) -> tuple[Compressed, Gate]:
    """The model that is cheapest to deploy, and how it was found; ``run.inputs`` has its widths then."""
    request, target = run.request, cast(Target, run.request.target)
    with run.clock.phase("solve"):
        prepared = prepare(run.inputs, steps)
    measured = cast(DataRequest, request.validation or request.data)
    validation = referred(cast(Batches, run.validation), run.checkpoint.model)
    with run.clock.phase("trials"), scratch_folder("trials") as scratch:
        dense = scored(run.checkpoint.model, validation, validation.task)
        warn_below_chance(dense.measurement, validation.task, run.checkpoint.model.config)
        trials = _Trials(run, asked, prepared, validation, dense, scratch, steps)
        found = cheapest_within(_space(run, asked), trials.measure, _estimate(run.checkpoint.encoder, asked.goal))
        compressed = trials.compressed(found.best.deployment)
    best = found.best
    run.inputs = replace(run.inputs, size=replace(run.inputs.size, widths=best.deployment.widths))
    gate = gate_of(target, dense, measured, tuple(map(_recorded, found.trials)), kept=found.kept)
    return compressed, replace(gate, goal=asked.goal, chosen=found.trials.index(best))


def _runtime_of(gate: Gate) -> str:
    """The runtime of what is deployed."""
    assert gate.chosen is not None, "made with --for"
    deployment = gate.trials[gate.chosen].deployment
    assert deployment is not None, "made with --for"
    return deployment.runtime


_Key = tuple[float, float, str]


@dataclass
class _Trials:
    """Makes and measures deployments.

    Attributes:
        run: what is worked out once.
        asked: what is to be small.
        prepared: the decomposed model.
        validation: what the metric is measured on.
        dense: what the dense model says.
        scratch: gets a folder of every model.
        steps: progress.
        made: the models that may still be written, by all but their runtime.
        met: those of them that met the target.
    """

    run: Run
    asked: DeploymentRequest
    prepared: Prepared
    validation: Batches
    dense: Scored
    scratch: Path
    steps: Steps
    made: dict[_Key, Compressed] = field(default_factory=dict)
    met: set[_Key] = field(default_factory=set)

    def measure(self, deployment: Deployment) -> DeploymentTrial:
        """Compresses, exports, and measures under the runtime."""
        target, measured = cast(Target, self.run.request.target), self.run.request
        folder, runtime = self._folder(deployment), deployment.runtime
        data = cast(DataRequest, measured.validation or measured.data)
        what = f"evaluating ratio {deployment.ratio:g} ({runtime})"
        ours = scored(run_under(runtime, folder), self.validation, self.validation.task, self.steps, what)
        difference = target.bounded(
            paired_difference(ours, self.dense, self.run.checkpoint.name, target.confidence, data.seed)
        )
        kept, size, gain = target.met(difference), bytes_under(runtime, folder), self._speedup(folder, runtime)
        cost = size if self.asked.goal == SIZE else 1 / gain
        if kept:
            self.met.add(_key(deployment))
        elif _key(deployment) not in self.met:  # it is on disk; should it be written all the same, it is made again
            self.made.pop(_key(deployment), None)
        return DeploymentTrial(deployment, ours.measurement.value, difference, kept, cost, size, gain)

    def compressed(self, deployment: Deployment) -> Compressed:
        """The model of a deployment."""
        key = _key(deployment)
        if key not in self.made:
            share = None if deployment.embeddings == 1 else deployment.embeddings
            varied = self.prepared.varied(share, deployment.widths)
            self.made[key] = varied.at(Budget(ratio=deployment.ratio), self.steps)
        return self.made[key]

    def _folder(self, deployment: Deployment) -> Path:
        """The folder that has a deployment's exported graph."""
        ratio, share, widths = _key(deployment)
        # Named like the one that is asked for: the name stands in the exported file
        folder = self.scratch / f"{ratio:g} {share:g} {widths}" / self.run.request.out.name
        if not folder.exists():
            compressed = self.compressed(deployment)
            saved = copy.deepcopy(compressed.model).cpu().to(dtype_of(self.run))
            folder.mkdir(parents=True)
            write_model(saved, folder, self.run.checkpoint.carried)
        return self._exported(folder, deployment.runtime)

    def _exported(self, folder: Path, runtime: str) -> Path:
        """``onnx/`` of a model, with what the runtime reads."""
        place = folder / ONNX_FOLDER
        if not (place / RUNTIME_FILES[runtime]).is_file():
            checkpoint = load_source(Source(str(folder), device="cpu"))
            encoder, identity = checkpoint.encoder, Identity.of(checkpoint)
            if not place.exists():
                place.mkdir()
                write_surroundings(checkpoint, place)
                write_float(place, encoder, identity)
            if RUNTIME_FILES[runtime] == INT8_FILE:
                quantize(int8_graph(place, encoder, identity), place / INT8_FILE)
            if RUNTIME_FILES[runtime] == OPENVINO_INT8_FILE:
                texts = calibration_texts(cast(DataRequest, self.run.request.data), checkpoint)
                write_openvino_int8(place / ONNX_FILE, place, texts, identity)
        return place

    def _speedup(self, folder: Path, runtime: str) -> float:
        """How many times as fast as the dense model in float one text is, both in turn."""
        encoder, threads = self.run.checkpoint.encoder, torch.get_num_threads()
        dense = self.scratch / DENSE
        if not dense.exists():
            dense.mkdir()
            checkpoint = load_source(replace(self.run.request.source, device="cpu"))  # ours may be elsewhere
            write_surroundings(checkpoint, dense)
            write_float(dense, checkpoint.encoder, Identity.of(checkpoint))
        openers: dict[str, Callable[[], Runner]] = {
            DENSE: lambda: runner_of(run_under(FLOAT_RUNTIME, dense, threads), encoder.inputs),
            runtime: lambda: runner_of(run_under(runtime, folder, threads), encoder.inputs),
        }
        plan = LatencyPlan((1,), (min(LENGTH, encoder.usable_length),), threads, ROUNDS)
        timings = time_runners(openers, plan, encoder.embedding.out_features, sorted(encoder.inputs))
        return speedup(timings[DENSE][0], timings[runtime][0])


def _key(deployment: Deployment) -> _Key:
    return deployment.ratio, deployment.embeddings, deployment.widths


def _space(run: Run, asked: DeploymentRequest) -> Space:
    """What may be deployed: what was asked for stays as it was asked for."""
    size, encoder = run.request.size, run.checkpoint.encoder
    least = smallest_ratio(encoder.layers, size.limits)
    shares = SHARES if asked.goal == SIZE else SHARES[:1]
    narrows = widths_of(encoder, run.inputs.solver, size) == "auto"
    widths = ("auto", "keep") if narrows and size.widths is None else ("auto",) if narrows else ("keep",)
    return Space(
        ratios=tuple(ratio for ratio in RATIOS if ratio >= least),
        embeddings=shares if size.embeddings is None else (size.embeddings,),
        widths=widths,
        runtimes=asked.runtimes,
    )


def _estimate(encoder: Encoder, goal: str) -> Callable[[Deployment], float]:
    """What a deployment costs, about: bytes of its file, or the share of the products."""
    linear, words = sum(layer.weights for layer in encoder.layers), encoder.embedding.weights

    def cost(deployment: Deployment) -> float:
        byte = 1 if "int8" in deployment.runtime else 4
        weights = deployment.ratio * linear + deployment.embeddings * words * (goal == SIZE)
        return byte * weights

    return cost


def _recorded(trial: DeploymentTrial) -> RecordedTrial:
    """A trial as ``compression.json`` has it."""
    tried, difference = trial.deployment, trial.difference
    made = RecordedDeployment(tried.runtime, tried.embeddings, tried.widths, trial.file_bytes, trial.speedup)
    return RecordedTrial(tried.ratio, trial.value, trial.kept, difference.low, difference.high, made)
