"""fwsvd-export: Fisher-weighted low-rank compression of fine-tuned encoders, exported for everyone.

Example::

    import fwsvd_export as fe

    statistics = fe.collect_statistics(model, dataloader)
    small = fe.compress(model, statistics=statistics, method="kfac", ratio=0.25)
    fe.refine(small, model, dataloader)         # optional: minutes of training, no labels
    small.save_pretrained("out")
    small.compression                           # what happened: ranks, losses, layers kept dense, warnings
    fe.export_onnx(small, "out/onnx")
    fe.bench(model, small)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fwsvd_export.architectures.embed import Embed as Embed
    from fwsvd_export.benchmark.result import BenchResult as BenchResult
    from fwsvd_export.checkpoints.folder import read_compression as read_compression
    from fwsvd_export.checkpoints.record import CompressionRecord as CompressionRecord
    from fwsvd_export.checkpoints.record import RecordedRefinement as RecordedRefinement
    from fwsvd_export.compression.compress import RankOptions as RankOptions
    from fwsvd_export.compression.compress import compress as compress
    from fwsvd_export.compression.densify import densify as densify
    from fwsvd_export.compression.report import CompressionReport as CompressionReport
    from fwsvd_export.compression.report import EmbeddingReport as EmbeddingReport
    from fwsvd_export.compression.report import LayerReport as LayerReport
    from fwsvd_export.compression.report import ParameterCounts as ParameterCounts
    from fwsvd_export.compression.report import Reconstruction as Reconstruction
    from fwsvd_export.errors import CheckpointWarning as CheckpointWarning
    from fwsvd_export.errors import CompressionWarning as CompressionWarning
    from fwsvd_export.errors import FwsvdExportError as FwsvdExportError
    from fwsvd_export.errors import OutputWarning as OutputWarning
    from fwsvd_export.export.optimum_tasks import register_with_optimum as register_with_optimum
    from fwsvd_export.export.record import ExportRecord as ExportRecord
    from fwsvd_export.fisher import collect_statistics as collect_statistics
    from fwsvd_export.fisher import merge_statistics as merge_statistics
    from fwsvd_export.fisher.files import load_statistics as load_statistics
    from fwsvd_export.fisher.files import save_statistics as save_statistics
    from fwsvd_export.fisher.sample import CalibrationSample as CalibrationSample
    from fwsvd_export.records import Measurement as Measurement
    from fwsvd_export.records import RankLimits as RankLimits
    from fwsvd_export.records import RankPlan as RankPlan
    from fwsvd_export.records import Statistics as Statistics
    from fwsvd_export.records import StatisticsSource as StatisticsSource
    from fwsvd_export.workflows.export import Exported as Exported
    from fwsvd_export.workflows.memory import bench as bench
    from fwsvd_export.workflows.memory import evaluate as evaluate
    from fwsvd_export.workflows.memory import export_onnx as export_onnx
    from fwsvd_export.workflows.memory import load as load
    from fwsvd_export.workflows.memory import refine as refine

__version__ = "0.1.0"

# Loaded on first use: importing the package alone must not import torch (``fwsvd-export --help`` answers at once).
_HOMES = {
    "BenchResult": "fwsvd_export.benchmark.result",
    "CalibrationSample": "fwsvd_export.fisher.sample",
    "CheckpointWarning": "fwsvd_export.errors",
    "CompressionRecord": "fwsvd_export.checkpoints.record",
    "CompressionReport": "fwsvd_export.compression.report",
    "CompressionWarning": "fwsvd_export.errors",
    "Embed": "fwsvd_export.architectures.embed",
    "EmbeddingReport": "fwsvd_export.compression.report",
    "ExportRecord": "fwsvd_export.export.record",
    "Exported": "fwsvd_export.workflows.export",
    "FwsvdExportError": "fwsvd_export.errors",
    "LayerReport": "fwsvd_export.compression.report",
    "Measurement": "fwsvd_export.records",
    "OutputWarning": "fwsvd_export.errors",
    "ParameterCounts": "fwsvd_export.compression.report",
    "RankLimits": "fwsvd_export.records",
    "RankOptions": "fwsvd_export.compression.compress",
    "RankPlan": "fwsvd_export.records",
    "Reconstruction": "fwsvd_export.compression.report",
    "RecordedRefinement": "fwsvd_export.checkpoints.record",
    "Statistics": "fwsvd_export.records",
    "StatisticsSource": "fwsvd_export.records",
    "bench": "fwsvd_export.workflows.memory",
    "collect_statistics": "fwsvd_export.fisher",
    "compress": "fwsvd_export.compression.compress",
    "densify": "fwsvd_export.compression.densify",
    "evaluate": "fwsvd_export.workflows.memory",
    "export_onnx": "fwsvd_export.workflows.memory",
    "load": "fwsvd_export.workflows.memory",
    "load_statistics": "fwsvd_export.fisher.files",
    "merge_statistics": "fwsvd_export.fisher",
    "read_compression": "fwsvd_export.checkpoints.folder",
    "refine": "fwsvd_export.workflows.memory",
    "register_with_optimum": "fwsvd_export.export.optimum_tasks",
    "save_statistics": "fwsvd_export.fisher.files",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Public functions, from the modules where they live."""
    if name not in _HOMES:
        raise AttributeError(f"module 'fwsvd_export' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
