"""The metric of a checkpoint, with the digest of the weights that it belongs to."""

from __future__ import annotations

from pathlib import Path

from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import task_named
from fwsvd_export.storage.digest import file_sha256
from fwsvd_export.workflows.evaluate import run_evaluate
from fwsvd_export.workflows.source import Source


def test_every_example_counts_and_the_weights_are_named(tiny_folder: Path, data_file: Path) -> None:
    data = DataRequest(task_named("sst2"), file=data_file)
    measured = run_evaluate(Source(str(tiny_folder), device="cpu"), data).measurement
    assert (measured.metric, measured.examples) == ("accuracy", 48)
    assert (measured.value * 48).is_integer()
    assert measured.sha256 == file_sha256(tiny_folder / "model.safetensors")
