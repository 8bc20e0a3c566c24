"""Which rows of which data a command was asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from fwsvd_export.data.tasks import Task
from fwsvd_export.errors import DataError, shown

ON_BAD_ROW = ("stop", "skip")


@dataclass(frozen=True)
class DataRequest:
    """Which rows of which data.

    Attributes:
        task: the preset, with column names replaced where asked.
        file: a local file, or a folder with a saved data set; exactly one of file and dataset is given.
        dataset: ``ID`` or ``ID:CONFIG`` on the Hub.
        split: of the dataset, or of a folder that holds several; None is a dataset's ``train``.
        max_samples: rows at most, chosen by the seed; None for all.
        max_length: tokens at most per example; longer ones are cut.
        batch_size: examples per batch.
        seed: of the choice of rows.
        doc_stride: tokens of a context that two neighbouring windows share, for question answering; None for half of
            ``max_length`` and at most 128.
        shard: (i, n) for the i-th of n shares of the chosen rows: the rows i, i + n, i + 2n, … of them, counted from 1.
        on_bad_row: "stop" for an error at a row without a text or without a label that fits, "skip" to leave it out.
        corpus: the documents, for retrieval and for candidates, where ``file`` holds the queries.
        qrels: which documents answer which queries, likewise.
        candidates: the run of a first search, for a reranker; without it ``file`` holds pairs.
    """

    task: Task
    file: Path | None = None
    dataset: str | None = None
    split: str | None = None
    max_samples: int | None = None
    max_length: int = 128
    batch_size: int = 16
    seed: int = 0
    doc_stride: int | None = None
    shard: tuple[int, int] = (1, 1)
    on_bad_row: str = ON_BAD_ROW[0]
    corpus: Path | None = None
    qrels: Path | None = None
    candidates: Path | None = None

    def __post_init__(self) -> None:
        if (self.file is None) == (self.dataset is None):
            raise DataError("give the data as exactly one of --data FILE and --dataset ID")
        self._check_collection()
        for name in ("max_samples", "max_length", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise DataError(f"{name} {value}: a whole number of at least 1 is allowed")
        if self.doc_stride is not None and self.doc_stride < 0:
            raise DataError(f"doc_stride {self.doc_stride}: a whole number of at least 0 is allowed")
        if self.doc_stride is not None and self.task.labels != "span":
            raise DataError(
                f"doc_stride is how far windows of a long context overlap in question answering (task squad), and task "
                f"{self.task.name} has no windows: leave --doc-stride out"
            )
        part, parts = self.shard
        if not 1 <= part <= parts:
            raise DataError(f"shard {part}/{parts}: I/N with 1 <= I <= N is allowed")
        if self.on_bad_row not in ON_BAD_ROW:
            raise DataError(f"on_bad_row {shown(self.on_bad_row)}: one of {', '.join(ON_BAD_ROW)} is allowed")

    def _check_collection(self) -> None:
        """Refuses files of a collection that are missing, or that the task does not take."""
        searched = self.task.labels == "retrieval"
        if self.candidates is not None and self.task.labels != "rank":
            raise DataError(
                f"--candidates are what task rerank ranks, and the task is {self.task.name}; leave them out"
            )
        if searched and None in (self.file, self.corpus, self.qrels):
            raise DataError("task retrieval needs three files: --queries, --corpus and --qrels")
        if self.candidates is not None and None in (self.file, self.corpus, self.qrels):
            raise DataError("--candidates need three files beside them: --queries, --corpus and --qrels")
        if searched or self.candidates is not None or (self.corpus is None and self.qrels is None):
            return
        if self.task.labels == "rank":
            raise DataError(
                "task rerank takes --corpus and --qrels with --candidates, the run that says which documents each "
                "query is paired with; give it, or the pairs as --data"
            )
        raise DataError(
            f"--corpus and --qrels are files of task retrieval, and the task is {self.task.name}; leave them out"
        )

    @property
    def name(self) -> str:
        """The data's name for reports: no folders."""
        if self.file is None:
            return f"{self.dataset} ({self.split or 'train'})"
        file = self.candidates or self.file
        name = file.name or file.resolve().name  # of "." too
        return name if self.split is None else f"{name} ({self.split})"

    def without_labels(self) -> DataRequest:
        """The same rows, of which no label is read."""
        return replace(self, task=self.task.without_labels())
