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
        text_pair: column of the second text, or None; of the context that spans are taken from.
        label: column of the label, or None for text without labels.
        labels: "class", "number", "multilabel" (several classes or none), "tokens" (a class per word), "span" (a part
            of the context) or "similarity" (of two texts that are embedded each; without labels, of a text's embedding
            to the dense model's), "retrieval" (documents to queries) or "rank" (of the texts paired with a query).
        metric: name of the main metric, None when nothing can be measured.
        label_map: pairs of a label of the data and a class of the model, by name or number, where they differ.
        label_names: of the model's classes by number, in place of its own; None for its own.
        max_length: tokens at most per example unless asked otherwise.
    """

    name: str
    text: str
    text_pair: str | None
    label: str | None
    labels: str
    metric: str | None
    label_map: tuple[tuple[str, str], ...] = ()
    label_names: tuple[str, ...] | None = None
    max_length: int = 128

    def with_columns(self, text: str | None, text_pair: str | None, label: str | None) -> Task:
        """The task with other column names where any are given."""
        return replace(self, text=text or self.text, text_pair=text_pair or self.text_pair, label=label or self.label)

    def with_labels(
        self, label_map: tuple[tuple[str, str], ...] | None = None, label_names: tuple[str, ...] | None = None
    ) -> Task:
        """The task with another map of labels or other names of classes where any are given.

        Raises:
            DataError: the task has no classes.
        """
        if (label_map or label_names) and self.labels in WITHOUT_CLASSES:
            raise DataError(
                f"task {self.name} has {LABELS[self.labels]}, and no classes that names could be given to; leave "
                "--label-map and --label-names out"
            )
        return replace(self, label_map=label_map or self.label_map, label_names=label_names or self.label_names)

    def without_labels(self) -> Task:
        """The task's texts alone."""
        return replace(self, label=None)

    @property
    def grouped_by(self) -> str | None:
        """The column whose equal cells belong together: the context of questions, the query of texts to rank."""
        return {"span": self.text_pair, "rank": self.text}.get(self.labels)

    @property
    def embeds_texts(self) -> bool:
        """Whether each text is a sequence of its own, also where a row has two."""
        return self.labels in ("similarity", "retrieval")


# Kind of label -> what stands in the label column
LABELS = {
    "class": "one class, as a number or a name",
    "number": "one number",
    "multilabel": "several classes or none, as a list of names or of 0 or 1 per class",
    "tokens": "one class per word, as a list",
    "span": "texts of the context and where they begin, or none",
    "similarity": "one number, how similar the two texts are",
    "retrieval": "documents that answer a query, in a file of their own (--qrels)",
    "rank": "a grade, how well a text answers a query",
}
WITHOUT_CLASSES = ("number", "span", "similarity", "retrieval", "rank")

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
    Task("pos", "tokens", None, "pos_tags", "tokens", "accuracy"),
    Task("squad", "question", "context", "answers", "span", "f1", max_length=384),  # as in transformers' run_qa
    Task("classification", "text", None, "label", "class", "accuracy"),
    Task("multilabel", "text", None, "labels", "multilabel", "f1_micro"),
    Task("regression", "text", None, "label", "number", "pearson_spearman_mean"),
    Task("sts", "sentence1", "sentence2", "label", "similarity", "cosine_spearman"),
    Task("embedding", "text", None, None, "similarity", "cosine_spearman"),
    Task("retrieval", "text", None, None, "retrieval", "ndcg_at_10"),
    Task("rerank", "query", "text", "label", "rank", "ndcg_at_10"),
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
