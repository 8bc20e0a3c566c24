"""Writes the figures in README.md and docs/results.md from the committed results, and draws the README's picture.

python scripts/make_readme.py

Run it after docs/results changed. In both pages everything between the comments ``begin NAME (scripts/make_readme.py)``
and ``end NAME`` is written anew; the text around them stays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compare_methods import kept_table, metric_table, short
from matplotlib import pyplot
from pictures import save

from fwsvd_export.benchmark.result import BenchModel, BenchResult, BenchTiming, display_names
from fwsvd_export.errors import FwsvdExportError
from fwsvd_export.report.bench import bench_table

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "results"
PAGES = (ROOT / "README.md", ROOT / "docs" / "results.md")
PICTURE = RESULTS / "overview.png"

TORCH, FLOAT, INT8 = "torch", "onnxruntime", "onnxruntime-int8"
SHAPES = ((1, 128), (8, 128))  # sequences x tokens in the README's table
DRAWN_SHAPE = (8, 128)
_BLOCK = re.compile(
    r"^(?P<indent> *)(?P<begin><!-- begin (?P<name>[\w-]+) \(scripts/make_readme\.py\) -->)$"
    r".*?^ *<!-- end (?P=name) -->$",
    flags=re.DOTALL | re.MULTILINE,
)
BAR = 0.36  # of the distance between two sizes
DRAWN_TASK = "sst2"
QUOTED_RATIO = 0.25
DEFAULT = "kfac:reconstructed"  # what compress does unless told otherwise
DRAWN_METHODS = {DEFAULT: "fwsvd-export", "activation": "activation", "fwsvd": "fwsvd", "svd": "svd"}


def main() -> None:
    """Fills the pages, draws the picture and names what was written."""
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
    draw(PICTURE)
    print(json.dumps({"written": [str(path.relative_to(ROOT)) for path in (*PAGES, PICTURE)]}))


def filled(page: str) -> str:
    """A page whose blocks hold what the committed results give.

    Raises:
        KeyError: the page has a block that nothing here writes.
    """

    def block(found: re.Match[str]) -> str:
        lines = (found["begin"], *BLOCKS[found["name"]]().splitlines(), f"<!-- end {found['name']} -->")
        return "\n".join(f"{found['indent']}{line}".rstrip() for line in lines)

    return _BLOCK.sub(block, page)


def bench() -> BenchResult:
    """The benchmark of the dense model and its compressed copies."""
    file = RESULTS / "bench" / "results.json"
    return BenchResult.from_json(json.loads(file.read_text(encoding="utf-8")), file.name, FwsvdExportError)


def comparison(name: str) -> list[dict[str, Any]]:
    """The tasks of a comparison of methods."""
    tasks: list[dict[str, Any]] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["tasks"]
    return tasks


def label(model: BenchModel, dense: BenchModel) -> str:
    """``dense``, or the share of the linear weights that a model's name ends in: ``25 %`` of ``sst2-0.25``."""
    if model is dense:
        return "dense"
    name, dense_name = display_names([model, dense])
    ratio = name.removeprefix(f"{dense_name}-")
    return f"{100 * float(ratio):g} %"


def timing(model: BenchModel, runtime: str, shape: tuple[int, int]) -> BenchTiming:
    """A model's latency under a runtime at a shape (batch size, length)."""
    return next(row for row in model.latency if (row.runtime, (row.batch_size, row.length)) == (runtime, shape))


def speed_table() -> str:
    """The dense model in float32 and int8, and the compressed ones in int8, all under onnxruntime."""
    models, environment = bench().models, bench().environment
    dense = models[0]
    titles = ["onnxruntime", "file", "parameters", dense.metric, *(f"{batch} x {length}" for batch, length in SHAPES)]
    lines = [f"| {' | '.join(map(str, titles))} |", "|---" + "|---:" * (len(titles) - 1) + "|"]
    for model, runtime in ((dense, FLOAT), *((model, INT8) for model in models)):
        of_runtime = model.runtimes[runtime]
        assert of_runtime.value is not None, "the committed benchmark has a metric"
        cells = [
            f"{label(model, dense)}, {'int8' if runtime == INT8 else 'float32'}",
            f"{of_runtime.file_bytes / 1e6:.1f} MB",
            f"{model.parameters / 1e6:.1f} M",
            short(of_runtime.value),
        ]
        for shape in SHAPES:
            median, base = timing(model, runtime, shape).median_ms, timing(dense, FLOAT, shape).median_ms
            cells.append(f"{median:.1f} ms" + ("" if median == base else f" (x{base / median:.2f})"))
        lines.append(f"| {' | '.join(cells)} |")
    where = f"{environment.task}, {dense.examples} sentences; {environment.cpu}, {environment.threads} threads"
    return "\n".join([*lines, "", f"({where}; `--widths keep`; medians, against dense float32 in brackets)"])


def bench_rows() -> str:
    """The whole benchmark; torch's files are left out, as they hold different types of numbers."""
    result = bench()
    titles, rows = bench_table(result)
    dense = result.models[0]
    labels = [label(model, dense) for model in result.models]
    names = dict(zip(display_names(result.models), labels, strict=True))
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for runtime, model, parameters, size, *others in rows:
        cells = [runtime, names[model], parameters, "" if runtime == TORCH else size, *others]
        lines.append(f"| {' | '.join(cells)} |")
    environment = result.environment
    versions = ", ".join(f"{name} {version}" for name, version in environment.versions.items())
    lines += [
        "",
        f"Task {environment.task}, {dense.examples} examples; {environment.cpu}, {environment.threads} threads; "
        f"{environment.rounds} interleaved rounds of {environment.repeats} calls; {versions}.",
    ]
    return "\n".join(lines)


