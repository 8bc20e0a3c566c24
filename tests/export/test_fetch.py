"""ONNX files of a model on the Hub: what is missing there, and what cannot be reached, is told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from fwsvd_export.errors import ExportError
from fwsvd_export.export.fetch import fetched_place


def test_the_file_and_its_configuration_are_fetched_at_the_commit_of_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *names, revision: asked.append((*names, revision)))
    place = fetched_place(tmp_path / "abc123", "me/small", "model.onnx")
    assert asked == [("me/small", f"onnx/{name}", "abc123") for name in ("model.onnx", "config.json")]
    assert (place.parent, place.source, place.fetched) == (tmp_path / "abc123", "me/small", True)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (LocalEntryNotFoundError("offline"), ["was not fetched before", "fwsvd-export onnx me/small"]),
        (EntryNotFoundError("404"), ["has no onnx/model.onnx", "fwsvd-export onnx me/small"]),
        (OSError("cable\ncut"), ["could not be fetched", "cable"]),
    ],
)
def test_what_cannot_be_fetched_ends_in_one_sentence(
    error: Exception, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(ExportError) as caught:
        fetched_place(tmp_path, "me/small", "model.onnx")
    assert all(word in str(caught.value) for word in words)
    assert "\n" not in str(caught.value)
