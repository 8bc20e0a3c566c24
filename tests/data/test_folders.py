"""Folders that save_to_disk wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from fwsvd_export.data.folders import read_folder
from fwsvd_export.errors import DataError

FEATURES = Features({"text": Value("string"), "label": ClassLabel(names=["bad", "good"])})
SAVED = Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]}, features=FEATURES)


def test_a_saved_data_set_keeps_its_rows_and_types(tmp_path: Path) -> None:
    SAVED.save_to_disk(str(tmp_path / "saved"))
    found = read_folder(tmp_path / "saved", None)
    assert found["text"][:] == ["a", "b"]
    assert found.features["label"].names == ["bad", "good"]


def test_a_split_is_named(tmp_path: Path) -> None:
    DatasetDict({"train": SAVED, "dev": SAVED.select([1])}).save_to_disk(str(tmp_path / "splits"))
    assert read_folder(tmp_path / "splits", "dev")["text"][:] == ["b"]
    with pytest.raises(DataError, match="holds the splits dev, train, and no split is given; name one with --split"):
        read_folder(tmp_path / "splits", None)
    with pytest.raises(DataError, match=r"holds the splits dev, train, and split '\.\.' is not there"):
        read_folder(tmp_path / "splits", "..")


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder, and not one that save_to_disk of datasets wrote; give one file"):
        read_folder(tmp_path, None)
    for place in range(100):
        (tmp_path / f"{place:03}.csv").touch()
    with pytest.raises(DataError, match=r"give one file of it \(000\.csv, .* and 80 more\)"):
        read_folder(tmp_path, None)


def test_a_damaged_one_is_refused(tmp_path: Path) -> None:
    SAVED.save_to_disk(str(tmp_path / "saved"))
    (tmp_path / "saved" / "state.json").write_text("{")
    with pytest.raises(DataError, match=r"the data set in .* cannot be read: .*; save it again"):
        read_folder(tmp_path / "saved", None)