def quoted() -> str:
    """What each method keeps of every task at one size, as a sentence."""
    tasks = comparison("allocation")
    today = {task["task"]: task for task in reversed(comparison("five_tasks"))}  # of several seeds the first

    def values(method: str) -> str:
        sources = [today[task["task"]] for task in tasks] if method == DEFAULT else tasks
        rows = (row for task in sources for row in task["rows"])
        return ", ".join(short(row["value"]) for row in rows if (row["method"], row["ratio"]) == (method, QUOTED_RATIO))

    names, dense = ", ".join(task["task"] for task in tasks), ", ".join(short(task["dense"]) for task in tasks)
    return (
        f"At {100 * QUOTED_RATIO:g} % of the linear weights ({names}; dense {dense}): `svd` {values('svd')}; `fwsvd` "
        f"{values('fwsvd')}; the default {values(DEFAULT)}."
    )


def kept_shares() -> str:
    """The share of the dense metric that the default keeps, by task and size."""
    lines = []
    for task in comparison("allocation"):
        rows = [row for row in task["rows"] if row["method"] == DEFAULT]
        shares = ", ".join(f"{100 * row['value'] / task['dense']:.0f} % at {100 * row['ratio']:g} %" for row in rows)
        lines.append(f"- {task['task']} ({task['metric'].replace('_', ' ')}): {shares}")
    return "\n".join(lines)


def embeddings_table() -> str:
    """Metric and parameters with and without factorised word embeddings."""
    lines = ["| task (dense) | variant | metric | parameters | of the dense model's |", "|---|---|---|---|---|"]
    for task in comparison("embeddings"):
        for row in task["rows"]:
            share = f"{100 * row['parameters'] / task['dense_parameters']:.0f} %"
            cells = (f"{task['task']} ({short(task['dense'])})", row["method"], short(row["value"]))
            lines.append(f"| {' | '.join(cells)} | {row['parameters']:,} | {share} |")
    return "\n".join(lines)


def iterations_table() -> str:
    """How many times sooner the iterative methods reach what their published forms reach."""
    result = json.loads((RESULTS / "iterations.json").read_text(encoding="utf-8"))
    methods = list(result["smallest_speedup"])
    lines = ["| problem | " + " | ".join(methods) + " |", "|---" * (len(methods) + 1) + "|"]
    for problem in result["problems"]:
        cells = (f"{problem['speedup'][method]:g} x" for method in methods)
        lines.append(f"| {problem['problem']} | {' | '.join(cells)} |")
    return "\n".join(lines)


BLOCKS: dict[str, Callable[[], str]] = {
    "speed": speed_table,
    "quoted": quoted,
    "bench": bench_rows,
    "allocation": lambda: metric_table(comparison("allocation")).rstrip(),
    "kept": kept_shares,
    "five-tasks": lambda: kept_table(comparison("five_tasks")),
    "closed-form": lambda: metric_table(comparison("closed_form")).rstrip(),
    "element-weighted": lambda: metric_table(comparison("element_weighted")).rstrip(),
    "embeddings": embeddings_table,
    "iterations": iterations_table,
}


def drawn() -> dict[str, Any]:
    """What the picture shows, as JSON values: metric against size by method, and milliseconds by size and type."""
    task = next(task for task in comparison("allocation") if task["task"] == DRAWN_TASK)
    models = bench().models
    methods = {
        name: [[100 * row["ratio"], row["value"]] for row in task["rows"] if row["method"] == method]
        for method, name in DRAWN_METHODS.items()
    }
    runtimes = {
        name: [timing(model, runtime, DRAWN_SHAPE).median_ms for model in models]
        for runtime, name in ((FLOAT, "float32"), (INT8, "int8"))
    }
    sizes = [label(model, models[0]) for model in models]
    return {"dense": task["dense"], "metric": task["metric"], "methods": methods, "sizes": sizes, "runtimes": runtimes}


def draw(path: Path) -> None:
    """Draws the picture: what each size keeps, and how long a batch takes then."""
    shown = drawn()
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4))
    for name, points in shown["methods"].items():
        left.plot(*zip(*points, strict=True), marker="o", markersize=4, label=name)
    left.axhline(shown["dense"], color="black", linestyle="--", linewidth=1, label="dense")
    left.set_xlabel("encoder's linear weights kept (%)")
    left.set_ylabel(f"{shown['metric']} ({DRAWN_TASK})")
    left.set_title("What is kept, without training afterwards", fontsize=11)
    for number, (name, times) in enumerate(shown["runtimes"].items()):
        heights = [size + BAR * (number - 0.5) for size in range(len(shown["sizes"]))]
        bars = right.barh(heights, times, BAR, label=name, color=("C0", "C9")[number])
        right.bar_label(bars, fmt="%.1f", padding=3, fontsize=9)
    right.set_yticks(range(len(shown["sizes"])), shown["sizes"])
    right.invert_yaxis()
    right.margins(x=0.15)
    right.set_axisbelow(True)
    right.set_xlabel(f"ms for {DRAWN_SHAPE[0]} x {DRAWN_SHAPE[1]} tokens, onnxruntime on the CPU")
    right.set_title("How long a batch takes", fontsize=11)
    left.grid(alpha=0.3)
    right.grid(axis="x", alpha=0.3)
    for axis in (left, right):
        axis.legend(fontsize=9, loc="lower right")
    figure.tight_layout()
    save(figure, path, shown)


if __name__ == "__main__":
    main()
