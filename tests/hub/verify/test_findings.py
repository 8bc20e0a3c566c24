"""A finding is one sentence: where, what, and what to do."""

from __future__ import annotations

from fwsvd_export.hub.verify.findings import Finding


def test_a_finding_reads_as_file_problem_and_advice() -> None:
    assert str(Finding("onnx/export.json", "is missing", "make it again")) == (
        "onnx/export.json: is missing; make it again"
    )
