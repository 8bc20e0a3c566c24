"""One case of ``fuzz_checkpoints.py``: small sound models, damage to one of their files, one command, the checks."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import torch
from click.testing import CliRunner, Result
from mutations import mutate_bytes, mutate_code, mutate_json, mutate_safetensors
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

from fwsvd_export.cli import group

# What may go wrong, by the key of the summary
KINDS = ("tracebacks", "hangs", "writes_outside", "crashes", "memory", "code_was_run", "leftovers", "unclear")
WORDS = [f"word{number}" for number in range(55)]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LONGEST_SENTENCE = 1000  # characters; a longer one is no sentence
SUCCESS = (0, 3)

Mutate = Callable[[Random, bytes], tuple[str, bytes]]

DATA = ("--task", "sst2", "--data", "{models}/data.jsonl")
FISHER = ("compress", "{model}", "{out}", "--fisher", "{statistics}")
DENSE = (
    ("inspect", "{model}"),
    ("inspect", "{model}", "--json"),
    ("evaluate", "{model}", *DATA, "--json"),
    ("compress", "{model}", "{out}", "--method", "svd", "--rank", "3"),
    ("compress", "{model}", "{out}", "--ratio", "0.5", *DATA),
    (*FISHER, "--rank", "3"),
)
SMALL = (
    ("inspect", "{model}"),
    ("inspect", "{model}", "--json"),
    ("evaluate", "{model}", *DATA),
    ("evaluate", "{model}", *DATA, "--runtime", "onnxruntime", "--json"),
    ("densify", "{model}", "{out}"),
    ("card", "{model}"),
    ("compress", "{model}", "{out}", "--method", "svd", "--rank", "3"),
)
ONNX = (("onnx", "{model}", "-o", "{out}"),)
STATISTICS = (
    (*FISHER, "--rank", "3"),
    (*FISHER, "--ratio", "0.5", "--embeddings", "0.5"),
    (*FISHER, "--rank", "3", "--method", "fwsvd"),
    (*FISHER, "--ratio", "0.4", "--method", "activation"),
    (*FISHER, "--rank", "2", "--method", "als"),
    (*FISHER, "--ratio", "0.5", *DATA),
)


@dataclass(frozen=True)
class Target:
    """A file to damage.

    Attributes:
        model: folder of the model that a command gets.
        file: to damage, inside it; for statistics the file beside it.
        mutate: how.
        commands: one of them is run.
        share: how often, relative to the others.
        sound: a damaged file may still be accepted.
    """

    model: str
    file: str
    mutate: Mutate
    commands: tuple[tuple[str, ...], ...]
    share: int
    sound: bool = True


def elsewhere(random: Random, content: bytes) -> tuple[str, bytes]:
    """A configuration whose auto_map names code that came with the folder, or code from elsewhere."""
    settings = json.loads(content)
    reference = random.choice(("evil.Evil", "someone/elsewhere--evil.Evil", "../evil.Evil", "os.system"))
    name = settings["architectures"][0].replace("LowRank", "")
    auto = "AutoModel" + name.removeprefix("Bert")
    settings["auto_map"] = {auto: reference, "AutoConfig": reference, "AutoTokenizer": [reference, reference]}
    return f"auto_map names {reference}", json.dumps(settings).encode()


TARGETS = {
    "config": Target("dense", "config.json", mutate_json, DENSE, 20),
    "low-rank config": Target("small", "config.json", mutate_json, SMALL, 25),
    "export of a config": Target("small", "config.json", mutate_json, ONNX, 2),
    "auto_map": Target("dense", "config.json", elsewhere, DENSE, 2),
    "low-rank auto_map": Target("small", "config.json", elsewhere, SMALL, 2),
    "compression.json": Target("small", "compression.json", mutate_json, SMALL[:2] + SMALL[-2:], 15),
    "weights": Target("dense", "model.safetensors", mutate_safetensors, DENSE, 12),
    "low-rank weights": Target("small", "model.safetensors", mutate_safetensors, SMALL, 12),
    "index of shards": Target("sharded", "model.safetensors.index.json", mutate_json, DENSE, 5),
    "statistics": Target("dense", "../fisher.safetensors", mutate_safetensors, STATISTICS, 18),
    "tokenizer": Target("dense", "tokenizer.json", mutate_json, (DENSE[2], DENSE[4]), 6),
    "tokenizer settings": Target("dense", "tokenizer_config.json", mutate_json, (DENSE[2], DENSE[4]), 4),
    "code": Target("small", "modeling_lowrank_bert.py", mutate_bytes, SMALL, 2, sound=False),
    "configuration code": Target("small", "configuration_lowrank_bert.py", mutate_bytes, SMALL, 2, sound=False),
    "ONNX": Target("small", "onnx/model.onnx", mutate_bytes, SMALL[3:4], 2),
    "ONNX record": Target("small", "onnx/export.json", mutate_json, (("card", "{model}"),), 3),
    "ONNX config": Target("small", "onnx/config.json", mutate_json, SMALL[3:4], 3),
}


def make_models(folder: Path) -> None:
    """A dense model, the same in shards, its statistics, a compressed one with ONNX, and 12 rows of data."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(SPECIAL) + len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        initializer_range=0.3,
    )
    model = BertForSequenceClassification(config)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join([*SPECIAL, *WORDS]) + "\n", encoding="utf-8")
    tokenizer = BertTokenizerFast(vocab=str(vocabulary), vocab_file=str(vocabulary))
    for name, options in (("dense", {}), ("sharded", {"max_shard_size": "10KB"})):
        model.save_pretrained(folder / name, **options)
        tokenizer.save_pretrained(folder / name)
        (folder / name / "evil.py").write_text(f"open({str(folder.parent / 'canary')!r}, 'w').close()\n")
    rows = [{"sentence": " ".join(WORDS[n : n + 1 + n % 5]), "label": n % 2} for n in range(12)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "data.jsonl").write_text(lines, encoding="utf-8")
    statistics, small = folder / "fisher.safetensors", folder / "small"
    data = [part.format(models=folder) for part in DATA]
    collect = ("--collect", "kfac,row,element")
    for command in (
        ("fisher", folder / "dense", "-o", statistics, *data, *collect),
        ("compress", folder / "dense", small, "--fisher", statistics, "--rank", 4, "--embeddings", 0.5),
        ("onnx", small),
    ):
        result = invoke(*command)
        assert result.exit_code == 0, result.output
    shutil.copyfile(folder / "dense" / "evil.py", small / "evil.py")


