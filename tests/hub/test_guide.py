"""docs/guide.md, run to the letter by a newcomer: its shell lines, then its lines of Python, on a small model."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from fwsvd_export.checkpoints.load import load_checkpoint

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
LEFT_OUT = "<!-- not run: "  # stands before blocks that need a network, with the reason
BLOCKS = re.findall(rf"({LEFT_OUT}[^\n]*\n)?```(\w+)\n(.*?)```", GUIDE, flags=re.DOTALL)
ROWS = {"train.jsonl": 160, "validation.jsonl": 872}

SHIM = """#!{python} -IS
import json, os, sys
from multiprocessing.connection import Client

with Client(("127.0.0.1", {port})) as worker:
    worker.send_bytes(json.dumps({{"words": sys.argv[1:], "folder": os.getcwd()}}).encode())
    answer = json.loads(worker.recv_bytes())
sys.stdout.buffer.write(answer["stdout"].encode())
sys.stderr.buffer.write(answer["stderr"].encode())
sys.exit(answer["code"])
"""

READER = '''
import contextlib, io, json, sys

class Blocked:
    """Makes every import of the package fail, wherever it is installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "fwsvd_export":
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())
try:
    import optimum.onnxruntime
    has_optimum = True
except ImportError:
    has_optimum = False
printed = []
for block in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        if has_optimum or "optimum" not in block:
            exec(block, {})
    printed.append(out.getvalue())
print(json.dumps(printed))
'''


def blocks(language: str) -> list[str]:
    """The blocks of a language that are to be run, in order."""
    return [text for left_out, found, text in BLOCKS if found == language and not left_out]


@pytest.fixture(scope="module")
def room(
    make_head: Callable[..., Any],
    make_sentences: Callable[..., list[str]],
    tiny_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The newcomer's folder: a model that answers its data rightly, and that data."""
    folder = tmp_path_factory.mktemp("room")
    model = make_head("BertForSequenceClassification", max_position_embeddings=128)  # bench asks for 128 tokens
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    for part in (model, tokenizer):
        part.save_pretrained(folder / "my-model")
    for seed, (name, count) in enumerate(ROWS.items()):
        texts = make_sentences(count, seed=seed)
        with torch.no_grad():
            labels = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.argmax(dim=-1).tolist()
        rows = [{"sentence": text, "label": label} for text, label in zip(texts, labels, strict=True)]
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def environment(hub_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """In which fwsvd-export hands its words to one process that has loaded everything, as each would take seconds."""
    place = tmp_path_factory.mktemp("shim")
    path = {"PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    command = [sys.executable, str(Path(__file__).with_name("guide_worker.py")), str(place / "calls")]
    with subprocess.Popen(command, env={**hub_environment, **path}, stdout=subprocess.PIPE, text=True) as worker:
        try:
            assert worker.stdout is not None
            shim = place / "fwsvd-export"
            shim.write_text(SHIM.format(python=sys.executable, port=int(worker.stdout.readline())))
            shim.chmod(0o755)
            yield {**hub_environment, "PATH": f"{place}{os.pathsep}{os.environ['PATH']}", "CALLS": str(place / "calls")}
        finally:
            worker.kill()


@pytest.fixture(scope="module")
def calls(room: Path, environment: dict[str, str]) -> list[dict[str, Any]]:
    """Every command of the guide's shell blocks with what it answered; all must end well."""
    script = ["bash", "-e", "-c", "\n".join(blocks("sh"))]
    done = subprocess.run(script, cwd=room, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in Path(environment["CALLS"]).read_text().splitlines()]


@pytest.fixture(scope="module")
def printed(calls: list[dict[str, Any]], room: Path, environment: dict[str, str]) -> list[str]:
    """What the blocks of Python printed, one after the other, where the package cannot be imported."""
    stranger = {name: value for name, value in environment.items() if name not in ("PYTHONPATH", "HF_TOKEN")}
    command = [sys.executable, "-c", READER, json.dumps(blocks("python"))]
    done = subprocess.run(command, cwd=room, env=stranger, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


@pytest.fixture(scope="module")
def logits(calls: list[dict[str, Any]], room: Path) -> torch.Tensor:
    """What the compressed folder itself answers to the guide's text."""
    [text] = set(re.findall(r'\["([^"]+)"\]', "".join(blocks("python")))) - {"repo_id", "commit"}
    folder = room / "my-model-small"
    batch = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)([text], return_tensors="pt")
    with torch.no_grad():
        return load_checkpoint(str(folder)).model(**batch).logits


def test_every_command_was_run_as_it_stands(calls: list[dict[str, Any]]) -> None:
    lines = "\n".join(blocks("sh")).replace("\\\n", " ").splitlines()
    typed = [shlex.split(line, comments=True) for line in lines if line.startswith("fwsvd-export ")]
    typed = [words[1 : words.index(">") if ">" in words else None] for words in typed]
    assert [call["words"] for call in calls] == typed
    assert [call["code"] for call in calls] == [0] * len(typed)
    assert {words[0] for words in typed} == {
        "fisher", "compress", "finetune", "inspect", "evaluate", "onnx", "bench", "report", "sweep", "card", "push",
    }  # fmt: skip


def test_only_what_needs_a_network_is_left_out() -> None:
    left_out = "".join(text for marker, _, text in BLOCKS if marker)
    assert {line.split()[0] for line in left_out.splitlines()} == {"pip"}
    assert {language for _, language, _ in BLOCKS} == {"sh", "python", "text"}


def test_every_line_of_output_that_is_shown_is_one_of_the_commands(calls: list[dict[str, Any]]) -> None:
    told = "\n".join(call["stdout"] + call["stderr"] for call in calls)
    for line in "".join(blocks("text")).splitlines():
        # Numbers, and names that hold some, are another model's; the words around them are the command's own
        for words in re.split(r"[│┃]|\S*\d\S*|\s{2,}", line):
            assert words.strip() in told, line


def test_every_sentence_that_is_quoted_is_one_of_the_packages() -> None:
    files = [file for file in (ROOT / "fwsvd_export").rglob("*") if file.suffix in (".py", ".jinja")]
    package = "".join(file.read_text(encoding="utf-8") for file in files)
    prose = re.sub(r"```.*?```", "", GUIDE, flags=re.DOTALL)
    quoted = [" ".join(words.split()) for words in re.findall(r"`([^`]+)`", prose)]
    told = [words for words in quoted if " " in words and not words.startswith(("-", "pip ", "set "))]
    assert len(told) > 5
    assert [words for words in told if words not in package] == []


def test_the_published_model_answers_as_the_folder_does(printed: list[str], logits: torch.Tensor) -> None:
    through_torch, through_onnxruntime, _ = printed
    torch.testing.assert_close(torch.tensor(json.loads(through_torch)), logits)
    torch.testing.assert_close(torch.tensor(json.loads(through_onnxruntime)), logits, rtol=0, atol=1e-5)


def test_optimum_reads_it_without_being_told_to_trust_it(printed: list[str], logits: torch.Tensor) -> None:
    pytest.importorskip("optimum.onnxruntime")  # optimum-onnx does not exist for transformers 5
    *_, through_optimum = printed
    torch.testing.assert_close(torch.tensor(json.loads(through_optimum)), logits, rtol=0, atol=1e-5)
