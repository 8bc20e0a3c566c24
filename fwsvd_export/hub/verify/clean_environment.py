"""Whether a checkpoint loads where this package is not: in a new process, offline, without any token."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fwsvd_export.architectures.family import Family
from fwsvd_export.errors import quoted
from fwsvd_export.hub.verify.findings import SAVE_AGAIN, Finding
from fwsvd_export.storage.temporary import scratch_folder

_PROGRAM = Path(__file__).with_name("clean_program.py")
_SECONDS = 900  # importing the libraries from a slow disk takes minutes
_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH")


def auto_class_of(settings: dict[str, Any], family: Family) -> str | None:
    """The Auto class that loads a checkpoint of ours; None when its ``config.json`` names none of the family's."""
    architectures, auto_map = settings.get("architectures"), settings.get("auto_map")
    if settings.get("model_type") == family.model_type and isinstance(architectures, list):
        autos = {family.dense_name(head): head.auto_class for head in family.heads}
        return autos.get(str(architectures[0])) if architectures else None
    if not isinstance(architectures, list) or not isinstance(auto_map, dict):
        return None
    known = set(map(family.low_rank_name, family.heads))
    endings = tuple(f".{name}" for name in architectures if name in known)
    return next((str(auto) for auto, path in auto_map.items() if endings and str(path).endswith(endings)), None)


def check_loading(folder: Path, auto_class: str, seconds: float = _SECONDS) -> Iterator[Finding]:
    """Loads the folder with its own code, if it has any; call it only when that code is known to be ours."""
    advice = f"correct what it names, or {SAVE_AGAIN}"
    with scratch_folder("verify") as place:
        # The text is handed over, not its path: Python would put the folder of a script before its own library.
        command = [
            sys.executable,
            "-c",
            _PROGRAM.read_text(encoding="utf-8"),
            str(folder.absolute()),
            auto_class,
        ]
        try:
            done = subprocess.run(
                command,
                cwd=place,
                env=_environment(place),
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            yield Finding("config.json", f"the model was not loaded within {seconds:g} seconds", "try again")
            return
    *_, last = done.stdout.splitlines() or [""]
    try:
        problems = json.loads(last)
    except ValueError:
        *_, said = done.stderr.strip().splitlines() or ["it said nothing"]
        problems = [f"the process that loaded it ended with code {done.returncode}: {said}"]
    for problem in problems:
        yield Finding("config.json", f"does not load in a process without fwsvd-export: {quoted(problem)}", advice)


def _environment(place: Path) -> dict[str, str]:
    """The variables of this process, without tokens and caches, and offline."""
    kept = {name: value for name, value in os.environ.items() if name not in _TOKENS}
    own = {name: str(place / name.lower()) for name in ("HF_HOME", "HF_MODULES_CACHE", "HF_HUB_CACHE")}
    # Another cache of models' code on the path would hide the process's own
    paths = kept.pop("PYTHONPATH", "").split(os.pathsep)
    own["PYTHONPATH"] = os.pathsep.join(path for path in paths if not (Path(path) / "transformers_modules").is_dir())
    return {**kept, **own, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
