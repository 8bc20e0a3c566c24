"""Transformers' Trainer with a loss and a metric of ours, one padded batch as one item."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.errors import TrainingWarning, WeightError
from fwsvd_export.runtime.progress import Advance
from fwsvd_export.training.history import TrainingHistory, TrainingStep
from fwsvd_export.training.precision import own_forward
from fwsvd_export.training.state import TrainingState

if TYPE_CHECKING:
    from fwsvd_export.training.objective import Distillation

METRIC = "eval_score"  # what the Trainer calls the metric
_QUIETLY: dict[str, Any] = {
    "per_device_train_batch_size": 1,  # an item of the data is a whole batch: examples of one length stay together
    "report_to": [],
    "disable_tqdm": True,
    "remove_unused_columns": False,
    "log_level": "error",
}


class ScoredTrainer(Trainer):
    """Minimises a distillation loss, or the loss on labels, and measures a metric in place of a loss.

    Args:
        encoder: of the model.
        arguments: of the Trainer.
        batches: what it is trained on.
        score: called with the model by the main process alone; the others hear of it.
        objective: None for the model's own loss on the labels.
    """

    def __init__(
        self,
        encoder: Encoder,
        arguments: TrainingArguments,
        batches: Any,
        score: Callable[[Any], float],
        objective: Distillation | None,
    ) -> None:
        super().__init__(
            model=encoder.model, args=arguments, train_dataset=batches, data_collator=lambda items: dict(items[0])
        )
        Trainer.remove_callback(self, PrinterCallback)
        self._encoder = encoder
        self._score = score
        self._objective = objective

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The loss of one batch; a teacher has no dropout, so what is compared with it has none either."""
        if self._objective is None:
            outputs = model(**inputs)
            return (outputs.loss, outputs) if return_outputs else outputs.loss
        model.eval()
        return self._objective(model, self._encoder, inputs)

    def evaluate(self, *unused: Any, **also_unused: Any) -> dict[str, float]:
        """The metric under the name that the Trainer chooses the best weights by; no part of the data is split."""
        metrics = {METRIC: self.measure()}
        if metrics[METRIC] == -math.inf:
            warnings.warn(
                f"Training diverged within {self.state.global_step} steps: the model predicts NaN or infinite values. "
                f"What was best before is kept; give a lower learning rate than {self.args.learning_rate:g}.",
                TrainingWarning,
                stacklevel=2,
            )
            self.control.should_training_stop = True
            return metrics
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def measure(self) -> float:
        """The metric of the model as it is, the same in all processes; minus infinity once training has ruined it.

        Raises:
            WeightError: it predicts what is not finite before the first step.
        """
        from accelerate.utils import broadcast_object_list

        value = [0.0]
        if self.is_world_process_zero():
            model = self._encoder.model.eval()
            with own_forward(model):
                value = [self._value(model)]
        return float(broadcast_object_list(value)[0])

    def _value(self, model: Any) -> float:
        try:
            return self._score(model)
        except WeightError:
            if self.state.global_step == 0:
                raise
            return -math.inf


class Rhythm(TrainerCallback):
    """Evaluates, saves and logs every so many steps and at the last one, stops early, and tells the progress.

    Args:
        start: the metric before the first step.
        every: steps between evaluations.
        patience: evaluations in a row without a better metric that end the training; None for none.
        state: told of every checkpoint that is whole.
        advance: called after every step.
    """

    def __init__(self, start: float, every: int, patience: int | None, state: TrainingState, advance: Advance) -> None:
        self.start = start
        self._every = every
        self._patience = patience
        self._state = state
        self._advance = advance

    def on_step_end(self, args: Any, state: Any, control: Any, **unused: Any) -> None:
        """Asks for an evaluation where one is due."""
        due = state.global_step % self._every == 0 or state.global_step == state.max_steps
        control.should_evaluate = control.should_save = control.should_log = due
        self._advance()

    def on_evaluate(self, args: Any, state: Any, control: Any, **unused: Any) -> None:
        """Ends a training that no longer gets better."""
        if self.has_stopped(state.log_history):
            control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **unused: Any) -> None:
        """Marks a checkpoint as whole, and removes those that are neither the newest nor the best."""
        if state.is_world_process_zero:
            self._state.keep(state.global_step, self._best(state.log_history).step)

    def has_stopped(self, log: list[dict[str, Any]]) -> bool:
        """Whether patience is exhausted by the evaluations in the Trainer's log."""
        if self._patience is None:
            return False
        best = self._best(log)
        return sum(step.step > best.step for step in steps_of(self.start, log)) >= self._patience

    def _best(self, log: list[dict[str, Any]]) -> TrainingStep:
        return TrainingHistory(steps_of(self.start, log), 0).best


def steps_of(start: float, log: list[dict[str, Any]]) -> tuple[TrainingStep, ...]:
    """The evaluations in the Trainer's log, after that of the start."""
    losses = {entry["step"]: entry["loss"] for entry in log if "loss" in entry}
    measured = {entry["step"]: entry[METRIC] for entry in log if METRIC in entry}
    later = (TrainingStep(step, value, losses.get(step)) for step, value in measured.items())
    return (TrainingStep(0, start), *later)


def arguments_of(**given: Any) -> TrainingArguments:
    """Arguments of a Trainer that prints nothing, reports to nobody and takes one device per process."""
    arguments = TrainingArguments(**_QUIETLY, **given)
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # all GPUs of a machine without a launcher would mean DataParallel, and cut batches up
    return arguments
