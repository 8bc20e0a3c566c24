"""A folder that datasets' ``save_to_disk`` wrote becomes rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fwsvd_export.errors import DataError, listed, message_of, shown

_STATE_FILE = "state.json"  # of one data set
_SPLITS_FILE = "dataset_dict.json"  # of several, each in a folder of its name


def read_folder(folder: Path, split: str | None) -> Any:
    """The saved ``datasets.Dataset``.

    Args:
        folder: of one data set, or of several splits.
        split: which; None where there is one.

    Raises:
        DataError: no data set was saved there, it is damaged, or the split is missing, unknown or not needed.
    """
    import datasets

    place = _place(folder, split)
    try:
        return datasets.load_from_disk(str(place))
    except Exception as error:  # pyarrow's errors and the library's own
        raise DataError(f"the data set in {place} cannot be read: {message_of(error)}; save it again") from error


def _place(folder: Path, split: str | None) -> Path:
    """The folder of the one data set that is meant."""
    if (folder / _STATE_FILE).is_file():
        if split is not None:
            raise DataError(f"split {shown(split)} is given, and {folder} holds one data set; leave --split out")
        return folder
    names = sorted(path.name for path in folder.iterdir())
    if _SPLITS_FILE not in names:
        raise DataError(
            f"{folder} is a folder, and not one that save_to_disk of datasets wrote; give one file of it"
            f"{f' ({listed(names)})' if names else ''}"
        )
    splits = [name for name in names if (folder / name / _STATE_FILE).is_file()]
    if split not in splits:
        asked = "no split is given" if split is None else f"split {shown(split)} is not there"
        raise DataError(f"{folder} holds the splits {listed(splits)}, and {asked}; name one with --split")
    return folder / split
