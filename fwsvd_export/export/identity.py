"""Which checkpoint an ONNX file was made from, in the file's own metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fwsvd_export.checkpoints.weights import weights_sha256

if TYPE_CHECKING:
    from fwsvd_export.checkpoints.load import Checkpoint

PREFIX = "fwsvd_export."


@dataclass(frozen=True)
class Identity:
    """What an ONNX file says of its checkpoint.

    Attributes:
        model: the checkpoint's name, for people.
        class_name: of the model.
        weights_sha256: over the values of all parameters: the same in any file format.
        file_sha256: of the weights file, for ``sha256sum``; of several, of the list that it prints of them.
        settings: the parts of the configuration that change what is computed, as JSON.
    """

    model: str
    class_name: str
    weights_sha256: str
    file_sha256: str
    settings: str

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Identity:
        """The identity of a loaded checkpoint."""
        model = checkpoint.model
        settings = {name: getattr(model.config, name) for name in checkpoint.encoder.family.function_settings}
        return cls(
            model=checkpoint.name,
            class_name=type(model).__name__,
            weights_sha256=weights_sha256(model),
            file_sha256=checkpoint.sha256,
            settings=json.dumps(settings),
        )

    @classmethod
    def read(cls, metadata: Mapping[str, str]) -> Identity | None:
        """The identity in an ONNX file's metadata, or None when it has none."""
        names = cls.__dataclass_fields__
        if any(PREFIX + name not in metadata for name in names):
            return None
        return cls(**{name: metadata[PREFIX + name] for name in names})

    def stamp(self, graph: Any) -> None:
        """Writes the identity into the metadata of an ``onnx.ModelProto``."""
        for name, value in asdict(self).items():
            graph.metadata_props.add(key=PREFIX + name, value=value)

    def belongs_to(self, other: Identity) -> bool:
        """Whether both are the same function: the same class, values and settings, whatever the files are called."""
        same = ("class_name", "weights_sha256", "settings")
        return all(getattr(self, name) == getattr(other, name) for name in same)
