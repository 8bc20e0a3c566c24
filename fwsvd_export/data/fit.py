"""Whether a task's labels are what a model's head predicts."""

from __future__ import annotations

from typing import Any

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.heads import Head
from fwsvd_export.data.tasks import LABELS, TASKS, Task
from fwsvd_export.errors import DataError

# ``problem_type`` of a sequence classification head -> kind of label
_PROBLEMS = {
    "regression": "number",
    "single_label_classification": "class",
    "multi_label_classification": "multilabel",
}
_SCORE = ("number", "rank")  # what one output may be


def check_task(task: Task, encoder: Encoder) -> None:
    """Refuses a task whose labels the model does not predict; a task without labels goes with every head.

    Raises:
        DataError: with what the task has, what the model predicts, and which tasks there are for it.
    """
    if task.label is None:
        return
    config, kinds = encoder.model.config, _kinds(encoder.head, encoder.model.config)
    if task.labels in kinds:
        return
    fitting = [other.name for other in TASKS.values() if other.label is not None and other.labels in kinds]
    remedy = f"choose one of {', '.join(fitting)}" if fitting else "no task measures such a model"
    raise DataError(
        f"task {task.name} has {LABELS[task.labels]}, and this model ({encoder.dense_class_name}"
        f"{_settings(encoder.head, config)}) does not predict that; {remedy}"
    )


def _kinds(head: Head, config: Any) -> tuple[str, ...]:
    """The kinds of label that a model may have been made for, as transformers tells them apart."""
    if head.ending == "ForTokenClassification":
        return ("tokens",)
    if head.ending == "ForQuestionAnswering":
        return ("span",)
    if head.predicts == "embedding":
        return ("similarity",)
    if head.ending != "ForSequenceClassification":
        return ()
    problem, single = getattr(config, "problem_type", None), config.num_labels == 1
    if problem is None:
        return _SCORE if single else ("class", "multilabel")
    kind = _PROBLEMS.get(problem, "")
    if kind == "number":
        return _SCORE if single else ()
    return (kind, "rank") if single and kind == "multilabel" else (kind,)


def _settings(head: Head, config: Any) -> str:
    """What the head's kind of prediction depends on."""
    if head.ending != "ForSequenceClassification":
        return ""
    problem = getattr(config, "problem_type", None)
    outputs = "one output" if config.num_labels == 1 else f"{config.num_labels} outputs"
    return f" with {outputs}" if problem is None else f" with {outputs}, problem type {problem}"
