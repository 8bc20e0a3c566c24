"""Draws docs/architecture.png: the packages in their layers, and which imports which, from the imports themselves.

python scripts/draw_architecture.py

An arrow is left out when a longer way along arrows says the same. Arrows to one package that pass the same layer are
drawn as one line. Rows are put in order by barycentres, as Sugiyama, Tagawa & Toda 1981 do it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

from matplotlib import pyplot
from matplotlib.patches import FancyBboxPatch
from pictures import save

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from tests.test_architecture import LAYERS, MODELING, PACKAGE, import_graph, package_of, read_sources  # noqa: E402

PICTURE = ROOT / "docs" / "architecture.png"
NOT_DRAWN = {"__init__", "__main__"}  # the version and the entry point
HOLDS = {
    "cli": "options → request → call → print",
    "workflows": "one recipe per command",
    "report": "pages, figures",
    "hub": "card, verify, push",
    "evaluation": "task metrics, searches",
    "export": "ONNX",
    "training": "fine-tuning",
    "benchmark": "latency, operations",
    "sweep": "grids of compressions",
    "compression": "plan, solve, build, reconstruct",
    "fisher": "statistics",
    "solvers": "the methods",
    "ranks": "budget → ranks",
    "checkpoints": "folders, compression.json",
    "data": "tasks, batches",
    "linalg": "decompositions",
    "architectures": "adapter, families, heads",
    "runtime": "device, progress",
    "storage": "files, schema",
    "records": "shared data classes",
    "errors": "one tree",
    "wording": "counts and names",
    MODELING: "ships with checkpoints,\nimports nothing of ours",
}
BOX_WIDTH, BOX_HEIGHT, LINE_WIDTH, ROW_HEIGHT = 2.15, 0.5, 0.3, 0.88  # inches
SWEEPS = 40  # enough for the order, and the places, to settle

Node = tuple[str, int]
"""A package in its row, or in another row the line that leads to it."""


def main() -> None:
    """Draws the picture and names it."""
    draw(PICTURE)
    print(json.dumps({"written": str(PICTURE.relative_to(ROOT))}))


def drawn() -> dict[str, Any]:
    """What the picture shows, as JSON values: rows from the top, and package -> packages that it imports."""
    rows = [[name for name in layer if name not in NOT_DRAWN] for layer in reversed(LAYERS)]
    imports: dict[str, set[str]] = {}
    for module, others in import_graph(read_sources(PACKAGE)).items():
        imports.setdefault(package_of(module), set()).update(map(package_of, others))
    names = {name for row in rows for name in row}
    between = {name: (imports.get(name, set()) & names) - {name} for name in names}
    return {
        "rows": [row for row in rows if row],
        "arrows": {name: sorted(without_detours(name, between)) for name in sorted(names)},
        "holds": HOLDS,
    }


def without_detours(name: str, imports: Mapping[str, set[str]]) -> set[str]:
    """The imports of a package that no other import of it leads to."""
    longer = {far for near in imports[name] for far in reached(near, imports)}
    return imports[name] - longer


def reached(name: str, imports: Mapping[str, set[str]]) -> set[str]:
    """Everything that a package imports, by whatever way."""
    return imports[name] | {far for near in imports[name] for far in reached(near, imports)}


def rows_of_nodes(rows: Sequence[Sequence[str]], arrows: Mapping[str, Sequence[str]]) -> tuple[list[list[Node]], set]:
    """Every row with the lines that pass it, and the pieces of arrows from one row to the next."""
    place = {name: number for number, row in enumerate(rows) for name in row}
    nodes: list[dict[Node, None]] = [dict.fromkeys((name, number) for name in row) for number, row in enumerate(rows)]
    pieces: set[tuple[Node, Node]] = set()
    for source, targets in arrows.items():
        for target in targets:
            way: list[Node] = [(source, place[source])]
            way += [(target, number) for number in range(place[source] + 1, place[target] + 1)]
            for above, below in pairwise(way):
                nodes[below[1]].setdefault(below)
                pieces.add((above, below))
    return [list(row) for row in nodes], pieces


def crossings(rows: Sequence[Sequence[Node]], pieces: set[tuple[Node, Node]]) -> int:
    """How many pairs of pieces cross."""
    place = {node: number for row in rows for number, node in enumerate(row)}
    return sum(
        (place[a] - place[c]) * (place[b] - place[d]) < 0
        for (a, b), (c, d) in combinations(sorted(pieces), 2)
        if a[1] == c[1]
    )


def neighbours(node: Node, pieces: set[tuple[Node, Node]], *, above: bool, below: bool) -> Iterator[Node]:
    """The ends of a node's pieces."""
    for start, end in sorted(pieces):
        if above and end == node:
            yield start
        if below and start == node:
            yield end


