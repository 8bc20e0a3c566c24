"""The floor plan of the package, checked by reading its imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import fwsvd_export

PACKAGE = Path(str(fwsvd_export.__file__)).parent
REPOSITORY = Path(__file__).parents[1]
LONGEST_FILE = 400  # lines

FLOORS = {
    "__main__": 9,
    "cli": 8,
    **dict.fromkeys(("pipeline", "demo", "exporting", "benchmarking", "inspection", "sweep"), 7),
    **dict.fromkeys(("bench", "report"), 6),
    **dict.fromkeys(("hub", "export", "training"), 5),
    **dict.fromkeys(
        ("compression", "checks", "building", "solving", "matching", "embeddings", "densification", "metrics"), 4
    ),
    **dict.fromkeys(("statistics", "solvers", "ranks", "layerwise"), 3),
    **dict.fromkeys(("checkpoint", "settings", "assembly", "families", "tasks", "calibration"), 2),
    **dict.fromkeys(("numerics", "storage", "device", "machine", "names"), 1),
    **dict.fromkeys(("records", "errors", "progress", "__init__"), 0),
}
# Rooms on these floors may use their siblings; the mathematics (3), hub, export and training may not
OPEN_FLOORS = {0, 2, 4, 7}
MODELING = "modeling"  # shipped into checkpoints: on no floor, imports nothing of ours

UNSAFE_MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
UNSAFE_CALLS = {"torch.save", "torch.load", "numpy.load", "np.load"}

Sources = Mapping[str, str]
"""Dotted module name -> source; packages end with ``.__init__``."""


def read_sources(root: Path) -> dict[str, str]:
    files = sorted(root.rglob("*.py"))
    return {
        ".".join((root.name, *file.relative_to(root).with_suffix("").parts)): file.read_text(encoding="utf-8")
        for file in files
    }


def running_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but those under ``if TYPE_CHECKING``."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for alternative in child.orelse:
                yield from running_nodes(alternative)
        else:
            yield from running_nodes(child)


def imported_names(module: str, source: str) -> Iterator[str]:
    """Absolute dotted names that a module imports, the imports inside functions too."""
    for node in running_nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = module.split(".")[: -node.level] if node.level else []
            origin = ".".join([*start, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def import_graph(sources: Sources) -> dict[str, set[str]]:
    """Module -> the modules of the same sources that it imports."""

    def home(name: str) -> str | None:
        parts = name.split(".")
        for end in (len(parts), len(parts) - 1):
            for candidate in (".".join(parts[:end]), ".".join([*parts[:end], "__init__"])):
                if candidate in sources:
                    return candidate
        return None

    return {
        module: {found for name in imported_names(module, source) if (found := home(name))} - {module}
        for module, source in sources.items()
    }


def room_of(module: str) -> str:
    return module.split(".")[1]


def floor_violations(sources: Sources) -> list[str]:
    """One sentence per module without a floor and per import that points sideways or upwards."""
    found = [f"{module} has no floor" for module in sources if room_of(module) not in {*FLOORS, MODELING}]
    for module, imported in import_graph(sources).items():
        for other in sorted(imported):
            here, there = room_of(module), room_of(other)
            if here == there or not {here, there} <= {*FLOORS, MODELING}:
                continue
            if here == MODELING:
                found.append(f"{module} ships with checkpoints and imports {other}")
            elif there != MODELING:
                sibling = FLOORS[here] == FLOORS[there] and FLOORS[here] in OPEN_FLOORS
                if FLOORS[there] >= FLOORS[here] and not sibling:
                    found.append(f"{module} (floor {FLOORS[here]}) imports {other} (floor {FLOORS[there]})")
    return found


def import_cycles(graph: Mapping[str, set[str]]) -> list[str]:
    """Every cycle that a depth-first walk closes, as ``a -> b -> a``."""
    found, done = [], set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            found.append(" -> ".join([*path[path.index(module) :], module]))
        elif module not in done:
            for other in sorted(graph[module]):
                visit(other, [*path, module])
            done.add(module)

    for module in sorted(graph):
        visit(module, [])
    return found


def unsafe_uses(sources: Sources) -> list[str]:
    """Modules and functions that read or write pickles."""
    found = []
    for module, source in sources.items():
        names = {name for imported in imported_names(module, source) for name in (imported, imported.partition(".")[0])}
        calls = {ast.unparse(node) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}
        found += [f"{module} uses {name}" for name in sorted((names | calls) & (UNSAFE_MODULES | UNSAFE_CALLS))]
    return found


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    return read_sources(PACKAGE)


def test_the_imports_are_really_read(sources: Sources) -> None:
    graph = import_graph(sources)
    assert "fwsvd_export.solvers.kfac" in graph["fwsvd_export.solvers.__init__"]
    assert "fwsvd_export.pipeline" in graph["fwsvd_export.cli.compress"], "imports inside functions count"
    assert "fwsvd_export.__init__" in graph["fwsvd_export.pipeline"]
    assert graph["fwsvd_export.modeling.modeling_lowrank_bert"] == {
        "fwsvd_export.modeling.configuration_lowrank_bert"
    }, "relative imports count"
    assert graph["fwsvd_export.__init__"] == set(), "imports for type checkers do not count"


def test_every_module_has_a_floor_and_imports_point_downwards(sources: Sources) -> None:
    assert floor_violations(sources) == []


def test_there_are_no_import_cycles(sources: Sources) -> None:
    assert import_cycles(import_graph(sources)) == []


def test_nothing_is_pickled(sources: Sources) -> None:
    assert unsafe_uses(sources) == []


@pytest.mark.parametrize("folder", ["fwsvd_export", "tests", "scripts"])
def test_no_file_is_longer_than_400_lines(folder: str) -> None:
    lengths = {
        str(file.relative_to(REPOSITORY)): len(file.read_text(encoding="utf-8").splitlines())
        for file in (REPOSITORY / folder).rglob("*.py")
    }
    assert lengths
    assert {file: length for file, length in lengths.items() if length > LONGEST_FILE} == {}


@pytest.mark.parametrize(
    ("module", "source", "violation"),
    [
        ("records", "from fwsvd_export.pipeline import run", " (floor 0) imports fwsvd_export.pipeline (floor 7)"),
        ("numerics", "def f():\n    import fwsvd_export.cli.x", " (floor 1) imports fwsvd_export.cli.x (floor 8)"),
        ("solvers.x", "from fwsvd_export import ranks", " (floor 3) imports fwsvd_export.ranks.__init__ (floor 3)"),
        ("statistics.x", "from ..ranks import y", " (floor 3) imports fwsvd_export.ranks.__init__ (floor 3)"),
        ("modeling.x", "from ..errors import Oops", " ships with checkpoints and imports fwsvd_export.errors"),
        ("cellar", "", " has no floor"),
    ],
)
def test_the_checker_reports_a_made_up_violation(module: str, source: str, violation: str) -> None:
    others = dict.fromkeys(("pipeline", "cli.x", "ranks.__init__", "errors"), "")
    made_up = {f"fwsvd_export.{name}": text for name, text in {**others, module: source}.items()}
    assert floor_violations(made_up) == [f"fwsvd_export.{module}{violation}"]


@pytest.mark.parametrize(
    "source",
    [
        "from fwsvd_export.tasks import Task",
        "import fwsvd_export.records",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from fwsvd_export.pipeline import Source",
    ],
)
def test_the_checker_allows_lower_floors_siblings_and_types(source: str) -> None:
    names = ("tasks", "records", "pipeline")
    made_up = {f"fwsvd_export.{name}": "" for name in names} | {"fwsvd_export.calibration": source}
    assert floor_violations(made_up) == []


def test_the_checker_reports_a_made_up_cycle() -> None:
    made_up = {"p.a": "import p.b", "p.b": "def f():\n    from p.c import x", "p.c": "from . import a"}
    assert import_cycles(import_graph(made_up)) == ["p.a -> p.b -> p.c -> p.a"]


@pytest.mark.parametrize("source", ["import pickle", "from joblib import dump", "import torch\ntorch.load('x')"])
def test_the_checker_reports_a_made_up_pickle(source: str) -> None:
    assert len(unsafe_uses({"p.a": source})) == 1
