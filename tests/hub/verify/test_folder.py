"""What verification finds in folders that are not fit for the Hub; that a model loads is tested in test_fresh.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fwsvd_export.errors import CheckpointError
from fwsvd_export.hub.verify.folder import Verified, verify_folder
from tests.hub.verify.changed_files import edited, found

Change = Callable[..., Path]


def test_a_finished_checkpoint_is_fit(checkpoint: Path, loads: list[str]) -> None:
    verified: Verified = verify_folder(checkpoint)
    assert verified.findings == ()
    assert verified.auto_class == "AutoModelForSequenceClassification"
    assert loads == ["AutoModelForSequenceClassification"]
    paths = [path for path in checkpoint.rglob("*") if path.is_file()]
    assert verified.files == {path.relative_to(checkpoint).as_posix(): path.stat().st_size for path in paths}


def test_a_tokenizer_that_would_keep_a_reader_busy_is_not_loaded(
    checkpoint: Path, changed: Change, loads: list[str]
) -> None:
    folder = changed({"tokenizer_config.json": edited(checkpoint / "tokenizer_config.json", pad_token="x" * 100_000)})
    said = "has a text of 100,000 characters under 'pad_token' ('xxxxxxxxxxxxxxxxxxxx'…), and at most 1,000 are read"
    assert found(folder) == {"tokenizer_config.json": said}
    assert loads == []


def test_a_configuration_without_a_class_of_ours(checkpoint: Path, changed: Change, loads: list[str]) -> None:
    folder = changed({"config.json": edited(checkpoint / "config.json", architectures=["BertModel"])})
    assert found(folder) == {"config.json": "names no class that its code has"}
    assert loads == []


@pytest.mark.parametrize(
    ("card", "problem"),
    [
        (b"# A model\n", "README.md has no front matter between lines ---"),
        (b"---\n---\n# A model\n", "README.md has no front matter between lines ---"),
        (b"---\ntags: [\n---\n# A model\n", "the front matter of README.md is not YAML"),
        (b"---\ntags: \xff\n---\n", "is not UTF-8"),
        (
            b"---\nlibrary_name: [a]\ntags: [a]\n---\n",
            "the front matter of README.md: library_name is ['a'], a text is",
        ),
    ],
)
def test_cards_that_the_hub_would_not_accept(card: bytes, problem: str, changed: Change) -> None:
    (finding,) = verify_folder(changed({"README.md": card})).findings
    assert finding.problem.startswith(problem)
    assert finding.advice not in ("", finding.problem)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "holds no model: it has no config.json"),
        (b"{", "is not readable JSON"),
        (b"[]", "holds no JSON object"),
        (b"{}", "holds no compressed checkpoint (model_type None)"),
        (b'{"model_type": "gpt2"}', "holds no compressed checkpoint (model_type 'gpt2')"),
        (b'{"model_type": ["lowrank_bert"]}', "holds no compressed checkpoint (model_type ['lowrank_bert'])"),
    ],
)
def test_what_is_no_checkpoint_of_ours(content: bytes | None, message: str, changed: Change) -> None:
    with pytest.raises(CheckpointError) as raised:
        verify_folder(changed({"config.json": content}))
    assert message in str(raised.value)


def test_dense_models_and_missing_folders_are_refused(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds no compressed checkpoint \(model_type 'bert'\); only what"):
        verify_folder(tiny_folder)
    with pytest.raises(CheckpointError, match="is not a folder; give the folder that fwsvd-export compress wrote"):
        verify_folder(tmp_path / "nowhere")
