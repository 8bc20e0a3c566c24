"""What happened in a compression: the record that a compressed model carries as ``model.compression``."""

from __future__ import annotations

from dataclasses import dataclass

from fwsvd_export.records import EmbeddingReport, LayerReport, ParameterCounts, RankPlan

_MOST_NAMED = 3  # layers in one sentence


@dataclass(frozen=True)
class Reconstruction:
    """What the layers were fitted on: sequences and unpadded tokens of the calibration data."""

    sequences: int
    tokens: int


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

    @property
    def kept_dense(self) -> tuple[str, ...]:
        """Names of the layers whose factors would not be smaller, or that were to stay as they are."""
        return tuple(layer.name for layer in self.layers if layer.kept_dense)

    @property
    def unsettled(self) -> tuple[LayerReport, ...]:
        """Layers whose solver asks for something: iterations that did not converge, statistics that are zero."""
        return tuple(layer for layer in self.layers if not layer.settled)

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence per status that asks for something, with the layers it is about."""
        by_status: dict[str, list[str]] = {}
        for layer in self.unsettled:
            by_status.setdefault(layer.status, []).append(layer.name)
        return tuple(f"{_named(names)}: {status}" for status, names in by_status.items())


def _named(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
