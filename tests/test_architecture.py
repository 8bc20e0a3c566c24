"""The layers of the package, checked by reading its imports."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import fwsvd_export

PACKAGE = Path(str(fwsvd_export.__file__)).parent
REPOSITORY = Path(__file__).parents[1]
LONGEST_FILE = 400  # lines

# From the bottom up; a package may import those of earlier lines, its own modules, and nothing else
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "wording"),
    ("records", "__init__"),
    ("storage",),
    ("runtime",),
    ("architectures",),
    ("linalg",),
    ("checkpoints", "data"),
    ("fisher", "solvers", "ranks"),
    ("compression",),
    ("export", "training"),
    ("evaluation",),
    ("benchmark", "sweep"),
    ("hub",),
    ("report",),
    ("workflows",),
    ("cli",),
    ("__main__",),
)
LEVELS = {package: level for level, packages in enumerate(LAYERS) for package in packages}
MODELING = "modeling"  # shipped into checkpoints: in no layer, imports nothing of ours
MOST_ROOT_MODULES = 8
LONGEST_CHAIN = 12  # imports, one leading to the next
LONGEST_FUNCTION = 60  # lines

UNSAFE_MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
UNSAFE_CALLS = {"torch.save", "torch.load", "numpy.load", "np.load"}

# Where the names of a family's parts, classes and inputs may stand
FAMILY_PACKAGES = {"architectures", "modeling", "export"}
FAMILY_NAME = re.compile(
    r"attention\.self|attention\.output|intermediate\.dense|output\.dense|q_lin\b|ffn\.lin|token_type_ids"
    r"|\.(distil)?bert\b(?!\.py)|\b(Distil)?Bert(For|Model|Config)|^(distil)?bert$"
)
POSITION_NAME = "position_ids"
LENGTH_SETTING = "max_position_embeddings"
LENGTH_CALL = "usable_length"

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


def package_of(module: str) -> str:
    return module.split(".")[1]


def layer_violations(sources: Sources) -> list[str]:
    """One sentence per module outside the layers and per import that points sideways or upwards."""
    known = {*LEVELS, MODELING}
    found = [f"{module} is in no layer" for module in sources if package_of(module) not in known]
    for module, imported in import_graph(sources).items():
        for other in sorted(imported):
            here, there = package_of(module), package_of(other)
            if here == there or not {here, there} <= known:
                continue
            if here == MODELING:
                found.append(f"{module} ships with checkpoints and imports {other}")
            elif there != MODELING and LEVELS[there] >= LEVELS[here]:
                found.append(f"{module} (layer {LEVELS[here]}) imports {other} (layer {LEVELS[there]})")
    return found


def longest_chain(graph: Mapping[str, set[str]]) -> list[str]:
    """The longest way along imports, first the module that nothing on it is imported by."""
    chains: dict[str, list[str]] = {}

    def chain(module: str) -> list[str]:
        if module not in chains:
            chains[module] = [module, *max((chain(other) for other in sorted(graph[module])), key=len, default=[])]
        return chains[module]

    return max((chain(module) for module in sorted(graph)), key=len)


def long_functions(sources: Sources) -> list[str]:
    """Every function with more than ``LONGEST_FUNCTION`` lines."""
    return [
        f"{module}.{node.name} has {lines} lines"
        for module, source in sources.items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and (lines := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    ]


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
    """Modules and functions that read or write pickles, or tell a user to."""
    found = []
    for module, source in sources.items():
        names = {name for imported in imported_names(module, source) for name in (imported, imported.partition(".")[0])}
        tree = ast.parse(source)
        calls = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        texts = [
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        advised = {name for name in UNSAFE_CALLS for text in texts if name in text}
        unsafe = sorted(((names | calls) & (UNSAFE_MODULES | UNSAFE_CALLS)) | advised)
        found += [f"{module} uses {name}" for name in unsafe]
    return found


def docstrings(tree: ast.AST) -> set[int]:
    """Ids of the nodes that are docstrings."""
    return {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }


def family_names(sources: Sources) -> list[str]:
    """Names of one family's parts, classes or inputs in code that is for all families; docstrings may have examples."""
    found = []
    for module, source in sources.items():
        if package_of(module) in FAMILY_PACKAGES:
            continue
        tree = ast.parse(source)
        skipped = docstrings(tree)
        lengths = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(LENGTH_CALL)
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
                name, searched = node.value, node.value
            elif isinstance(node, ast.Attribute):
                name, searched = node.attr, f".{node.attr}"
            elif isinstance(node, ast.Name):
                name = searched = node.id
            elif isinstance(node, ast.keyword) and node.arg is not None:
                name = searched = node.arg
            else:
                continue
            read_elsewhere = name == LENGTH_SETTING and isinstance(node, ast.Attribute) and id(node) not in lengths
            if FAMILY_NAME.search(searched) or POSITION_NAME in searched or read_elsewhere:
                found.append(f"{module}:{node.lineno} has {name!r}")
    return found


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    return read_sources(PACKAGE)


def test_the_imports_are_really_read(sources: Sources) -> None:
    graph = import_graph(sources)
    assert "fwsvd_export.solvers.kfac" in graph["fwsvd_export.solvers.table"]
    assert "fwsvd_export.workflows.compress" in graph["fwsvd_export.cli.compress"], "imports inside functions count"
    assert "fwsvd_export.__init__" in graph["fwsvd_export.runtime.environment"]
    assert "fwsvd_export.modeling.configuration_lowrank_bert" in graph["fwsvd_export.modeling.modeling_lowrank_bert"], (
        "relative imports count"
    )
    assert graph["fwsvd_export.__init__"] == set(), "imports for type checkers do not count"


