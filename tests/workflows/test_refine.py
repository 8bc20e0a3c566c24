"""The text of a refinement: what is held out of it was not calibrated on, and is not trained on."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from fwsvd_export.checkpoints.load import Checkpoint, load_checkpoint
from fwsvd_export.checkpoints.tokenizer import load_tokenizer
from fwsvd_export.data.batches import Batches
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import task_named
from fwsvd_export.errors import DataError, TrainingError
from fwsvd_export.workflows import refine as module
from fwsvd_export.workflows.refine import RefineRequest, refine_text

WORDS = ("good", "bad", "dull", "great", "poor", "fine", "very", "never")


@pytest.fixture
def checkpoint(tiny_folder: Path) -> Checkpoint:
    return load_checkpoint(str(tiny_folder))


@pytest.fixture
def data(tmp_path: Path) -> DataRequest:
    """64 different sentences, 40 of which are calibrated on."""
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(f'{{"sentence": "the {one} film is {two}"}}\n' for one, two in product(WORDS, WORDS)))
    return DataRequest(task_named("sst2"), file, max_samples=40, batch_size=4)


def calibration_of(data: DataRequest, checkpoint: Checkpoint) -> Batches:
    return load_batches(data.without_labels(), load_tokenizer(checkpoint), checkpoint.encoder)


def token_ids(batches: object) -> set[tuple[int, ...]]:
    assert isinstance(batches, Batches)
    return batches.token_ids


def test_what_is_held_out_is_neither_calibrated_nor_trained_on(data: DataRequest, checkpoint: Checkpoint) -> None:
    calibration = calibration_of(data, checkpoint)
    text = refine_text(RefineRequest(), data, calibration, None, checkpoint)
    held_out, trained = token_ids(text.held_out), token_ids(text.batches)
    assert text.name == "texts.jsonl"
    assert (len(held_out), len(trained)) == (6, 58), "a tenth is held out of all rows"
    assert not held_out & (calibration.token_ids | trained)


def test_of_text_that_was_all_calibrated_on_some_is_held_out(
    data: DataRequest, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_TEXTS", 40)
    calibration = calibration_of(data, checkpoint)
    text = refine_text(RefineRequest(), data, calibration, None, checkpoint)
    assert token_ids(text.held_out) | token_ids(text.batches) == calibration.token_ids, "the seed chooses the same rows"
    assert not token_ids(text.held_out) & token_ids(text.batches)


def test_no_text_and_too_little_of_it_are_refused(data: DataRequest, checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="give --refine-data FILE, or --data"):
        refine_text(RefineRequest(), None, None, None, checkpoint)
    one = tmp_path / "one.jsonl"
    one.write_text('{"sentence": "a good film"}\n')
    few = RefineRequest(data=DataRequest(task_named("sst2"), one))
    with pytest.raises(DataError, match="there is 1 batch: give at least two batches of text"):
        refine_text(few, data, None, None, checkpoint)


def test_texts_that_are_all_the_same_are_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    same = tmp_path / "same.jsonl"
    same.write_text('{"sentence": "a good film"}\n' * 40)
    with pytest.raises(DataError, match=r"all texts of same\.jsonl are the same, so none is left .* give more text"):
        refine_text(RefineRequest(), DataRequest(task_named("sst2"), same), None, None, checkpoint)


def test_requests_are_checked() -> None:
    with pytest.raises(TrainingError, match="refine 'all': one of none, layers, model is allowed"):
        RefineRequest("all")
    with pytest.raises(TrainingError, match="refine minutes -1: a number above 0 is allowed"):
        RefineRequest(minutes=-1)
