"""What a checkpoint is made of, read from its weights and, where there is one, its ``compression.json``."""

from __future__ import annotations

from typing import Any

from fwsvd_export.architectures.counts import linear_weights, total_parameters
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.checkpoints.folder import read_compression
from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.ranks.cost import factor_weights
from fwsvd_export.storage.file_names import COMPRESSION_FILE


def inspect_checkpoint(source: str, *, trust_remote_code: bool = False) -> dict[str, Any]:
    """Class, parameter counts, every compressible layer with its rank, and the provenance of a model that we made.

    Raises:
        CheckpointError, UnsupportedModelError: as ``load_checkpoint``.
    """
    checkpoint = load_checkpoint(source, trust_remote_code=trust_remote_code)
    model, encoder = checkpoint.model, encoder_of(checkpoint.model)  # whatever stands behind the model
    recorded = (checkpoint.folder / COMPRESSION_FILE).is_file()  # what densify wrote has one too
    record = read_compression(checkpoint.folder) if recorded else None
    losses = {layer.name: layer.predicted_loss for layer in record.layers} if record else {}
    ranks = model.config.low_rank["ranks"] if checkpoint.compressed else {}
    parts = encoder.feed_forwards
    neurons = encoder.family.neurons_of(model.config) if parts else 0
    whole = {layer.name: layer for part in parts for layer in part.narrowed(neurons).layers}
    layers, table = encoder.layers, encoder.embedding
    return {
        "model": source,
        "class": type(model).__name__,
        "compressed": checkpoint.compressed,
        "parameters": {
            "total": total_parameters(model),
            "linear": linear_weights(encoder),
            "linear_dense": sum(whole.get(layer.name, layer).weights for layer in layers),
        },
        "layers": [
            {
                "name": layer.name,
                "shape": [layer.out_features, layer.in_features],
                "rank": ranks.get(layer.name),
                "weights": factor_weights(layer, ranks[layer.name]) if layer.name in ranks else layer.weights,
                "predicted_loss": losses.get(layer.name),
            }
            for layer in layers
        ],
        "neurons": [{"layer": part.intermediate.name, "left": part.neurons, "before": neurons} for part in parts],
        "embeddings": {
            "name": table.name,
            "shape": [table.out_features, table.in_features],
            "rank": ranks.get(table.name),
        },
        "compression": None if record is None else record.to_json(),
        "since": [] if record is None else list(record.since),
    }
