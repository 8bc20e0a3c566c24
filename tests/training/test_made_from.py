"""What weights are made from changes with everything that they depend on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import torch

from fwsvd_export.data.batches import Batches
from fwsvd_export.data.tasks import Task, task_named
from fwsvd_export.training.made_from import batches_sha256, made_from
from fwsvd_export.training.settings import TrainingSettings

BATCH = {"input_ids": torch.tensor([[2, 5, 3]]), "labels": torch.tensor([1])}


def test_a_digest_of_batches_sees_values_names_shapes_and_order() -> None:
    others = [
        [{**BATCH, "labels": torch.tensor([0])}],
        [{"input_ids": BATCH["input_ids"]}],
        [{**BATCH, "input_ids": torch.tensor([[2], [5], [3]])}],
        [BATCH, BATCH],
        [],
    ]
    assert len({batches_sha256(batches) for batches in ([BATCH], *others)}) == 1 + len(others)
    assert batches_sha256([BATCH]) == batches_sha256([dict(reversed(BATCH.items()))])


class Held(Batches):
    """Batches that are there already."""

    def __init__(self, batches: list[dict[str, torch.Tensor]], task: Task) -> None:
        super().__init__([], None, 1, task)
        self._batches = batches

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        return iter(self._batches)


def test_everything_is_in_it_by_name() -> None:
    settings, task = TrainingSettings(epochs=1, learning_rate=1e-3), task_named("sst2")
    values: dict[str, Any] = {
        "model": ("model", "{}"),
        "teacher_sha256": None,
        "batches": [BATCH],
        "validation": Held([BATCH], task),
        "settings": settings,
        "processes": 1,
    }
    one = made_from(**values)
    changed: dict[str, dict[str, Any]] = {
        "model": {"model": ("other", "{}")},
        "model configuration": {"model": ("model", '{"layer_norm_eps": 1}')},
        "task": {"validation": Held([BATCH], task_named("cola"))},
        "teacher": {"teacher_sha256": "dense"},
        "training data": {"batches": []},
        "validation data": {"validation": Held([], task)},
        "processes": {"processes": 2},
    }
    given = {"learning_rate": 1e-4, "epochs": 2.0, "embeddings": "train", "label_weight": 0.5, "hidden_weight": 0.0}
    given |= {"evaluations": 3, "patience": 1, "precision": "bfloat16", "seed": 1}
    changed |= {
        name.replace("_", " "): {"settings": replace(settings, **{name: value})} for name, value in given.items()
    }
    assert set(given) == {field.name for field in fields(settings)}
    for name, other in changed.items():
        made = made_from(**{**values, **other})
        assert [key for key in one if one[key] != made[key]] == [name]


def test_names_of_classes_are_part_of_it() -> None:
    task = task_named("ner")
    tasks = (task, replace(task, label_names=("O", "B-A")))
    found = [made_from(("m", ""), None, [], Held([], one), TrainingSettings(), 1)["task"] for one in tasks]
    assert found[0] != found[1]