def warm_up(scratch: Path) -> None:
    """Runs every command on sound files: imports, and what libraries make in a home folder at their first use."""
    room = scratch / "warm"
    shutil.copytree(scratch / "models", room)
    for target in TARGETS.values():
        for number, command in enumerate(target.commands):
            out = room / f"out-{target.model}-{number}"
            invoke(*places(command, room, room / target.model, out))
    shutil.rmtree(room)


def places(command: Sequence[str], room: Path, model: Path, out: Path) -> list[str]:
    """The words of a command, with the folders of one case in them."""
    names = {"model": model, "models": room, "out": out, "statistics": room / "fisher.safetensors"}
    return [part.format(**names) for part in command]


def run_case(scratch: Path, seed: int, number: int, seconds: int) -> dict[str, Any]:
    """Damages one file, runs one command on it and checks what became of it.

    Args:
        scratch: has ``models`` of ``make_models``; everything in it but the output must stay as it is.
        seed: of all cases.
        number: of this case.
        seconds: it may take.

    Returns:
        ``target``, ``what`` was done, ``exit_code``, what was ``said``, and the ``failures``, of ``KINDS``.
    """
    random = Random(f"{seed} {number}")
    name = random.choices(list(TARGETS), [target.share for target in TARGETS.values()])[0]
    target, room = TARGETS[name], scratch / "case"
    model, out = room / target.model, room / "out"
    shutil.rmtree(room, ignore_errors=True)
    shutil.copytree(scratch / "models", room)
    file = model / target.file
    if name.endswith("code"):
        what, content = mutate_code(random, file.read_bytes(), str(scratch / "canary"))
    else:
        what, content = target.mutate(random, file.read_bytes())
    file.write_bytes(content)
    command = places(random.choice(target.commands), room, model, out)
    if command[0] == "card":
        out = model / "README.md"
    before = tree(scratch)
    result = invoke_within(seconds, *command)
    shown = f"{name}, {what}: {' '.join(command)}".replace(str(room), "")
    exit_code = None if result is None else result.exit_code
    said = "no end" if result is None else result.stderr.strip()
    failures = ["hangs"] if result is None else failures_of(result)
    changed = {path for path, _ in tree(scratch).items() ^ before.items()}
    written = {path for path in changed if path == out or out in path.parents}
    if changed - written:
        failures.append("writes_outside")
        said = f"changed: {', '.join(sorted(map(str, changed - written)))}; {said}"
    if written and exit_code not in SUCCESS:
        failures.append("leftovers")
    if (scratch / "canary").exists():
        failures.append("code_was_run")
        (scratch / "canary").unlink()
    if exit_code in SUCCESS and not target.sound and command[0] != "card":  # which reads no code
        failures.append("code_was_run")
    said = f"{type(result.exception).__name__}: {said}" if result is not None and "tracebacks" in failures else said
    return {"target": name, "what": shown, "exit_code": exit_code, "said": said[:2000], "failures": failures}


