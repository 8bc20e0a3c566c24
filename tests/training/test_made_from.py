"""What weights are made from changes with everything that they depend on."""

from __future__ import annotations

from dataclasses import replace

import torch

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


def test_everything_is_in_it_by_name() -> None:
    settings = TrainingSettings(epochs=1, learning_rate=1e-3)
    one = made_from("model", None, [BATCH], [BATCH], settings, 1)
    changed = {
        "model": made_from("other", None, [BATCH], [BATCH], settings, 1),
        "teacher": made_from("model", "dense", [BATCH], [BATCH], settings, 1),
        "training data": made_from("model", None, [], [BATCH], settings, 1),
        "validation data": made_from("model", None, [BATCH], [], settings, 1),
        "processes": made_from("model", None, [BATCH], [BATCH], settings, 2),
        "seed": made_from("model", None, [BATCH], [BATCH], replace(settings, seed=1), 1),
        "learning rate": made_from("model", None, [BATCH], [BATCH], replace(settings, learning_rate=1e-4), 1),
    }
    for name, other in changed.items():
        assert [key for key in one if one[key] != other[key]] == [name]
