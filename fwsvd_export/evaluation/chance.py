"""Whether a metric is worse than guessing, as it is when labels mean other classes than the model's."""

from __future__ import annotations

import math
import warnings
from typing import Any

from fwsvd_export.data.tasks import Task
from fwsvd_export.errors import DataWarning
from fwsvd_export.records import Measurement

_DEVIATIONS = 3  # a guess falls so far below its mean once in 700 times
_CORRELATIONS = ("matthews_correlation", "pearson_spearman_mean", "cosine_spearman")


def warn_below_chance(measured: Measurement, task: Task, config: Any) -> None:
    """Warns when a dense model's metric is below what guessing gives, by more than three standard deviations.

    Guessing scores 1 / classes in accuracy and 0 in a correlation; other metrics have no such value.

    Args:
        measured: of a model before anything was done to it.
        task: that it was measured on.
        config: of the model.
    """
    if measured.metric == "accuracy":
        chance = 1 / config.num_labels
        deviation = math.sqrt(chance * (1 - chance) / measured.examples)
    elif measured.metric in _CORRELATIONS:
        chance, deviation = 0.0, 1 / math.sqrt(measured.examples)
    else:
        return
    if measured.value < chance - _DEVIATIONS * deviation:
        remedy = "map them with --label-map" if task.labels == "class" else "check the label column"
        warnings.warn(
            f"{measured.metric} is {measured.value:.4f} on {measured.examples:,} examples, below the {chance:.2f} of "
            f"guessing: the data's labels seem to mean something else than the model's; {remedy}",
            DataWarning,
            stacklevel=2,
        )
