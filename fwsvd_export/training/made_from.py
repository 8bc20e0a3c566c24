"""What trained weights depend on, as digests: a run is continued only when all of it is the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from torch import Tensor

from fwsvd_export import __version__
from fwsvd_export.data.batches import Batches
from fwsvd_export.storage.schema import to_builtins
from fwsvd_export.training.settings import TrainingSettings


def batches_sha256(batches: Iterable[Mapping[str, Tensor]]) -> str:
    """Digest of the padded batches of some data, labels included.

    Example:
        >>> import torch
        >>> one, other = ([{"input_ids": torch.tensor([[number]])}] for number in (1, 2))
        >>> batches_sha256(one) == batches_sha256(one), batches_sha256(one) == batches_sha256(other)
        (True, False)
    """
    digest = hashlib.sha256()
    for batch in batches:
        for name, values in sorted(batch.items()):
            digest.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
            digest.update(values.contiguous().numpy().tobytes())
    return digest.hexdigest()


def made_from(
    model: tuple[str, str],
    teacher_sha256: str | None,
    batches: Iterable[Mapping[str, Tensor]],
    validation: Batches,
    settings: TrainingSettings,
    processes: int,
) -> dict[str, Any]:
    """Everything that trained weights depend on, JSON-ready, by the name that a message gives it.

    Args:
        model: digest of the weights of the model that comes in, and its configuration as JSON.
        teacher_sha256: of the teacher's; None without one.
        batches: training data, in batches.
        validation: the data that the best weights are chosen on, by the metric of its task.
        settings: resolved.
        processes: that train together.
    """
    task = validation.task
    return {
        "model": model[0],
        "model configuration": model[1],
        "task": f"{task.name}, {task.metric}, {task.label_names}",
        "teacher": teacher_sha256,
        "training data": batches_sha256(batches),
        "validation data": batches_sha256(validation),
        "processes": processes,
        "fwsvd-export": __version__,
        **{name: version(name) for name in ("torch", "transformers")},
        **{name.replace("_", " "): value for name, value in to_builtins(settings).items()},
    }
