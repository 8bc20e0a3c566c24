"""Pushes to a double of the Hub: what arrives, what is refused, and what a stranger loads afterwards."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from fwsvd_export.checkpoints.load import load_checkpoint

TEXT = "a very good movie but never dull"
ECHO = "the token {token} may not do that"
ALWAYS = 99  # more often than the client asks again

# name -> (what the double does, what is told)
COMMIT, UPLOAD, CREATE = ("POST", "/commit/"), ("PUT", "/_large/"), ("POST", "/api/repos/create")
FAULTS: dict[str, tuple[tuple[str, str], dict[str, Any], str]] = {
    "401": (
        CREATE,
        {"status": 401},
        "the Hub does not know the token (401); log in with hf auth login, or set HF_TOKEN",
    ),
    "403": (
        CREATE,
        {"status": 403, "error": "No rights here"},
        "the token may not write to me/fault-403 (403, No rights",
    ),
    "404": (("POST", "/preupload/"), {"status": 404}, "the Hub has no me/fault-404 that this token may see"),
    "409": (COMMIT, {"status": 409}, "me/fault-409 was changed by somebody else at the same moment (409"),
    "422": (COMMIT, {"status": 422, "error": "No such licence"}, "the Hub refused the push (422, No such licence)"),
    "429": (COMMIT, {"status": 429, "headers": {"Retry-After": "7"}}, "too many requests (429); nothing was committed"),
    "500": (UPLOAD, {"status": 500}, "the Hub has trouble of its own (500); nothing was committed: run the same push"),
    "503": (
        COMMIT,
        {"status": 503},
        "the Hub has trouble of its own (503); it is not known whether the commit was made",
    ),
    "cut-upload": (UPLOAD, {"drop_after": 1000}, "the connection to the Hub broke off ("),
    "cut-commit": (COMMIT, {"drop_after": 10}, "it is not known whether the commit was made: run the same push again"),
    "cut-at-once": (("GET", "/api/models/me/"), {"drop_after": 0}, "nothing was committed: run the same push again"),
}

LOADER = '''
import json, sys

class Blocked:
    """Makes every import of the package fail, wherever it is installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "fwsvd_export":
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())
text, snippet = sys.argv[1], sys.argv[2]
torch_part, _, onnx_part = snippet.partition("# ONNX")
exec(torch_part)
batch = tokenizer([text], return_tensors="pt")
answer = {"class": type(model).__name__, "module": type(model).__module__, "logits": model(**batch).logits.tolist()}
try:
    import optimum.onnxruntime
except ImportError:
    answer["onnx"] = None
else:
    exec("#" + onnx_part)
    answer["onnx"] = [type(model).__name__, model(**batch).logits.tolist()]
