"""Which tests one environment is enough for: those in which transformers takes no part."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]

# Folders and files below tests/; a folder's name stands for the doctests of that package, too
ANY_TRANSFORMERS = (
    "linalg",
    "ranks",
    "report",
    "solvers",
    "sweep",
    "benchmark/test_latency.py",
    "data/test_conll.py",
    "data/test_delimited.py",
    "data/test_json_rows.py",
    "data/test_reading.py",
    "data/test_request.py",
    "data/test_table.py",
    "data/test_tasks.py",
    "export/test_saturation.py",
    "hub/card/test_blocks.py",
    "hub/card/test_measurements.py",
    "hub/card/test_write.py",
    "runtime/test_progress.py",
    "storage/test_locks.py",
    "storage/test_names.py",
    "storage/test_signals.py",
    "storage/test_temporary.py",
    "test_architecture.py",
    "test_model_cards.py",
    "test_pages.py",
    "test_records.py",
    "test_wording.py",
    "workflows/test_report.py",
)


def is_for_any_transformers(path: Path) -> bool:
    """Whether the tests or doctests in a file give the same with every version of transformers."""
    roots = (ROOT / "tests", ROOT / "fwsvd_export")
    return any(path.is_relative_to(root / name) for root in roots for name in ANY_TRANSFORMERS)
