"""Task presets: which columns hold the text and the label, what kind of label it is, and the metric."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fwsvd_export.errors import DataError


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        name: what ``--task`` takes.
        text: column of the text (of words, for token labels).
        text_pair: column of the second text, or None.
        label: column of the label, or None for text without labels.
        labels: "class", "number" or "tokens".
        metric: name of the main metric, None when nothing can be measured.
    """

    name: str
    text: str
    text_pair: str | None
    label: str | None
    labels: str
    metric: str | None

    def with_columns(self, text: str | None, text_pair: str | None, label: str | None) -> Task:
        """The task with other column names where any are given."""
        return replace(self, text=text or self.text, text_pair=text_pair or self.text_pair, label=label or self.label)


_ROWS = (
    Task("sst2", "sentence", None, "label", "class", "accuracy"),
    Task("cola", "sentence", None, "label", "class", "matthews_correlation"),
    Task("stsb", "sentence1", "sentence2", "label", "number", "pearson_spearman_mean"),
    Task("mrpc", "sentence1", "sentence2", "label", "class", "accuracy"),
    Task("rte", "sentence1", "sentence2", "label", "class", "accuracy"),
    Task("qnli", "question", "sentence", "label", "class", "accuracy"),
    Task("qqp", "question1", "question2", "label", "class", "accuracy"),
    Task("mnli", "premise", "hypothesis", "label", "class", "accuracy"),
    Task("ner", "tokens", None, "ner_tags", "tokens", "entity_f1"),
    Task("classification", "text", None, "label", "class", "accuracy"),
    Task("regression", "text", None, "label", "number", "pearson_spearman_mean"),
    Task("text", "text", None, None, "class", None),
)

TASKS: dict[str, Task] = {row.name: row for row in _ROWS}


def task_named(name: str) -> Task:
    """The preset of a name.

    Raises:
        DataError: no such preset; the message lists them.
    """
    if name not in TASKS:
        raise DataError(f"task {name!r}: one of {', '.join(TASKS)} is allowed")
    return TASKS[name]
