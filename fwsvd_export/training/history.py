"""What happened in a training run: the metric from its start to its end."""

from __future__ import annotations

from dataclasses import dataclass

from fwsvd_export.storage.schema import Count, Number


@dataclass(frozen=True)
class TrainingStep:
    """One evaluation.

    Attributes:
        step: batches so far; 0 is the start.
        value: the metric on the rows that the best weights are chosen on, larger is better.
        loss: mean training loss since the evaluation before; None at the start.
    """

    step: Count
    value: Number
    loss: Number | None = None


@dataclass(frozen=True)
class TrainingHistory:
    """All evaluations of a run; the weights of the best one are kept.

    Example:
        >>> history = TrainingHistory((TrainingStep(0, 0.5), TrainingStep(8, 0.75), TrainingStep(16, 0.7)), 16)
        >>> history.start.value, history.best.step
        (0.5, 8)
    """

    steps: tuple[TrainingStep, ...]
    planned: Count

    @property
    def start(self) -> TrainingStep:
        """Before the first batch."""
        return self.steps[0]

    @property
    def best(self) -> TrainingStep:
        """The first one with the largest metric: training that changes nothing is not kept."""
        return max(self.steps, key=lambda step: step.value)