print(json.dumps(answer))
'''


@pytest.fixture(scope="module")
def second(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint with another card, and without onnx/."""
    folder = tmp_path_factory.mktemp("second") / "small"
    shutil.copytree(checkpoint, folder, ignore=shutil.ignore_patterns("onnx"))
    card = folder / "README.md"
    card.write_text(card.read_text() + "\nMeasured again.\n")
    return folder


@pytest.fixture(scope="module")
def token(hub_environment: dict[str, str]) -> str:
    return hub_environment["HF_TOKEN"]


@pytest.fixture(scope="module")
def report(
    checkpoint: Path,
    second: Path,
    hub_environment: dict[str, str],
    token: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """What one process saw that did all the pushes, one after the other."""
    room = tmp_path_factory.mktemp("pushes")

    def push(repo_id: str, *words: str, folder: Path = checkpoint, before: tuple[str, ...] = (), **rest: Any) -> Any:
        return {"words": [*before, "push", str(folder), f"me/{repo_id}", *words], **rest}

    def fault(place: tuple[str, str], **what: Any) -> list[dict[str, Any]]:
        return [{"method": place[0], "route": place[1], "times": ALWAYS, **what}]

    echoes = fault(CREATE, status=403, error=ECHO.format(token=token))
    race = [{"method": "POST", "route": "/preupload/", "somebody_commits": True}]
    plan = {
        "first": push("small", fresh=True),
        "unchanged": push("small"),
        "quiet": push("small", before=("-q",)),
        "race": push("small", folder=second, faults=race),
        "second": push("small", "--json", "--commit-message", "Measured again", folder=second),
        "private": push("hidden", "--private", "--json"),
        "private again": push("hidden", "--private"),
        "too late for private": push("small", "--private"),
        "branch": push("small", "--revision", "with-onnx"),
        "branch again": push("small", "--revision", "with-onnx"),
        "pull request": push("small", "--create-pr", "--json"),
        "pull request told": push("small", "--create-pr"),
        "pull request nowhere": push("nowhere", "--create-pr"),
        "pull request for no branch": push("small", "--create-pr", "--revision", "no-branch"),
        "somebody's": push("dense"),
        "somebody's, on a branch": push("dense", "--revision", "compressed"),
        "echo": push("echo", faults=echoes),
        "echo with -v": push("echo", before=("-v",), faults=echoes),
        "unknown token": push("stranger", environment={"HF_TOKEN": "hf_unknown"}),
        "pull request cut": push("dense", "--create-pr", faults=fault(COMMIT, drop_after=10)),
    }
    for name, (place, what, _) in FAULTS.items():
        plan[f"fault {name}"] = push(f"fault-{name}", faults=fault(place, **what))
        plan[f"repeated {name}"] = push(f"fault-{name}")
    dense = {"name": "me/dense", "files": {"config.json": "{}", "model.safetensors": "dense"}}
    address = f"{hub_environment['HF_ENDPOINT']}/_repository"
    urllib.request.urlopen(urllib.request.Request(address, data=json.dumps(dense).encode())).close()
    (room / "plan.json").write_text(json.dumps(plan))
    driver = Path(__file__).with_name("push_driver.py")
    command = [sys.executable, str(driver), str(room / "plan.json"), str(room / "report.json")]
    # The package may be found through the folder of this process
    path = {"PYTHONPATH": ":".join(part for part in sys.path if part)}
    environment = {**hub_environment, **path}
    done = subprocess.run(command, cwd=room, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert token not in done.stdout + done.stderr
    return json.loads((room / "report.json").read_text())


@pytest.fixture(scope="module")
def results(report: dict[str, Any]) -> dict[str, Any]:
    return report["results"]


def names_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def commits_of(result: dict[str, Any], name: str) -> list[str]:
    """SHAs of a repository, oldest first, without the one it was made with."""
    return list(result["repositories"][name]["commits"])[1:]


def sentence_of(result: dict[str, Any]) -> str:
    """The one sentence of a push that was refused."""
    assert result["code"] == 1, result
    assert result["stdout"] == ""
    assert "Traceback" not in result["stderr"]
    *_, sentence = result["stderr"].splitlines()
    assert sentence.startswith("Error: ")
    return str(sentence)


def test_the_first_push_makes_the_repository_and_one_commit(results: dict[str, Any], checkpoint: Path) -> None:
    result = results["first"]
    assert result["code"] == 0, result["stderr"]
    [sha] = commits_of(result, "me/small")
    repository = result["repositories"]["me/small"]
    assert repository["private"] is False
    assert repository["refs"] == {"main": sha}
    assert set(repository["commits"][sha]["files"]) == names_in(checkpoint) | {".gitattributes"}
    assert repository["commits"][sha]["message"] == "Compressed with fwsvd-export"
    assert [line for line in result["requests"] if "/commit/" in line] == ["POST /api/models/me/small/commit/main"]
    assert f'repo_id, revision = "me/small", "{sha}"' in result["stdout"]
    assert "Committed: http://127.0.0.1:" in result["stderr"]
    assert "model.safetensors" in result["stderr"], "the upload shows its progress"


def test_an_unchanged_folder_makes_no_commit(results: dict[str, Any]) -> None:
    result, first = results["unchanged"], results["first"]
    assert result["code"] == 0, result["stderr"]
    assert [line for line in result["requests"] if line.startswith(("POST", "PUT"))] == []
    assert commits_of(result, "me/small") == commits_of(first, "me/small")
    [sha] = commits_of(first, "me/small")
    assert f"Nothing has changed since {sha}: no new commit." in result["stderr"]
    assert result["stdout"] == first["stdout"], "the snippet is told again"
    assert (results["quiet"]["stdout"], results["quiet"]["stderr"]) == (first["stdout"], "")


def test_somebody_elses_commit_in_between_is_noticed(results: dict[str, Any]) -> None:
    result = results["race"]
    assert "me/small was changed by somebody else at the same moment (412" in sentence_of(result)
    *_, last = commits_of(result, "me/small")
    assert result["repositories"]["me/small"]["commits"][last]["message"] == "somebody was here"


def test_the_second_push_takes_away_what_the_folder_no_longer_has_and_leaves_other_files(
    results: dict[str, Any], checkpoint: Path, second: Path
) -> None:
    result = results["second"]
    assert result["code"] == 0, result["stderr"]
    told = json.loads(result["stdout"])
    *_, sha = commits_of(result, "me/small")
    commit = result["repositories"]["me/small"]["commits"][sha]
    assert set(commit["files"]) == names_in(second) | {".gitattributes", "somebody.txt"}
    assert commit["message"] == "Measured again"
    gone = sorted(names_in(checkpoint) - names_in(second))
    assert (told["changed"], told["removed"], told["kept"]) == (["README.md"], gone, ["somebody.txt"])
    assert {row["path"]: row["bytes"] for row in told["files"]} == {
        name: (second / name).stat().st_size for name in names_in(second)
    }
    expected = {"repo_id": "me/small", "revision": "main", "commit": sha, "new_commit": True}
    assert {name: told[name] for name in expected} == expected
    assert (told["private"], told["pull_request"]) == (False, None)
    assert told["url"].endswith(f"/me/small/commit/{sha}")


def test_private_repositories(results: dict[str, Any]) -> None:
    assert json.loads(results["private"]["stdout"])["private"] is True
    assert results["private"]["repositories"]["me/hidden"]["private"] is True
    assert "Nothing has changed" in results["private again"]["stderr"]
    sentence = sentence_of(results["too late for private"])
    assert "me/small exists and is public, and --private does not change that" in sentence


def test_a_branch_is_made_and_main_stays(results: dict[str, Any]) -> None:
    result = results["branch"]
    assert result["code"] == 0, result["stderr"]
    before, after = (results[name]["repositories"]["me/small"]["refs"] for name in ("second", "branch"))
    assert after["main"] == before["main"]
    assert after["with-onnx"] not in before.values()
    assert f'"{after["with-onnx"]}"' in result["stdout"]
    assert "Nothing has changed" in results["branch again"]["stderr"]


def test_a_pull_request_leaves_main_as_it_is(results: dict[str, Any]) -> None:
    result = results["pull request"]
    assert result["code"] == 0, result["stderr"]
    told, refs = json.loads(result["stdout"]), result["repositories"]["me/small"]["refs"]
    assert refs["main"] == results["second"]["repositories"]["me/small"]["refs"]["main"]
    assert told["commit"] == refs["refs/pr/1"]
    assert told["pull_request"].endswith("/me/small/discussions/1")
    assert re.search(
        r"^Proposed: http\S+/me/small/discussions/2$", results["pull request told"]["stderr"], re.MULTILINE
    )
    assert "the Hub has no me/nowhere" in sentence_of(results["pull request nowhere"])
    assert "me/nowhere" not in results["pull request nowhere"]["repositories"]
    assert "or not this revision of it" in sentence_of(results["pull request for no branch"])
    cut = sentence_of(results["pull request cut"])
    assert "look whether the pull request was made before you run the same push again" in cut


def test_a_repository_with_another_model_is_not_written_over(results: dict[str, Any]) -> None:
    result = results["somebody's"]
    assert "me/dense holds another model, which a push would replace" in sentence_of(result)
    assert commits_of(result, "me/dense") == []
    branch = results["somebody's, on a branch"]
    assert branch["code"] == 0, branch["stderr"]
    assert branch["repositories"]["me/dense"]["refs"]["main"] == result["repositories"]["me/dense"]["refs"]["main"]


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_ends_in_one_sentence_and_the_push_can_be_repeated(
    name: str, results: dict[str, Any], checkpoint: Path
) -> None:
    expected = FAULTS[name][2]
    failed, repeated, repo = results[f"fault {name}"], results[f"repeated {name}"], f"me/fault-{name}"
    assert expected in sentence_of(failed)
    if repo in failed["repositories"]:
        assert commits_of(failed, repo) == []
    assert repeated["code"] == 0, repeated["stderr"]
    [sha] = commits_of(repeated, repo)
    assert set(repeated["repositories"][repo]["commits"][sha]["files"]) == names_in(checkpoint) | {".gitattributes"}


def test_how_long_to_wait_is_told(results: dict[str, Any]) -> None:
    assert sentence_of(results["fault 429"]).endswith("run the same push again in 7 seconds")


def test_no_output_holds_the_token_or_a_signed_address(results: dict[str, Any], token: str) -> None:
    for name, result in results.items():
        for text in (result["stdout"], result["stderr"]):
            assert token not in text, name
            assert "SIGNED" not in text, name
    assert sentence_of(results["echo"]).startswith("Error: the token may not write to me/echo (403, the token *** may")
    verbose = results["echo with -v"]
    assert (verbose["code"], "Traceback" in verbose["stderr"]) == (1, True)
    assert ECHO.format(token="***") in verbose["stderr"]


def test_an_unknown_token_is_told(results: dict[str, Any]) -> None:
    sentence = sentence_of(results["unknown token"])
    assert "the Hub does not know the token (401)" in sentence
    assert "hf_unknown" not in results["unknown token"]["stderr"]


def test_the_process_that_pushes_needs_neither_torch_nor_transformers(report: dict[str, Any]) -> None:
    assert report["loaded"] == []


@pytest.fixture(scope="module")
def loaded(results: dict[str, Any], hub_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a process without the package got from the lines that the first push printed."""
    place = tmp_path_factory.mktemp("stranger")
    environment = {name: value for name, value in hub_environment.items() if name not in ("PYTHONPATH", "HF_TOKEN")}
    command = [sys.executable, "-c", LOADER, TEXT, results["first"]["stdout"]]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def logits(checkpoint: Path) -> torch.Tensor:
    batch = AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=False)([TEXT], return_tensors="pt")
    with torch.no_grad():
        return load_checkpoint(str(checkpoint)).model(**batch).logits


def test_a_stranger_loads_the_commit(loaded: Any, results: dict[str, Any], logits: torch.Tensor) -> None:
    [sha] = commits_of(results["first"], "me/small")
    assert loaded["class"] == "LowRankBertForSequenceClassification"
    assert sha in loaded["module"], "the code is pinned too"
    torch.testing.assert_close(torch.tensor(loaded["logits"]), logits)


def test_optimum_loads_the_onnx_folder_without_being_told_to_trust_it(loaded: Any, logits: torch.Tensor) -> None:
    pytest.importorskip("optimum.onnxruntime")  # optimum-onnx does not exist for transformers 5
    name, answer = loaded["onnx"]
    assert name == "ORTModelForSequenceClassification"
    torch.testing.assert_close(torch.tensor(answer), logits, rtol=0, atol=1e-5)
