"""The record in a folder: written, read again, and added to."""

from __future__ import annotations

import json
from pathlib import Path

from fwsvd_export.checkpoints.folder import read_compression, write_compression
from fwsvd_export.checkpoints.record import HistoryEntry
from fwsvd_export.storage.digest import file_sha256
from tests.checkpoints.oldest_record import read


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    gate = {"max_drop": 0.1, "metric": "f1", "dense": 0.9, "validation": "v.jsonl", "validation_examples": 3}
    gate |= {"kept": True, "trials": [{"ratio": 1.0, "value": 0.9, "kept": True, "low": -0.05, "high": 0.05}]}
    gate |= {"confidence": 0.95}
    record = read(gate=gate, matching={"tokens": 7}, seconds={"load": 1.5}, command=["a", "b\nc"])
    write_compression(record, tmp_path)
    assert read_compression(tmp_path) == record
    written = json.loads((tmp_path / "compression.json").read_text())
    assert written["gate"] == gate
    assert written["reconstruction"] == {"tokens": 7, "sequences": None, "head_pull": None}
    assert "matching" not in written, "its name in files of earlier versions"
    assert "gate" not in read().to_json()


def test_a_gate_of_before_knows_no_confidence() -> None:
    gate = {"max_drop": 0.1, "metric": "f1", "dense": 0.9, "validation": "v.jsonl", "validation_examples": 3}
    gate |= {"kept": True, "trials": [{"ratio": 1.0, "value": 0.9, "kept": True}]}
    found = read(gate=gate).gate
    assert found is not None
    assert (found.confidence, found.trials[0].low, found.trials[0].high, found.kept) == (None, None, None, True)


def test_an_action_adds_an_entry_and_the_digests_of_what_is_there(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"weights")
    record = read().after("finetune", tmp_path, epochs=1)
    assert record.files["model.safetensors"].sha256 == file_sha256(weights)
    assert record.files["model.safetensors"].bytes == 7
    assert [entry.action for entry in record.history] == ["compress", "finetune"]
    assert record.history[-1] == HistoryEntry("finetune", file_sha256(weights), {"epochs": 1})
    assert record.describes(tmp_path)
    weights.write_bytes(b"other")
    assert not record.describes(tmp_path)
    weights.rename(tmp_path / "model-00001-of-00001.safetensors")
    assert not record.describes(tmp_path)
    assert record.after("save", tmp_path).history[-1].sha256 is None
    assert [entry.action for entry in record.after("compress", tmp_path).history] == ["compress"]
