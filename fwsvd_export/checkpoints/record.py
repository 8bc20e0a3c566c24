"""``compression.json``: how a compressed checkpoint was made, and what was done to it afterwards.

Whoever changes the weights of such a folder says so in its record, or the folder counts as changed by somebody else:
``push`` refuses it until its owner accepts the weights (``card --accept-weights``). The code that ships with a
checkpoint cannot import this module. When it saves a model again into a folder, it reads the ``compression.json`` of
the folder that the model was loaded from as one JSON object, leaves every key as it is but two, and writes it beside
the new weights:

- ``"history"``: the list that is there (where there is none: ``[{"action": "compress", "sha256": DIGEST, "details":
  {}}]``, with the digest that ``"files"`` had for ``model.safetensors``), and at its end the entry ::

      {"action": "save", "sha256": "<64 hexadecimal digits>", "details": {}}

  ``sha256`` is the SHA-256 of the bytes of the new ``model.safetensors``, in lower case; null when the weights are in
  several files. ``details`` is an object whose values are texts, numbers, true, false or null: ``"files"`` with their
  number when there are several, and ``"changed": true`` for a model that was changed before it was ever saved.
- ``"files"``: one entry for every ``*.safetensors`` file that was written, and for no other ::

      {"model.safetensors": {"bytes": 29518428, "sha256": "<the same digits>"}}

``format`` stays 1: a record without a history is read as one that has only been compressed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from fwsvd_export.checkpoints.gate import Gate
from fwsvd_export.checkpoints.weights import StoredWeights
from fwsvd_export.errors import CheckpointError
from fwsvd_export.storage.digest import combined_sha256, file_sha256
from fwsvd_export.storage.file_names import WEIGHTS_FILE
from fwsvd_export.storage.schema import (
    Count,
    Line,
    Number,
    Shape,
    Size,
    Words,
    check_format,
    read_as,
    to_builtins,
)

RECORD_FORMAT = 1
RESTORE_RECORD = "take the file from a backup or from the folder that the model was made from"
ACCEPT_WEIGHTS = "if the weights are yours, enter them with fwsvd-export card --accept-weights"

Inherited = Annotated[dict[str, str | Words], Meta(description="an object of texts and lists of texts")]
Action = Literal["compress", "save", "finetune", "export", "densify", "push", "accept"]
Detail = Line | int | float | bool | None
_CHANGES = ("save", "finetune", "accept")  # actions that leave other weights
_DONE: dict[str, str] = {
    "compress": "compressed",
    "save": "saved again with save_pretrained",
    "finetune": "fine-tuned",
    "export": "exported to ONNX",
    "densify": "multiplied out into a plain model",
    "push": "pushed to the Hub",
    "accept": "accepted with weights that its record did not know",
}


@dataclass(frozen=True)
class HistoryEntry:
    """One thing that was done to a folder.

    Attributes:
        action: what.
        sha256: of ``model.safetensors`` after it; null when the weights are in several files or it is not known.
        details: small facts about it, by name.
    """

    action: Action
    sha256: Line | None = None
    details: dict[Line, Detail] = field(default_factory=dict)

    def __str__(self) -> str:
        told = {name: value for name, value in self.details.items() if name != "changed" and value is not None}
        facts = ", ".join(f"{name} {value}" for name, value in told.items())
        return _DONE[self.action] + (f" ({facts})" if facts else "")


def _with_change(entry: HistoryEntry, before: HistoryEntry) -> str:
    """The entry in words; of a save, which tells nothing else, whether the weights are others than before it."""
    changed = entry.details.get("changed") is True
    if entry.action != "save" or (not changed and None in (entry.sha256, before.sha256)):
        return str(entry)
    return f"{entry}, with {'other' if changed or entry.sha256 != before.sha256 else 'the same'} weights"


@dataclass(frozen=True)
class RecordedParameters:
    """Parameters before and after; the linear ones are the weights of the compressible layers, ``ratio`` theirs."""

    linear_dense: Count
    linear_compressed: Count
    ratio: Number
    total_dense: Count
    total_compressed: Count


@dataclass(frozen=True)
class RecordedLayer:
    """A linear layer; ``rank`` is None for a dense one, ``predicted_loss`` is at the dense model's inputs.

    ``width`` is how many neurons are left of the feed-forward part that the layer is of, None where all are.
    """

    name: Line
    shape: Shape
    rank: Size | None
    kept_dense: bool
    predicted_loss: Number
    status: str | None = None
    width: Size | None = None


@dataclass(frozen=True)
class RecordedEmbeddings:
    """The word embeddings: (vocabulary, width); ``rank`` is None for dense ones."""

    name: Line
    shape: Shape
    rank: Size | None
    predicted_loss: Number


@dataclass(frozen=True)
class RecordedFisher:
    """The statistics; ``sha256`` of their file, None when they were collected on the way."""

    task: Line | None
    data: Line | None
    examples: Count
    labels: Line
    max_length: Count | None
    sha256: Line | None
    temperature: Number = 1.0  # of records that do not have it


@dataclass(frozen=True)
class RecordedLimits:
    """Limits of the ranks, as ``records.RankLimits`` has them."""

    multiple: int = 1
    smallest: int = 1
    largest: int | None = None
    keep_dense: Words = ()


@dataclass(frozen=True)
class Asked:
    """What was asked for; at most one of ``ratio``, ``rank`` and ``params`` is not None."""

    ratio: Number | None = None
    rank: Count | None = None
    params: Count | None = None
    fisher_axis: Line = "input"
    limits: RecordedLimits = RecordedLimits()
    embeddings: Number | None = None
    cost: Line = "params"
    widths: Line = "keep"
    solver_options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordedReconstruction:
    """What layers were reconstructed on.

    Attributes:
        tokens: of the calibration data.
        sequences: of it.
        head_pull: λ with which pooler and head were fitted too; None where they stayed as they were.
    """

    tokens: Count
    sequences: Count | None = None
    head_pull: Number | None = None


@dataclass(frozen=True)
class RecordedRefinement:
    """A training of the compressed model to predict what the dense one does, on text without labels.

    Attributes:
        scope: "model", or "layers" for every encoder layer on its own.
        examples: that it was trained on.
        held_out: examples that the divergences are measured on.
        batches: of the whole training.
        best_batch: batches until the weights that were kept; 0 when none were better than the start's.
        learning_rate: that was chosen.
        start: mean divergence from the dense model's predictions before, in the unit of the task's loss.
        best: that of the weights which were kept.
        data: name of the text, without folders; None for that of the statistics.
    """

    scope: Line
    examples: Count
    held_out: Count
    batches: Count
    best_batch: Count
    learning_rate: Number
    start: Number
    best: Number
    data: Line | None = None


@dataclass(frozen=True)
class FileDigest:
    """Size and SHA-256 of a file."""

    bytes: Count
    sha256: Line

    @classmethod
    def of(cls, file: Path) -> FileDigest:
        """The digest of a file that is there."""
        return cls(file.stat().st_size, file_sha256(file))


@dataclass(frozen=True)
class RecordedRecipe:
    """A file of options that a command was given.

    Attributes:
        file: its name.
        sha256: of the file.
        command: words of a command without the file that does the same.
    """

    file: Line
    sha256: Line
    command: Words


@dataclass(frozen=True, kw_only=True)
class CompressionRecord:
    """The content of ``compression.json``; docs/formats.md describes every field.

    Fields that files of earlier versions lack have a default.
    """

    format: Count = RECORD_FORMAT
    base_model: Line
    base_sha256: Line | None
    base_revision: Line | None = None
    base_weights: StoredWeights | None = None
    base_files: dict[str, FileDigest] = field(default_factory=dict)
    base_card: Inherited | None = None
    left_out: tuple[Line, ...] = ()
    command: Words | None = None
    recipe: RecordedRecipe | None = None
    method: Line
    allocate: Line
    asked: Asked = Asked()
    embeddings: RecordedEmbeddings | None = None
    reconstruction: RecordedReconstruction | None = None
    refinement: RecordedRefinement | None = None
    parameters: RecordedParameters
    layers: tuple[RecordedLayer, ...]
    fisher: RecordedFisher | None
    seconds: dict[str, Number] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    gate: Gate | None = None
    files: dict[str, FileDigest] = field(default_factory=dict)
    history: tuple[HistoryEntry, ...] = ()

    @classmethod
    def from_json(cls, document: dict[str, Any], place: str) -> CompressionRecord:
        """The record in a JSON object.

        Args:
            document: as it was read.
            place: the file, as the user knows it.

        Raises:
            CheckpointError: it is of a later format, or a field is missing or holds something else.
        """
        check_format(document, RECORD_FORMAT, place, CheckpointError, RESTORE_RECORD)
        if "matching" in document:  # its name in files of earlier versions
            document = {"reconstruction": document["matching"], **document}
        record = read_as(cls, document, place, CheckpointError, RESTORE_RECORD)
        if record.history:
            return record
        weights = record.files.get(WEIGHTS_FILE)
        return replace(record, history=(HistoryEntry("compress", weights.sha256 if weights else None),))

    def to_json(self) -> dict[str, Any]:
        """As it stands in ``compression.json``; gate, recipe and refinement are left out where there is none."""
        content: dict[str, Any] = to_builtins(self)
        for name in ("gate", "recipe", "refinement"):
            if content[name] is None:
                del content[name]
        if self.gate is not None:
            content["gate"] = self.gate.to_json()
        return content

    @property
    def base_digest(self) -> str | None:
        """Of the base's weights, in one file or in several, as ``combined_sha256`` has it; None when not recorded."""
        if self.base_sha256 is not None or not self.base_files:
            return self.base_sha256
        return combined_sha256({name: file.sha256 for name, file in self.base_files.items()})

    @property
    def retrained(self) -> bool:
        """Whether weights may be others than those that the compression made, by what is recorded."""
        first, *later = self.history
        return any(entry.action in _CHANGES and entry.sha256 != first.sha256 for entry in later)

    @property
    def since(self) -> tuple[str, ...]:
        """What was done after the compression, in order and in words."""
        return tuple(_with_change(entry, before) for before, entry in pairwise(self.history))

    @property
    def neurons(self) -> tuple[list[int], int] | None:
        """What feed-forward parts that lost neurons have left, and how many each had; None where none did."""
        narrow = [layer for layer in self.layers if layer.width is not None]
        firsts = narrow[::2]  # the layers before an activation and behind it follow each other
        return ([layer.width or 0 for layer in firsts], firsts[0].shape[0]) if firsts else None

    def describes(self, folder: Path) -> bool:
        """Whether the weights files in a folder are, by their digests, those that the record names."""
        found = {file.name: file for file in folder.glob("*.safetensors")}
        return found.keys() == self.files.keys() and all(
            self.files[name].sha256 == file_sha256(file) for name, file in found.items()
        )

    def after(self, action: Action, folder: Path, **details: Detail) -> CompressionRecord:
        """The record once something was done that left these weights in the folder; "compress" begins a new history.

        Args:
            action: what was done.
            folder: with the weights after it.
            details: small facts about it.
        """
        files = {file.name: FileDigest.of(file) for file in sorted(folder.glob("*.safetensors"))}
        weights = files.get(WEIGHTS_FILE)
        entry = HistoryEntry(action, weights.sha256 if weights else None, details)
        before = () if action == "compress" else self.history
        return replace(self, files=files, history=(*before, entry))
