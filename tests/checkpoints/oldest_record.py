"""The record that the first version wrote, and others like it."""

from __future__ import annotations

from typing import Any

from fwsvd_export.checkpoints.record import CompressionRecord

OLDEST: dict[str, Any] = {
    "format": 1,
    "base_model": "some-bert",
    "base_sha256": None,
    "method": "svd",
    "allocate": "uniform",
    "parameters": {
        "linear_dense": 4,
        "linear_compressed": 2,
        "ratio": 0.5,
        "total_dense": 9,
        "total_compressed": 7,
    },
    "layers": [{"name": "q", "shape": [2, 2], "rank": None, "kept_dense": True, "predicted_loss": 0.0}],
    "fisher": None,
}


def read(**values: Any) -> CompressionRecord:
    return CompressionRecord.from_json({**OLDEST, **values}, "compression.json")
