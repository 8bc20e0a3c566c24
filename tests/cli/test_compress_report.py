"""compress --report: predicted and measured losses of every layer beside the compressed model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fwsvd_export.storage.digest import file_sha256
from fwsvd_export.workflows import compress as workflow

Succeed = Callable[..., str]
Refused = Callable[..., str]
FILES = {"losses.json", "losses.png", "report.md"}


@pytest.fixture
def data(data_file: Path) -> list[object]:
    return ["--task", "sst2", "--data", data_file]


def losses_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "losses.json").read_text())
    return content


@pytest.mark.parametrize("source", ["data", "statistics and data"])
@pytest.mark.parametrize("method", ["svd", "kfac", "fwsvd"])
def test_the_report_goes_with_every_method_and_changes_nothing(
    method: str,
    source: str,
    data: list[object],
    statistics_file: Path,
    tiny_folder: Path,
    tmp_path: Path,
    succeed: Succeed,
) -> None:
    known = ["--fisher", statistics_file] if "statistics" in source else []
    words = [*known, "--method", method, "--ratio", 0.3]
    reported = ["compress", tiny_folder, tmp_path / "small", *words, *data, "--report", tmp_path / "report", "--json"]
    said = json.loads(succeed(*reported))
    record = json.loads((tmp_path / "small" / "compression.json").read_text())
    assert said == {"output": str(tmp_path / "small"), **record}
    assert "report" in record["seconds"]
    assert {file.name for file in (tmp_path / "report").iterdir()} == FILES
    found = losses_of(tmp_path / "report")
    factorised = [layer for layer in record["layers"] if not layer["kept_dense"]]
    assert [loss["name"] for loss in found["layers"]] == [layer["name"] for layer in factorised]
    assert [loss["rank"] for loss in found["layers"]] == [layer["rank"] for layer in factorised]
    assert [loss["predicted"] for loss in found["layers"]] == [layer["predicted_loss"] for layer in factorised]
    assert all(loss["measured"] > -1e-6 for loss in found["layers"])
    assert max(loss["measured"] for loss in found["layers"]) > 1e-5
    assert found["examples"] == 48
    assert f"with {method}" in (tmp_path / "report" / "report.md").read_text()

    plain = [*data] if method != "fwsvd" or not known else []
    plain = plain if method != "svd" else []
    known = known if method != "svd" else []
    succeed("compress", tiny_folder, tmp_path / "plain", *known, "--method", method, "--ratio", 0.3, *plain)
    digests = [file_sha256(tmp_path / name / "model.safetensors") for name in ("small", "plain")]
    assert digests[0] == digests[1]


def test_the_report_goes_with_a_search_and_with_factorised_words(
    data: list[object], tiny_folder: Path, tmp_path: Path, succeed: Succeed
) -> None:
    words = [*data, "--max-drop", 0.6, "--embeddings", 0.5, "--report", tmp_path / "report"]
    succeed("compress", tiny_folder, tmp_path / "small", *words)
    assert {file.name for file in (tmp_path / "report").iterdir()} == FILES
    record = json.loads((tmp_path / "small" / "compression.json").read_text())
    assert record["gate"]["kept"]
    assert losses_of(tmp_path / "report")["examples"] == record["fisher"]["examples"] < 48


@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize("method", ["svd", "kfac"])
def test_a_report_without_data_is_refused(
    method: str, statistics: bool, statistics_file: Path, tiny_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    known = ["--fisher", statistics_file] if statistics else []
    words = [*known, "--method", method, "--rank", 4, "--report", tmp_path / "report"]
    assert refused("compress", tiny_folder, tmp_path / "small", *words) == (
        "Error: --report measures every layer's loss and needs data to do it on; give --data"
    )


def test_a_report_that_exists_is_refused_before_any_long_work(
    data: list[object],
    tiny_folder: Path,
    tmp_path: Path,
    refused: Refused,
    succeed: Succeed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "notes.txt").write_text("mine")
    words = ["compress", tiny_folder, tmp_path / "small", *data, "--rank", 4, "--report", tmp_path / "report"]
    with monkeypatch.context() as patched:
        patched.delattr(workflow, "load_dense")
        assert refused(*words) == (
            f"Error: {tmp_path / 'report'} exists already; choose another name or give --overwrite"
        )
        nowhere = tmp_path / "no" / "report"
        assert "does not exist; create it first" in refused(*words[:-1], nowhere)
    succeed(*words, "--overwrite")
    assert {file.name for file in (tmp_path / "report").iterdir()} == FILES


@pytest.mark.parametrize("name", ["small", "small/report", "other/../small"])
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_report_where_the_model_goes_is_refused(
    overwrite: bool, name: str, data: list[object], tiny_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "other").mkdir()
    words = [*data, "--rank", 4, "--report", tmp_path / name, *(["--overwrite"] if overwrite else [])]
    assert refused("compress", tiny_folder, tmp_path / "small", *words) == (
        f"Error: the model goes to {tmp_path / 'small'}, which is written whole; give --report a folder beside it"
    )


def test_a_report_never_replaces_the_model_that_comes_in(
    data: list[object], tiny_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_folder, model)
    words = [*data, "--rank", 4, "--report", model, "--overwrite"]
    assert refused("compress", model, tmp_path / "small", *words) == (
        f"Error: {model} is the model that comes in, which is never replaced; give the output another name"
    )