def test_every_module_has_a_layer_and_imports_point_downwards(sources: Sources) -> None:
    assert layer_violations(sources) == []


def test_no_chain_of_imports_is_long(sources: Sources) -> None:
    chain = longest_chain(import_graph(sources))
    assert 5 < len(chain) <= LONGEST_CHAIN, " -> ".join(chain)


def test_few_modules_lie_at_the_root(sources: Sources) -> None:
    assert len([module for module in sources if module.count(".") == 1]) <= MOST_ROOT_MODULES


def test_no_function_is_long(sources: Sources) -> None:
    assert long_functions(sources) == []


def test_there_are_no_import_cycles(sources: Sources) -> None:
    assert import_cycles(import_graph(sources)) == []


def test_nothing_is_pickled(sources: Sources) -> None:
    assert unsafe_uses(sources) == []


def test_names_of_one_family_stand_in_the_adapters_alone(sources: Sources) -> None:
    assert family_names(sources) == []


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
        ("records", "from fwsvd_export.workflows.x import run", " imports fwsvd_export.workflows.x"),
        ("linalg.x", "def f():\n    import fwsvd_export.cli.x", " imports fwsvd_export.cli.x"),
        ("solvers.x", "from fwsvd_export import ranks", " imports fwsvd_export.ranks.__init__"),
        ("fisher.x", "from ..ranks import y", " imports fwsvd_export.ranks.__init__"),
        ("modeling.x", "from ..errors import Oops", " ships with checkpoints and imports fwsvd_export.errors"),
        ("cellar", "", " is in no layer"),
    ],
)
def test_the_checker_reports_a_made_up_violation(module: str, source: str, violation: str) -> None:
    others = dict.fromkeys(("workflows.x", "cli.x", "ranks.__init__", "errors"), "")
    made_up = {f"fwsvd_export.{name}": text for name, text in {**others, module: source}.items()}
    (found,) = layer_violations(made_up)
    assert found.startswith(f"fwsvd_export.{module} ")
    assert violation in re.sub(r" \(layer \d+\)", "", found)


@pytest.mark.parametrize(
    "source",
    [
        "from fwsvd_export.data.tasks import Task",
        "import fwsvd_export.records",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from fwsvd_export.workflows.x import Source",
    ],
)
def test_the_checker_allows_lower_layers_the_own_package_and_types(source: str) -> None:
    names = ("data.tasks", "records", "workflows.x")
    made_up = {f"fwsvd_export.{name}": "" for name in names} | {"fwsvd_export.data.rows": source}
    assert layer_violations(made_up) == []


def test_the_checker_finds_the_longest_chain() -> None:
    made_up = {"p.a": "import p.b\nimport p.c", "p.b": "import p.c", "p.c": "", "p.d": "import p.c"}
    assert longest_chain(import_graph(made_up)) == ["p.a", "p.b", "p.c"]


def test_the_checker_reports_a_made_up_long_function() -> None:
    source = "def f():\n" + "    pass\n" * LONGEST_FUNCTION
    assert long_functions({"p.a": source}) == [f"p.a.f has {LONGEST_FUNCTION + 1} lines"]


def test_the_checker_reports_a_made_up_cycle() -> None:
    made_up = {"p.a": "import p.b", "p.b": "def f():\n    from p.c import x", "p.c": "from . import a"}
    assert import_cycles(import_graph(made_up)) == ["p.a -> p.b -> p.c -> p.a"]


@pytest.mark.parametrize(
    "source",
    ["import pickle", "from joblib import dump", "import torch\ntorch.load('x')", "advice = 'torch.load(file)'"],
)
def test_the_checker_reports_a_made_up_pickle(source: str) -> None:
    assert len(unsafe_uses({"p.a": source})) == 1


@pytest.mark.parametrize(
    "source",
    [
        "x = 'encoder.layer.0.attention.self.query'",
        "x = layer.name.endswith('intermediate.dense')",
        "model.bert.encoder",
        "model.distilbert",
        "batch['token_type_ids']",
        "tokenizer(texts, return_token_type_ids=False)",
        "from transformers import BertModel\nBertModel(config)",
        "transformers.BertForMaskedLM",
        "if config.model_type == 'bert': pass",
        "longest = config.max_position_embeddings - 2",
        "batch['position_ids'] = torch.arange(9)",
        "def f():\n    x = 'ffn.lin1'",
    ],
)
def test_the_checker_reports_a_made_up_name_of_a_family(source: str) -> None:
    assert len(family_names({"p.fisher.x": source})) == 1
    assert family_names({"p.architectures.x": source}) == []


@pytest.mark.parametrize(
    "source",
    [
        'def f():\n    """BertModel, token_type_ids."""',
        "family.usable_length(settings.max_position_embeddings)",
        "x: int\nimport fwsvd_export.architectures.bert",
        "places = torch.arange(9)",
        "encoder.attention",
    ],
)
def test_the_checker_allows_examples_the_usable_length_and_the_adapters(source: str) -> None:
    assert family_names({"p.fisher.x": source}) == []
