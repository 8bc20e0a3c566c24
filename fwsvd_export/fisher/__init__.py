"""Per-example Fisher statistics of linear layers: hooks capture, sums accumulate, collect runs the passes."""

from fwsvd_export.fisher.collect import collect_statistics
from fwsvd_export.fisher.merge import merge_statistics

__all__ = ["collect_statistics", "merge_statistics"]