def failures_of(result: Result) -> list[str]:
    """What is wrong with a command's answer."""
    lines = result.stderr.splitlines()
    raised = any(line.startswith("Traceback (") for line in lines) or "not expected here" in result.stderr
    if raised or result.exit_code not in (*SUCCESS, 1, 2):
        return ["tracebacks"]
    if result.exit_code in SUCCESS:
        return [] if is_sound(result.stdout) else ["unclear"]
    sentence = lines[-1] if lines else ""
    one_line = len(lines) == 1 or result.exit_code == 2
    clear = sentence.startswith("Error: ") and one_line and len(sentence) <= LONGEST_SENTENCE
    return [] if clear and sentence.isprintable() and result.stdout == "" else ["unclear"]


def is_sound(stdout: str) -> bool:
    """Whether an answer is JSON as the standard has it, or a text that can be shown."""
    if not stdout.startswith("{"):
        return stdout.replace("\n", "").isprintable()

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        json.loads(stdout, parse_constant=refuse)
    except ValueError:
        return False
    return True


def invoke(*arguments: object) -> Result:
    """What the command line answers to these words."""
    return CliRunner().invoke(group, ["-q", *map(str, arguments)], prog_name="fwsvd-export")


class TimeIsUpError(BaseException):
    """Not an ``Exception``, so that nobody on the way takes it for a damaged file."""


def invoke_within(seconds: int, *arguments: object) -> Result | None:
    """As ``invoke``; None when it takes longer."""
    try:
        with limit(seconds):
            return invoke(*arguments)
    except TimeIsUpError:
        return None
    except BaseException as error:  # what Rust code calls a panic is no Exception and ends the command line
        return Result(CliRunner(), b"", b"", b"", None, 70, error)


@contextmanager
def limit(seconds: int) -> Iterator[None]:
    """Ends the block after so many seconds in which this process could run: a machine that sleeps does not count."""
    ticks = 0

    def tick(number: int, frame: FrameType | None) -> None:
        nonlocal ticks
        ticks += 1
        if ticks >= seconds:
            raise TimeIsUpError

    previous = signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, 1, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def tree(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """Every file and folder: size, time of change and mode; the canary is looked for by itself."""
    found = {}
    for path in folder.rglob("*"):
        if path.name != "canary":
            status = path.lstat()
            known = (0, 0) if path.is_dir() else (status.st_size, status.st_mtime_ns)
            found[path] = (*known, status.st_mode)
    return found
