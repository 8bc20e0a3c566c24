r"""Whether a command that is killed at random moments continues and ends with what it ends with undisturbed.

    python scripts/check_kills.py --work FOLDER -- sweep MODEL -o {out} --task sst2 --data train.jsonl \
        --validation validation.jsonl --max-samples 256 --methods svd,fwsvd,als,kfac --ratios 0.5,0.1
    python scripts/check_kills.py --work FOLDER --compare model.safetensors,training.json -- finetune MODEL {out} \
        --teacher DENSE --task sst2 --data train.jsonl --max-samples 512 --epochs 1

The words behind -- are a command of fwsvd-export; {out} becomes an output below FOLDER, which is made. It runs once
undisturbed. Then it runs with kill -9 (of its whole process group) after a random part of that time, again and again
with the same output until it is done, then with a new one, until it was killed --kills times; what is under way then
ends undisturbed. Every output that is done is compared with the first: JSON files by their values without times and
commands, other files byte by byte. Prints one JSON object last; exit code 1 when anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NOT_COMPARED = {"seconds", "command", "recipe", "environment", "versions", "history", "files"}
SLOWEST = 1.1  # of the undisturbed time: kills come until shortly after a run's usual end


def main() -> None:
    """Runs the check."""
    words = sys.argv[1:]
    place = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="Of the moments.")
    parser.add_argument("--compare", default="results.json", help="Files of the output, between commas.")
    parser.add_argument("--work", type=Path, required=True, help="New folder for the outputs.")
    arguments, command = parser.parse_args(words[:place]), words[place + 1 :]
    if not any("{out}" in word for word in command):
        parser.error("give a command behind --, with {out} for its output")
    arguments.work.mkdir(parents=True)
    result = check(
        command, arguments.work, arguments.compare.split(","), arguments.kills, random.Random(arguments.seed)
    )
    print(json.dumps(result))
    if not result["same"]:
        sys.exit(1)


def check(
    command: Sequence[str], work: Path, files: Sequence[str], kills: int, moments: random.Random
) -> dict[str, Any]:
    """The runs, and whether all of them ended with the same."""
    begin = time.perf_counter()
    run_to_its_end(command, work / "undisturbed")
    usual = time.perf_counter() - begin
    expected = contents(work / "undisturbed", files)
    runs: list[dict[str, Any]] = []
    left = kills
    while left:
        out, killed, done = work / f"killed-{len(runs) + 1}", [], False
        while left and not done:
            after = killed_after(command, out, moments.uniform(0, SLOWEST * usual))
            if after is None:
                done = True
                continue
            left -= 1
            killed.append(round(after, 2))
            print(f"{out.name}: killed after {after:.1f} s of usually {usual:.1f}", file=sys.stderr, flush=True)
        if not done:
            run_to_its_end(command, out)
        found = contents(out, files)
        runs.append({"killed_after": killed, "differing": [name for name in files if found[name] != expected[name]]})
    differing = sorted({name for run in runs for name in run["differing"]})
    return {
        "command": ["fwsvd-export", *command[:1]],
        "compared": list(files),
        "usual_seconds": round(usual, 1),
        "kills": sum(len(run["killed_after"]) for run in runs),
        "outputs": len(runs),
        "differing": differing,
        "same": not differing,
        "runs": runs,
    }


def killed_after(command: Sequence[str], out: Path, seconds: float) -> float | None:
    """Runs the command and kills it after so many seconds, which are returned; None when it was done before."""
    begin = time.perf_counter()
    process = started(command, out)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return time.perf_counter() - begin
    check_end(process)
    return None


def run_to_its_end(command: Sequence[str], out: Path) -> None:
    """Runs the command undisturbed."""
    check_end(started(command, out))


def started(command: Sequence[str], out: Path) -> subprocess.Popen[str]:
    """The command with its output, in a process group of its own."""
    words = [sys.executable, "-m", "fwsvd_export", "-q", *(word.replace("{out}", str(out)) for word in command)]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True)


def check_end(process: subprocess.Popen[str]) -> None:
    """Waits; ends this script when the command fails, but not when the last one was killed behind its last step."""
    _, said = process.communicate()
    if process.returncode != 0 and "exists already" not in said:
        raise SystemExit(f"the command failed with exit code {process.returncode}: {said.strip()}")


def contents(out: Path, files: Sequence[str]) -> dict[str, Any]:
    """What is compared of an output, by file."""
    return {
        name: without_times(json.loads((out / name).read_text("utf-8")))
        if name.endswith(".json")
        else (out / name).read_bytes()
        for name in files
    }


def without_times(value: Any) -> Any:
    """JSON values without those that differ from run to run."""
    if isinstance(value, dict):
        return {name: without_times(inner) for name, inner in value.items() if name not in NOT_COMPARED}
    return [without_times(inner) for inner in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
