"""fwsvd-export: Fisher-weighted low-rank compression of fine-tuned BERT models, exported for everyone.

Example::

    import fwsvd_export as fe

    statistics = fe.collect_statistics(model, dataloader)
    small = fe.compress(model, statistics=statistics, method="kfac", ratio=0.25)
    small.save_pretrained("out")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fwsvd_export.compression.compress import compress as compress
    from fwsvd_export.compression.densify import densify as densify
    from fwsvd_export.errors import FwsvdExportError as FwsvdExportError
    from fwsvd_export.export.optimum_tasks import register_with_optimum as register_with_optimum
    from fwsvd_export.fisher import collect_statistics as collect_statistics
    from fwsvd_export.fisher import merge_statistics as merge_statistics
    from fwsvd_export.fisher.files import load_statistics as load_statistics
    from fwsvd_export.fisher.files import save_statistics as save_statistics

__version__ = "0.1.0"

# Loaded on first use: importing the package alone must not import torch (``fwsvd-export --help`` answers at once).
_HOMES = {
    "FwsvdExportError": "fwsvd_export.errors",
    "collect_statistics": "fwsvd_export.fisher",
    "compress": "fwsvd_export.compression.compress",
    "densify": "fwsvd_export.compression.densify",
    "load_statistics": "fwsvd_export.fisher.files",
    "merge_statistics": "fwsvd_export.fisher",
    "register_with_optimum": "fwsvd_export.export.optimum_tasks",
    "save_statistics": "fwsvd_export.fisher.files",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Public functions, from the modules where they live."""
    if name not in _HOMES:
        raise AttributeError(f"module 'fwsvd_export' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