def ordered(rows: list[list[Node]], pieces: set[tuple[Node, Node]]) -> list[list[Node]]:
    """The rows in the best order that sweeps of barycentres find."""
    best = rows
    for sweep in range(SWEEPS):
        downwards = sweep % 2 == 0
        rows = [list(row) for row in rows]
        for row in rows if downwards else reversed(rows):
            place = {node: number / len(other) for other in rows for number, node in enumerate(other)}

            def centre(node: Node, place: Mapping[Node, float] = place, downwards: bool = downwards) -> float:
                found = [place[near] for near in neighbours(node, pieces, above=downwards, below=not downwards)]
                return sum(found) / len(found) if found else place[node]

            row.sort(key=centre)
        if crossings(rows, pieces) < crossings(best, pieces):
            best = rows
    return best


def placed(rows: list[list[Node]], pieces: set[tuple[Node, Node]], packages: set[Node]) -> dict[Node, float]:
    """Horizontal places: near the neighbours, in the order of the rows, without overlaps."""

    def width(node: Node) -> float:
        return BOX_WIDTH + 0.25 if node in packages else LINE_WIDTH

    places: dict[Node, float] = {}
    for row in rows:
        left = -sum(map(width, row)) / 2
        for node in row:
            places[node] = left + width(node) / 2
            left += width(node)
    for _ in range(SWEEPS):
        for row in rows:
            for node in row:
                near = [places[other] for other in neighbours(node, pieces, above=True, below=True)]
                places[node] = sum(near) / len(near) if near else places[node]
            for _ in range(SWEEPS):  # push neighbours apart, both by half of what is missing
                for left_node, right_node in pairwise(row):
                    gap = (width(left_node) + width(right_node)) / 2 - (places[right_node] - places[left_node])
                    if gap > 0:
                        places[left_node] -= gap / 2
                        places[right_node] += gap / 2
    return places


def draw(path: Path) -> None:
    """Draws the picture."""
    shown = drawn()
    rows, pieces = rows_of_nodes(shown["rows"], shown["arrows"])
    packages = {(name, number) for number, row in enumerate(shown["rows"]) for name in row}
    rows = ordered(rows, pieces)
    across = placed(rows, pieces, packages)
    left, right = min(across.values()) - BOX_WIDTH * 0.6, max(across.values()) + BOX_WIDTH * 0.6
    height = len(rows) * ROW_HEIGHT
    figure, axis = pyplot.subplots(figsize=(right - left, height))
    axis.set_xlim(left, right)
    axis.set_ylim(-height + ROW_HEIGHT / 2, ROW_HEIGHT / 2)
    axis.axis("off")
    for above, below in sorted(pieces):
        draw_piece(axis, above, below, across, packages)
    for name, number in sorted(packages):
        draw_box(axis, name, across[name, number], -number * ROW_HEIGHT)
    draw_box(axis, MODELING, right - BOX_WIDTH * 0.6, -(len(rows) - 1) * ROW_HEIGHT, linestyle="--")
    figure.subplots_adjust(0, 0, 1, 1)
    save(figure, path, shown)


def draw_piece(axis: Any, above: Node, below: Node, across: Mapping[Node, float], packages: set[Node]) -> None:
    """One piece of an arrow between two rows; it has a head at a box, and goes on straight where it passes boxes."""
    start, end = -above[1] * ROW_HEIGHT - BOX_HEIGHT / 2, -below[1] * ROW_HEIGHT + BOX_HEIGHT / 2
    style = {"color": "0.35", "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 9}
    style["arrowstyle"] = "-|>" if below in packages else "-"
    axis.annotate("", (across[below], end), (across[above], start), arrowprops=style)
    if below not in packages:
        axis.plot([across[below]] * 2, [end, end - BOX_HEIGHT], color="0.35", linewidth=0.9)


def draw_box(axis: Any, name: str, x: float, y: float, linestyle: str = "-") -> None:
    """A package with what it holds."""
    corner = (x - BOX_WIDTH / 2, y - BOX_HEIGHT / 2)
    style = "round,pad=0,rounding_size=0.06"
    axis.add_patch(
        FancyBboxPatch(
            corner, BOX_WIDTH, BOX_HEIGHT, style, facecolor="#eef3f9", edgecolor="#4a6d94", linestyle=linestyle
        )
    )
    several = "\n" in HOLDS[name]
    axis.text(x, y + (0.14 if several else 0.09), name, ha="center", va="center", fontsize=10, fontweight="bold")
    axis.text(x, y - (0.09 if several else 0.12), HOLDS[name], ha="center", va="center", fontsize=7.5, linespacing=1)


if __name__ == "__main__":
    main()
