"""Every head of every family, loaded under several versions of transformers, each in an environment made with pip.

    PYTHONPATH=. python scripts/check_families.py --work FOLDER [--versions 4.48.3,4.57.6,5.0.0,5.23.0] [-o RESULTS]

Small models with random weights are compressed to two fifths of their linear weights, with fewer neurons and factorised
words where the family has them, and saved once, here. Every environment loads them without this package, exports them
to ONNX with it, runs the files under onnxruntime, and reads them with optimum where a version of it installs beside
that transformers. Environments that are in FOLDER are used again. Writes families.json and families.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import tomllib
import torch
from safetensors.torch import save_file

from fwsvd_export import compress
from fwsvd_export.architectures.registry import FAMILIES, family_of_class
from tests.helpers import tiny_head

ROOT = Path(__file__).parents[1]
OPTIMUM = "optimum-onnx[onnxruntime]>=0.1"
EQUAL, CLOSE = 1e-5, 1e-4  # of logits in torch, and in ONNX
EXPORT = """
import json, sys
import fwsvd_export
for job in json.load(open(sys.argv[1])).values():
    try:
        fwsvd_export.export_onnx(fwsvd_export.load(job["folder"]), job["onnx"], overwrite=True)
    except Exception as error:  # a cell of the table
        print(job["folder"], repr(error), file=sys.stderr)
"""


def main() -> None:
    """Makes models and environments, and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="Folder for environments and models.")
    parser.add_argument("--versions", default="4.48.3,4.57.6,5.0.0,5.23.0", help="Of transformers.")
    parser.add_argument("-o", "--out", type=Path, default=Path("docs/results"), help="Folder of the tables.")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    jobs = {
        name: saved(name, arguments.work / "models" / name)
        for family in FAMILIES.values()
        for name in (family.dense_name(head) for head in family.heads)
    }
    found = {version: under(version, jobs, arguments.work) for version in arguments.versions.split(",")}
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "families.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    (arguments.out / "families.md").write_text(table(found), encoding="utf-8")
    print(json.dumps(found))


def saved(name: str, folder: Path) -> dict[str, Any]:
    """A compressed model of a class on disk, with a padded batch and what it predicts: one job for an environment."""
    shutil.rmtree(folder, ignore_errors=True)
    family = family_of_class(name)
    head = family.head(name)
    mask = torch.tensor([[1] * 9, [1] * 5 + [0] * 4, [1] * 7 + [0] * 2])
    ids = torch.where(mask.bool(), torch.randint(5, 25, (3, 9), generator=torch.Generator().manual_seed(0)), 0)
    inputs = {"input_ids": ids, "attention_mask": mask}
    if "token_type_ids" in family.inputs:
        inputs["token_type_ids"] = torch.zeros_like(mask)
    if head.has_choices:
        inputs = {key: value.unsqueeze(0).contiguous() for key, value in inputs.items()}
    dense = tiny_head(name)
    dense.save_pretrained(folder / "dense")
    model = compress(dense, [inputs], labels="sampled", ratio=0.4, embeddings=0.6)
    model.save_pretrained(folder / "checkpoint")
    with torch.no_grad():
        predicted = {key: value for key, value in model(**inputs).items() if key in head.outputs}
    inputs_there = {f"inputs.{key}": value for key, value in inputs.items()}
    expected = {f"expected.{key}": value.contiguous() for key, value in predicted.items()}
    save_file({**inputs_there, **expected}, folder / "tensors.safetensors")
    return {
        "dense": str(folder / "dense"),
        "folder": str(folder / "checkpoint"),
        "tensors": str(folder / "tensors.safetensors"),
        "inputs": list(inputs),
        "outputs": list(predicted),
        "auto_class": head.auto_class,
        "ort_class": head.ort_class,
        "onnx": None,
    }


