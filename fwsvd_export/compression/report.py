"""What happened in a compression: the record that a compressed model carries as ``model.compression``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fwsvd_export.records import RankPlan
from fwsvd_export.wording import counted


@dataclass(frozen=True)
class LayerReport:
    """One row of ``compression.json``'s layers; ``width`` is the neurons that are left, None for all of them."""

    name: str
    shape: tuple[int, int]
    rank: int | None
    kept_dense: bool
    predicted_loss: float
    status: str
    settled: bool
    width: int | None = None


@dataclass(frozen=True)
class EmbeddingReport:
    """What became of the word embeddings, as it stands in ``compression.json``; ``shape`` is (vocabulary, width)."""

    name: str
    shape: tuple[int, int]
    rank: int | None
    predicted_loss: float


@dataclass(frozen=True)
class ParameterCounts:
    """Parameters before and after; the linear ones are the weights of the compressible layers."""

    linear_dense: int
    linear_compressed: int
    total_dense: int
    total_compressed: int

    def to_json(self) -> dict[str, Any]:
        """As it stands in ``compression.json``."""
        return {
            "linear_dense": self.linear_dense,
            "linear_compressed": self.linear_compressed,
            "ratio": self.linear_compressed / self.linear_dense,
            "total_dense": self.total_dense,
            "total_compressed": self.total_compressed,
        }


@dataclass(frozen=True)
class Reconstruction:
    """What the layers were fitted on: sequences and unpadded tokens of the calibration data.

    Attributes:
        sequences: of the data.
        tokens: of them.
        head_pull: λ with which pooler and head were fitted (``fit_head``); None where they stay as they were.
    """

    sequences: int
    tokens: int
    head_pull: float | None = None


@dataclass(frozen=True)
class CompressionReport:
    """What became of every layer.

    Attributes:
        method: name of the solver.
        plan: the rank of every layer.
        layers: a row per linear layer: shape, rank, predicted loss, and how its solver ended.
        parameters: before and after.
        embedding: what became of the word embeddings.
        reconstruction: what layers were reconstructed on; None when they were not.
        collapse: when the predicted losses add up to more than guessing costs, a sentence with a ratio that would do.

    Example:
        >>> from transformers import BertConfig, BertModel
        >>> import fwsvd_export as fe
        >>> config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
        >>> report = fe.compress(BertModel(config), method="svd", rank=4).compression
        >>> report.plan.ranks["encoder.layer.0.output.dense"], report.kept_dense, report.warnings
        (4, (), ())
    """

    method: str
    plan: RankPlan
    layers: tuple[LayerReport, ...]
    parameters: ParameterCounts
    embedding: EmbeddingReport
    reconstruction: Reconstruction | None = None
    collapse: str | None = None

    @property
    def kept_dense(self) -> tuple[str, ...]:
        """Names of the layers whose factors would not be smaller, or that were to stay as they are."""
        return tuple(layer.name for layer in self.layers if layer.kept_dense)

    @property
    def approximates(self) -> bool:
        """Whether anything was factorised; what has no factors at all is the dense model."""
        return self.embedding.rank is not None or len(self.kept_dense) < len(self.layers)

    @property
    def unsettled(self) -> tuple[LayerReport, ...]:
        """Layers whose solver asks for something: iterations that did not converge, statistics that are zero."""
        return tuple(layer for layer in self.layers if not layer.settled)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Everything that asks for attention, in sentences: the collapse that is foreseen, then the layers' advice."""
        return (*([self.collapse] if self.collapse else []), *self.advice)

    @property
    def advice(self) -> tuple[str, ...]:
        """One sentence per advice that a status gives: how many layers it is for, and the first one's status."""
        by_advice: dict[str, list[LayerReport]] = {}
        for layer in self.unsettled:
            by_advice.setdefault(layer.status.rpartition(":")[2], []).append(layer)
        return tuple(_sentence(layers) for layers in by_advice.values())


def _sentence(layers: list[LayerReport]) -> str:
    first, more = layers[0], len(layers) - 1
    others = f" (likewise {counted(more, 'more layer')})" if more else ""
    return f"{first.name}: {first.status}{others}"
