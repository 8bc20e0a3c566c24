"""``compression.json`` reads and writes itself, the records of earlier versions too."""

from __future__ import annotations

from typing import Any

import pytest

from fwsvd_export.checkpoints.record import HistoryEntry
from fwsvd_export.errors import CheckpointError
from fwsvd_export.storage.digest import combined_sha256
from tests.checkpoints.oldest_record import OLDEST, read

DIGEST, OTHER = "ab" * 32, "cd" * 32


def test_the_oldest_record_is_read_as_one_compression() -> None:
    record = read()
    assert record.history == (HistoryEntry("compress"),)
    assert (record.since, record.gate, record.files, record.base_card) == ((), None, {}, None)
    assert record.layers[0].shape == (2, 2)


def test_a_record_without_history_has_the_digest_that_its_files_have() -> None:
    record = read(files={"model.safetensors": {"bytes": 1, "sha256": DIGEST}})
    assert record.history == (HistoryEntry("compress", DIGEST),)


def test_what_was_done_since_is_told_in_order() -> None:
    history = [
        {"action": "compress", "sha256": DIGEST, "details": {}},
        {"action": "save", "sha256": DIGEST, "details": {}},
        {"action": "save", "sha256": OTHER, "details": {}},
        {"action": "save", "sha256": None, "details": {}},
        {"action": "finetune", "sha256": OTHER, "details": {"epochs": 3, "data": "train.jsonl", "teacher": None}},
        {"action": "densify"},
        {"action": "save", "sha256": None, "details": {"files": 2, "changed": True}},
        {"action": "accept", "sha256": DIGEST},
    ]
    assert read(history=history).since == (
        "saved again with save_pretrained, with the same weights",
        "saved again with save_pretrained, with other weights",
        "saved again with save_pretrained",
        "fine-tuned (epochs 3, data train.jsonl)",
        "multiplied out into a plain model",
        "saved again with save_pretrained (files 2), with other weights",
        "accepted with weights that its record did not know",
    )


@pytest.mark.parametrize("action", ["compress", "save", "finetune", "export", "densify", "push", "accept"])
def test_every_action_of_a_history_is_read_and_told(action: str) -> None:
    entry = read(history=[{"action": action}]).history[0]
    assert (entry.action, entry.sha256, entry.details) == (action, None, {})
    assert str(entry)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (
            {"format": 3, "versions": {"fwsvd-export": "9.0"}},
            "has format 3, this version reads 1; read it with fwsvd-export 9.0",
        ),
        ({"layers": [OLDEST["layers"][0], {**OLDEST["layers"][0], "rank": 0}]}, "layers[1].rank is 0, a whole number"),
        ({"history": [{"action": "undo"}]}, "history[0].action is 'undo', accept or compress or densify or export or"),
        ({"history": [{"sha256": None}]}, "history[0] has no action; take the file from a backup"),
    ],
)
def test_what_is_no_record_is_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        read(**values)
    assert str(caught.value).startswith("compression.json")
    assert reason in str(caught.value)


def test_the_digest_of_a_base_is_recorded_or_follows_from_its_files() -> None:
    assert read(base_sha256=DIGEST, base_files={}).base_digest == DIGEST
    files = {
        f"model-0000{at}-of-00002.safetensors": {"bytes": 1, "sha256": digest}
        for at, digest in ((1, DIGEST), (2, OTHER))
    }
    listed = {name: entry["sha256"] for name, entry in files.items()}
    assert read(base_sha256=None, base_files=files).base_digest == combined_sha256(listed)
    assert read(base_sha256=None).base_digest is None


@pytest.mark.parametrize(
    ("entries", "retrained"),
    [
        ([], False),
        ([{"action": "densify", "sha256": OTHER}], False),
        ([{"action": "save", "sha256": DIGEST}], False),
        ([{"action": "save", "sha256": OTHER}], True),
        ([{"action": "save", "sha256": None}], True),
        ([{"action": "accept", "sha256": OTHER}, {"action": "densify"}], True),
    ],
)
def test_whether_weights_may_be_others_than_the_compressed_ones(entries: list[dict[str, Any]], retrained: bool) -> None:
    assert read(history=[{"action": "compress", "sha256": DIGEST}, *entries]).retrained == retrained
