"""Damaged and hostile checkpoints through our own commands: every one ends in a result or in one clear sentence.

    python scripts/fuzz_checkpoints.py [--mutations 2000] [--seed 0] [-o DIR]

Small models are made on the spot; seeded damage is done to one of their files, and one command is run on it. Checked
are exit code, sentence, time, memory, that foreign code does not run, and that nothing outside the output is touched.
A case is known by seed and number: ``--case 17`` runs that one alone and shows what it did. Prints a summary line and
one JSON object last; the exit code is 1 when any check failed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fuzz_cases import KINDS, make_models, run_case, warm_up

MOST_GROWTH_MB = 1500
CASE_SECONDS = 20
GRACE_SECONDS = 60  # for a case that is stuck where a signal does not reach it, and for starting up
SHOWN = 20


def main() -> None:
    """Runs the cases in a worker process, which is replaced when it dies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="Run only the case of this number, and show it.")
    parser.add_argument("-o", "--output", type=Path, help="Folder for results.jsonl, one line per case.")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker is not None:
        work(arguments.worker, arguments.seed)
        return
    numbers = range(arguments.mutations) if arguments.case is None else range(arguments.case, arguments.case + 1)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        make_models(Path(scratch) / "models")
        results = list(written(run_all(Path(scratch), numbers, arguments.seed), arguments.output))
    if arguments.case is not None:
        print(json.dumps(results[0], indent=2))
    failed = [result for result in results if result["failures"]]
    for result in failed[:SHOWN]:
        print(f"case {result['case']}: {', '.join(result['failures'])}: {result['what']}", file=sys.stderr)
        print(f"    {result['said'][:300]}", file=sys.stderr)
    summary = summarise(results, arguments.seed)
    print(
        f"{len(results):,} mutations, seed {arguments.seed}: {summary['refused']:,} refused with one sentence, "
        f"{summary['accepted']:,} accepted, {len(failed)} failed; "
        f"slowest {summary['slowest_seconds']} s of processor time, largest growth {summary['largest_growth_mb']} MB"
    )
    print(json.dumps(summary))
    sys.exit(1 if failed else 0)


def written(results: Iterator[dict[str, Any]], folder: Path | None) -> Iterator[dict[str, Any]]:
    """The same results, each written to the folder's results.jsonl as it comes."""
    if folder is None:
        yield from results
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "results.jsonl").open("w", encoding="utf-8") as file:
        for result in results:
            print(json.dumps(result), file=file, flush=True)
            yield result


def summarise(results: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    """The counts of all cases."""
    failures = Counter(failure for result in results for failure in result["failures"])
    return {
        "mutations": len(results),
        "by_target": dict(sorted(Counter(result["target"] for result in results).items())),
        "refused": sum(not result["failures"] and result["exit_code"] in (1, 2) for result in results),
        "accepted": sum(not result["failures"] and result["exit_code"] in (0, 3) for result in results),
        **{kind: failures[kind] for kind in KINDS},
        "slowest_seconds": max(result["seconds"] for result in results),
        "largest_growth_mb": max(result["growth_mb"] for result in results),
        "seed": seed,
    }


def run_all(scratch: Path, numbers: range, seed: int) -> Iterator[dict[str, Any]]:
    """The results of all cases in order; a worker that dies or hangs costs one case."""
    worker, waiting = None, list(numbers)
    while waiting:
        worker = worker or start_worker(scratch, seed)
        number = waiting.pop(0)
        result = ask(worker, number)
        if result is None:
            died = worker.poll() is not None
            worker.kill()
            worker.wait()
            result = {"target": "?", "what": "worker ended", "said": "", "exit_code": None, "growth_mb": 0}
            result |= {"failures": ["crashes" if died else "hangs"], "seconds": 0 if died else CASE_SECONDS}
        if worker.poll() is not None or {"hangs", "memory"} & {*result["failures"]}:  # not a sound process any more
            worker.kill()
            worker.wait()
            worker = None
        yield {"case": number, **result}
    if worker is not None:
        worker.kill()
        worker.wait()


def start_worker(scratch: Path, seed: int) -> subprocess.Popen[str]:
    """A process with a home, a working folder and a place for temporary files inside the scratch folder."""
    for name in ("home", "cwd", "tmp"):
        (scratch / name).mkdir(exist_ok=True)
    package = Path(__file__).resolve().parents[1]
    environment = {
        **os.environ,
        "HOME": str(scratch / "home"),
        "HF_HOME": str(scratch / "home" / "huggingface"),
        "TMPDIR": str(scratch / "tmp"),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, str(Path(__file__).resolve()), "--worker", str(scratch), "--seed", str(seed)]
    return subprocess.Popen(
        command,
        cwd=scratch / "cwd",
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def ask(worker: subprocess.Popen[str], number: int) -> dict[str, Any] | None:
    """The worker's result of one case; None when it died or does not answer."""
    assert worker.stdin is not None, "it was started with pipes"
    assert worker.stdout is not None, "it was started with pipes"
    try:
        worker.stdin.write(f"{number}\n")
        worker.stdin.flush()
    except BrokenPipeError:
        return None
    for _ in range(CASE_SECONDS + GRACE_SECONDS):  # second by second: a machine that slept has not waited
        if select.select([worker.stdout], [], [], 1)[0]:
            line = worker.stdout.readline()
            return json.loads(line) if line else None
    return None


def work(scratch: Path, seed: int) -> None:
    """Runs the cases whose numbers come in, one line each; what libraries print does not mix with the answers."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    Path("/proc/self/oom_score_adj").write_text("1000")  # when memory ends, this process is the one to go
    warm_up(scratch)
    for line in sys.stdin:
        before, start = peak_mb(), time.process_time()
        result = run_case(scratch, seed, int(line), CASE_SECONDS)
        result["seconds"] = round(time.process_time() - start, 2)
        result["growth_mb"] = round(peak_mb() - before)
        if result["growth_mb"] > MOST_GROWTH_MB:
            result["failures"].append("memory")
        print(json.dumps(result), file=answers, flush=True)


def peak_mb() -> float:
    """The most memory this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KiB


if __name__ == "__main__":
    main()