def under(version: str, jobs: dict[str, dict[str, Any]], work: Path) -> dict[str, Any]:
    """Everything under one version of transformers."""
    print(f"transformers {version}", file=sys.stderr)
    python = environment(version, work / f"transformers-{version}")
    place = work / f"jobs-{version}.json"
    exports = work / f"onnx-{version}"
    shutil.rmtree(exports, ignore_errors=True)
    exports.mkdir()
    theirs = {name: {**job, "onnx": str(exports / name)} for name, job in jobs.items()}
    place.write_text(json.dumps(theirs), encoding="utf-8")
    cache = {"HF_MODULES_CACHE": str(work / f"modules-{version}"), "HF_HUB_OFFLINE": "1"}
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | cache
    subprocess.run([python, "-c", EXPORT, place], check=True, env=bare | {"PYTHONPATH": str(ROOT)}, cwd=work)
    for job in theirs.values():
        if not Path(job["onnx"], "model.onnx").is_file():
            job["onnx"] = None
    place.write_text(json.dumps(theirs), encoding="utf-8")
    worker = [python, str(ROOT / "scripts" / "load_families.py"), str(place)]
    done = subprocess.run(worker, check=True, env=bare, stdout=subprocess.PIPE, text=True, cwd=work)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def environment(version: str, folder: Path) -> str:
    """The interpreter of an environment with one version of transformers and what this package needs, without it."""
    python = str(folder / "bin" / "python")
    if (folder / "complete").is_file():
        return python
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["onnx"]]
    others = [row for row in needed if not row.startswith(("torch", "transformers"))]
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    install = [python, "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, f"torch=={torch.__version__.partition('+')[0]}"], check=True)
    subprocess.run([*install, f"transformers=={version}", *others], check=True)
    if version.startswith("4."):  # no version of optimum-onnx takes a later transformers
        subprocess.run([*install, f"transformers=={version}", OPTIMUM], check=True)
    (folder / "complete").touch()
    return python


def table(found: dict[str, Any]) -> str:
    """Families and versions: in how many heads each way succeeds, and where one does not, why."""
    versions = list(found)
    lines = [f"| family | {' | '.join(versions)} |", f"|---|{'---|' * len(versions)}"]
    for model_type, family in FAMILIES.items():
        names = [family.dense_name(head) for head in family.heads]
        cells = [cell([found[version][name] for name in names]) for version in versions]
        lines.append(f"| {model_type} | {' | '.join(cells)} |")
    lines += [
        "",
        "A cell: heads that load, predict what they did where they were saved (to 1e-5), do so in ONNX (to 1e-4),",
    ]
    lines += ["and read by optimum, which has readers for fewer heads and none beside transformers 5."]
    for version in versions:
        for name, row in found[version].items():
            if isinstance(row["dense"], str):
                lines += ["", f"{version} cannot run a dense {name} either, so it is not counted: {row['dense']}"]
            elif failed := [way for way in ("torch", "onnx", "optimum") if isinstance(row.get(way), str)]:
                lines += ["", f"{version}, {name}: {row[failed[0]]}"]
    return "\n".join([*lines, ""])


def cell(rows: list[dict[str, Any]]) -> str:
    """Heads that load, predict the same, and do so as ONNX and with optimum, of those that this version can run."""
    rows = [row for row in rows if not isinstance(row["dense"], str)]
    loaded = sum(not isinstance(row["torch"], str) for row in rows)
    equal = sum(within(row["torch"], EQUAL) for row in rows)
    onnx = sum(within(row.get("onnx"), CLOSE) for row in rows)
    read = [row["optimum"] for row in rows if "optimum" in row]
    optimum = f"{sum(within(value, CLOSE) for value in read)}/{len(read)}" if read else "none"
    return f"{loaded}/{len(rows)}, {equal}/{len(rows)}, {onnx}/{len(rows)}, {optimum}"


def within(value: float | str | None, bound: float) -> bool:
    """Whether a way succeeded and its difference is no larger."""
    return not isinstance(value, str | None) and value <= bound


if __name__ == "__main__":
    main()
