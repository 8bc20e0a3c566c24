"""push, as far as it goes without the Hub: what would be sent, and what is refused before anybody is asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]
Refused = Callable[..., str]
TOKEN = "hf_" + "NobodysToken" * 3


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    # That a model loads in a clean environment is tested in tests/hub
    monkeypatch.setattr("fwsvd_export.hub.verify.folder.check_loading", lambda *arguments: ())


@pytest.fixture
def unfit(compressed_folder: Path, tmp_path: Path) -> Path:
    """The compressed model with two things that nobody should push."""
    folder = tmp_path / "unfit"
    shutil.copytree(compressed_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hub_token": TOKEN}))
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02.")
    return folder


def test_a_dry_run_lists_files_and_sizes(compressed_folder: Path, run: Run) -> None:
    result = run("push", compressed_folder, "me/small", "--dry-run")
    assert result.exit_code == 0, result.output
    sizes = {path.name: path.stat().st_size for path in compressed_folder.iterdir()}
    lines = {line.split()[1]: line.split()[3] for line in result.stdout.splitlines() if line.startswith("│")}
    assert {name: f"{size:,}" for name, size in sizes.items()}.items() <= lines.items()
    assert f"{len(sizes)} files" in result.stdout
    assert f"{sum(sizes.values()):,}" in result.stdout
    assert result.stderr.endswith("Nothing is wrong; nothing was sent.\n")
    found = json.loads(run("push", compressed_folder, "me/small", "--dry-run", "--json").stdout)
    assert found["findings"] == []
    assert found["repo_id"] == "me/small"
    assert {row["path"]: row["bytes"] for row in found["files"]} == sizes


def test_a_dry_run_with_findings_ends_with_one_and_lists_them(unfit: Path, run: Run) -> None:
    result = run("push", unfit, "me/small", "--dry-run")
    assert result.exit_code == 1
    for words in (
        "pytorch_model.bin",
        "can run code when it is loaded",
        "hub_token",
        "holds the very token that pushes",
    ):
        assert words in result.stdout
    findings = result.stdout.partition("Wrong:\n")[2].splitlines()
    assert [line.split(":")[0] for line in findings] == ["  pytorch_model.bin", "  config.json", "  config.json"]
    assert "Nothing is wrong" not in result.stderr
    assert TOKEN not in result.output
    as_json = run("push", unfit, "me/small", "--dry-run", "--json")
    assert as_json.exit_code == 1
    findings = json.loads(as_json.stdout)["findings"]
    assert [finding["file"] for finding in findings] == ["pytorch_model.bin", "config.json", "config.json"]
    assert all(finding.keys() == {"file", "problem", "advice"} for finding in findings)


def test_a_push_with_findings_is_refused_with_all_of_them(unfit: Path, run: Run) -> None:
    result = run("-q", "push", unfit, "me/small")
    assert (result.exit_code, result.stdout) == (1, "")
    first, *listed = result.stderr.splitlines()
    assert first == f"Error: {unfit} is not fit for the Hub, and nothing was sent:"
    assert [line.split(":")[0] for line in listed] == ["  pytorch_model.bin", "  config.json", "  config.json"]
    assert TOKEN not in result.output


@pytest.mark.parametrize(
    ("repo_id", "words", "sentence"),
    [
        ("small", [], "'small' does not say whose repository it is; give NAMESPACE/NAME"),
        ("me/a b", [], "'me/a b' is no repository id ("),
        ("me/you/small", [], "'me/you/small' is no repository id ("),
        ("me/small.git", [], "'me/small.git' is no repository id ("),
        ("me/small", ["--commit-message", " "], "the commit message is empty"),
        ("me/small", ["--revision", ""], "the revision is empty"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(
    repo_id: str, words: list[str], sentence: str, tmp_path: Path, refused: Refused
) -> None:
    for dry_run in ([], ["--dry-run"]):
        assert sentence in refused("push", tmp_path / "nowhere", repo_id, *words, *dry_run)


def test_without_a_token_nothing_is_tried(
    compressed_folder: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    sentence = refused("push", compressed_folder, "me/small")
    assert sentence == "Error: there is no token to push with; log in with hf auth login, or set HF_TOKEN"


def test_a_dense_model_is_refused(tiny_folder: Path, refused: Refused) -> None:
    assert "holds no compressed checkpoint (model_type 'bert')" in refused("push", tiny_folder, "me/small")


def test_offline_is_refused(compressed_folder: Path, refused: Refused) -> None:
    """The tests run with HF_HUB_OFFLINE."""
    assert "HF_HUB_OFFLINE is set, so the Hub is not asked" in refused("push", compressed_folder, "me/small")
