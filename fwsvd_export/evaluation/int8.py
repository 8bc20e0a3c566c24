"""The int8 copy of an ONNX model: written, measured on data, mixed with float where an accuracy target asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fwsvd_export.data.tasks import Task
from fwsvd_export.evaluation.difference import CONFIDENCE, Difference
from fwsvd_export.evaluation.forward import Forward
from fwsvd_export.evaluation.paired import Scored, paired_difference, scored
from fwsvd_export.evaluation.precision import Compare, MixedTrial, fewest_in_float, in_order_of_worth
from fwsvd_export.evaluation.target import Target
from fwsvd_export.export.quantize import quantize, units_of, weights_of
from fwsvd_export.export.session import OnnxModel
from fwsvd_export.runtime.progress import Steps, silent, tracked

SENSITIVITY_EXAMPLES = 128  # how far predictions move shows on any hundred examples
_TRIAL_FILE = "trial.onnx"
_FLOAT = "float"  # what a difference calls the model that it is taken from


@dataclass(frozen=True)
class Int8Files:
    """Names inside one folder: the float model that is there, and the int8 model to write."""

    folder: Path
    float_file: str
    int8_file: str


@dataclass(frozen=True)
class Int8Data:
    """What the int8 model is measured on, and what it must meet against the float model (None: nothing).

    The seed is that of the resamples.
    """

    batches: Sequence[dict[str, Tensor]]
    task: Task
    name: str
    target: Target | None = None
    seed: int = 0


@dataclass(frozen=True)
class Int8Report:
    """Both metrics and how they came about.

    Attributes:
        task: preset.
        data: name of the data.
        examples: how many.
        metric: its name.
        float_value: of the float ONNX model.
        value: of the int8 model that was written.
        difference: of it from the float model; with a target bounded as ``Target.bounded`` does it.
        target: the accuracy target, or None.
        kept: whether it is met; None without a target.
        kept_float: units left in float.
        trials: mixed models that were tried.
        sensitivities: unit -> root mean square change of the predictions when only it is quantised.
    """

    task: str
    data: str
    examples: int
    metric: str
    float_value: float
    value: float
    difference: Difference
    target: Target | None = None
    kept: bool | None = None
    kept_float: tuple[str, ...] = ()
    trials: tuple[MixedTrial, ...] = ()
    sensitivities: dict[str, float] | None = None


def write_int8(graph: Any, files: Int8Files, data: Int8Data | None, steps: Steps = silent) -> Int8Report | None:
    """Writes the int8 model; measures it where there is data.

    When the whole model in int8 drops too much, sensitive units stay in float, as few as meet the target; when no
    mixed model meets it, the whole model in int8 is what is written.

    Args:
        graph: the float ``onnx.ModelProto``.
        files: where.
        data: what to measure on, or None.
        steps: progress.

    Raises:
        DataError, MissingExtraError, WeightError: as ``evaluate_model``.
    """
    quantize(graph, files.folder / files.int8_file)
    if data is None:
        return None
    before = _scored(files.folder / files.float_file, data, steps, "measuring float")
    after = _scored(files.folder / files.int8_file, data, steps, "measuring int8")
    measured = before.measurement
    found = (data.task.name, data.name, measured.examples, measured.metric, measured.value)
    difference = _difference(after, before, data)
    if data.target is None:
        return Int8Report(*found, after.measurement.value, difference)
    difference = data.target.bounded(difference)
    if data.target.met(difference):
        return Int8Report(*found, after.measurement.value, difference, data.target, kept=True)
    sensitivities = _sensitivities(graph, files, data, steps)
    order = in_order_of_worth(sensitivities, weights_of(graph))
    mixed = fewest_in_float(order, _comparison(graph, files, data, before), data.target)
    value = after.measurement.value
    if mixed.kept:
        quantize(graph, files.folder / files.int8_file, mixed.kept_float)
        chosen = next(trial for trial in mixed.trials if trial.kept_float == len(mixed.kept_float))
        value, difference = chosen.value, chosen.difference
    return Int8Report(
        *found, value, difference, data.target, mixed.kept, mixed.kept_float, mixed.trials, sensitivities=sensitivities
    )


def _scored(file: Path, data: Int8Data, steps: Steps = silent, what: str = "") -> Scored:
    return scored(OnnxModel(file.parent, file.name), data.batches, data.task, steps, what)


def _difference(ours: Scored, before: Scored, data: Int8Data) -> Difference:
    confidence = CONFIDENCE if data.target is None else data.target.confidence
    return paired_difference(ours, before, _FLOAT, confidence, data.seed)


def _sensitivities(graph: Any, files: Int8Files, data: Int8Data, steps: Steps) -> dict[str, float]:
    """How far the predictions on some examples move when one unit alone is quantised."""
    sample = _spread(data.batches)
    expected = _predictions(Forward(OnnxModel(files.folder, files.float_file), data.task), sample)
    units = units_of(graph)
    trial, found = files.folder / _TRIAL_FILE, {}
    for unit in tracked(units, len(units), "sensitivity to int8", steps):
        quantize(graph, trial, set(units) - {unit})
        moved = _predictions(Forward(OnnxModel(files.folder, _TRIAL_FILE), data.task), sample) - expected
        found[unit] = float(moved.square().mean().sqrt())
        trial.unlink()
    return found


def _comparison(graph: Any, files: Int8Files, data: Int8Data, before: Scored) -> Compare:
    """A function that makes a mixed model and compares it with the float one."""
    trial = files.folder / _TRIAL_FILE

    def compare(kept_float: tuple[str, ...]) -> tuple[float, Difference]:
        quantize(graph, trial, kept_float)
        found = _scored(trial, data)
        trial.unlink()
        return found.measurement.value, _difference(found, before, data)

    return compare


def _spread(batches: Sequence[dict[str, Tensor]]) -> list[dict[str, Tensor]]:
    """Batches of all lengths (they are sorted by it) with about ``SENSITIVITY_EXAMPLES`` examples."""
    wanted = max(1, SENSITIVITY_EXAMPLES // max(1, len(batches[0]["input_ids"])))
    stride = max(1, len(batches) // wanted)
    return [batches[index] for index in range(0, len(batches), stride)][:wanted]


def _predictions(forward: Forward, batches: Sequence[Mapping[str, Tensor]]) -> Tensor:
    return torch.cat([output.flatten() for batch in batches for output in forward(batch)])
