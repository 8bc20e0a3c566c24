"""A recipe says the same as options and arguments, what is typed wins, and what does not fit is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from fwsvd_export.cli import TYPED
from fwsvd_export.cli.choices import LabelMap, Numbers, OneOf, SomeOf
from fwsvd_export.cli.groups import Command, Group, option
from fwsvd_export.cli.recipe import recipe_option, recorded_recipe
from fwsvd_export.storage.digest import file_sha256

Run = Callable[..., Result]


class Root(click.Group):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[TYPED] = ["fwsvd-export", *args]  # as the real one does
        ctx.obj = {"quiet": True, "verbose": True}
        return super().parse_args(ctx, args)


@click.group(cls=Root)
def root() -> None:
    """The command line of these tests."""


@root.command(cls=Command)
@click.argument("model")
@click.argument("others", nargs=-1)
@option(Group.SIZE, "--ratio", type=float)
@option(Group.SIZE, "--rank", type=int)
@option(Group.SIZE, "--lengths", type=Numbers(), default="32,128")
@option(Group.METHOD, "--kinds", type=SomeOf(["a", "b", "c"]), default="a")
@option(Group.METHOD, "--kind", type=OneOf(["a", "b"]), default="a")
@option(Group.METHOD, "--reconstruct/--no-reconstruct", default=None)
@option(Group.METHOD, "--solver-option", multiple=True)
@option(Group.DATA, "--label-map", type=LabelMap())
@option(Group.DATA, "--max-samples", type=int, default=8)
@option(Group.OUTPUT, "--json", "as_json", is_flag=True)
@recipe_option
@click.pass_context
def echo(context: click.Context, **values: Any) -> None:
    """Prints what came, with where it came from.

    Example:
      echo
    """
    values["sources"] = {name: getattr(context.get_parameter_source(name), "name", None) for name in values}
    used = recorded_recipe()
    values["equal"] = list(used.command[2:]) if used else None
    click.echo(json.dumps(values))


def invoked(*words: str) -> Result:
    return CliRunner().invoke(root, ["echo", *words])


def echoed(*words: str) -> dict[str, Any]:
    """The values of the test's own command for some words."""
    result = invoked(*words)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., str]:
    """A function that writes a recipe: recipe("ratio: 0.25") or recipe(ratio=0.25); its path."""

    def write(text: str = "", /, **values: Any) -> str:
        file = tmp_path / "recipe.yaml"
        file.write_text(text or yaml.safe_dump(values), encoding="utf-8")
        return str(file)

    return write


EVERYTHING: dict[str, Any] = {
    "model": "dense",
    "others": ["small", "smaller"],
    "ratio": 0.25,
    "lengths": [8, 16],
    "kinds": ["c", "a"],
    "kind": "b",
    "reconstruct": False,
    "solver-option": ["start=row", "axis=output"],
    "label_map": ['"x,y"=0', "z=1"],
    "max_samples": 4,
    "json": True,
}
WORDS = [
    "dense", "small", "smaller", "--ratio", "0.25", "--lengths", "8,16", "--kinds", "c,a", "--kind", "b", "--json",
    "--no-reconstruct", "--solver-option", "start=row", "--solver-option", "axis=output",
    "--label-map", '"x,y=0",z=1', "--max-samples", "4",
]  # fmt: skip


def without_sources(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in ("sources", "equal")}


def test_a_recipe_says_what_options_and_arguments_say(recipe: Callable[..., str]) -> None:
    everything = {**EVERYTHING, "label_map": ["x,y=0", "z=1"]}
    found = echoed("--recipe", recipe(**everything))
    assert without_sources(found) == without_sources(echoed(*WORDS))
    assert set(found["sources"].values()) == {"DEFAULT_MAP", "DEFAULT"}
    assert [name for name, source in found["sources"].items() if source == "DEFAULT"] == ["rank"]


def test_the_recorded_command_does_the_same_without_the_file(recipe: Callable[..., str]) -> None:
    everything = {**EVERYTHING, "label_map": ["x,y=0", "z=1"]}
    for words in ([], ["other"], ["--ratio", "0.5"], ["--rank=3", "--json"], ["other", "another"]):
        found = echoed(*words, "--recipe", recipe(**everything))
        assert without_sources(echoed(*found["equal"])) == without_sources(found)


def test_what_is_typed_wins_and_takes_the_place_of_what_it_cannot_stand_beside(recipe: Callable[..., str]) -> None:
    file = recipe(model="dense", others=["small"], ratio=0.25, kinds="b,c", max_samples=4, json=True)
    found = echoed("--recipe", file, "--kinds", "a", "--max-samples", "2")
    assert (found["kinds"], found["max_samples"], found["ratio"]) == (["a"], 2, 0.25)
    assert found["sources"]["max_samples"] == "COMMANDLINE"
    assert echoed("--recipe", file, "other")["model"] == "other"
    assert echoed("--recipe", file, "other", "x", "y")["others"] == ["x", "y"]
    found = echoed("--recipe", file, "--rank", "3")
    assert (found["rank"], found["ratio"]) == (3, None)


def test_dashes_and_underscores_are_the_same_and_a_list_may_be_one_value(recipe: Callable[..., str]) -> None:
    found = echoed("--recipe", recipe("model: m\nmax-samples: 3\nlengths: 7\nkinds: b\nsolver_option: a=1\n"))
    assert (found["max_samples"], found["lengths"], found["kinds"]) == (3, [7], ["b"])
    assert found["solver_option"] == ["a=1"]


@given(st.floats(min_value=1e-9, max_value=1.0), st.integers(-(10**9), 10**9), st.booleans())
def test_numbers_come_through_unchanged(tmp_path_factory: Any, ratio: float, rank: int, flag: bool) -> None:
    file = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    file.write_text(yaml.safe_dump({"model": "m", "ratio": ratio, "rank": rank, "json": flag}))
    found = echoed("--recipe", str(file))
    assert (found["ratio"], found["rank"], found["as_json"]) == (ratio, rank, flag)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: m\nratoi: 0.5", "echo has no option 'ratoi'; did you mean ratio?"),
        ("model: m\nwhatever: 1", "echo has no option 'whatever'; allowed are model, others, ratio, rank, lengths"),
        ("model: m\nas_json: true", "echo has no option 'as-json'"),
        ("model: m\nrecipe: other.yaml", "echo has no option 'recipe'"),
        ("model: m\nratio: [0.5, 0.25]", "ratio is a list, and one value is allowed"),
        ("model: m\nratio: {x: 1}", "ratio is or holds a mapping, and a text or a number is needed"),
        ("model: m\nratio:", "ratio is or holds nothing, and a text or a number is needed"),
        ("model: m\nratio: half", "ratio: 'half' is not a valid float"),
        ("model: m\nrank: 2.5", "rank: '2.5' is not a valid int"),
        ("model: m\nkind: c", "kind: 'c': one of a, b is allowed"),
        ("model: m\nkinds: [a, d]", "kinds: 'd': one of a, b, c is allowed"),
        ("model: m\nkinds: [yes]", "kinds is true, and a value is needed; write a text that YAML takes for true"),
        ("model: m\nkinds: [[a]]", "kinds is or holds a list"),
        ("model: m\nkind: 2020-01-01", "kind is or holds datetime.date(2020, 1, 1), and a text or a number"),
        ("model: m\nlengths: [8, x]", "lengths: '8,x': whole numbers separated by commas are allowed, as 1,8"),
        ("model: m\njson: 1", "json is 1, and true or false is needed"),
        ("model: m\njson: [[1]]", "json is a list, and true or false is needed"),
        ("- model", "is not a recipe: lines like ratio: 0.25 are needed"),
        ("# nothing", "is not a recipe"),
        ("ratio: [", "cannot be read as YAML"),
        ("model: m\nratio: 1\nratio: 2", "cannot be read as YAML: the key 'ratio' stands there twice"),
        ("model: m\nmax-samples: 1\nmax_samples: 2", "the key max-samples stands there twice, with - and with _"),
        ("model: !!python/object/apply:os.getcwd []", "cannot be read as YAML: could not determine a constructor"),
    ],
)
def test_what_does_not_fit_is_wrong_usage_with_the_file_and_the_key(
    text: str, said: str, recipe: Callable[..., str]
) -> None:
    file = recipe(text)
    result = invoked("--recipe", file)
    assert result.exit_code == 2
    sentence = result.output.splitlines()[-1]
    assert sentence.startswith(f"Error: {file}")
    assert said in sentence


def test_a_missing_file_and_a_missing_argument_are_wrong_usage(recipe: Callable[..., str], tmp_path: Path) -> None:
    for words, said in [
        (["--recipe", str(tmp_path / "none.yaml")], "none.yaml' does not exist"),
        (["--recipe", recipe("ratio: 0.5")], "Missing argument 'MODEL'"),
        (["--recipe", str(tmp_path)], "is a directory"),
    ]:
        result = invoked(*words)
        assert result.exit_code == 2
        assert said in result.output
    file = tmp_path / "bytes.yaml"
    file.write_bytes(b"model: \xff")
    result = invoked("--recipe", str(file))
    assert result.exit_code == 2
    assert "cannot be read as YAML" in result.output


def test_compress_with_a_recipe_makes_the_same_bytes_and_records_how_to_repeat_it(
    tiny_folder: Path, data_file: Path, tmp_path: Path, succeed: Callable[..., str]
) -> None:
    file = tmp_path / "small.yaml"
    values = {"model": str(tiny_folder), "task": "sst2", "data": str(data_file), "ratio": 0.5, "max-samples": 16}
    file.write_text(yaml.safe_dump({**values, "reconstruct": False, "json": True}), encoding="utf-8")
    made = json.loads(succeed("compress", "--recipe", file, tiny_folder, tmp_path / "one"))
    options = ["--task", "sst2", "--data", data_file, "--max-samples", 16, "--no-reconstruct"]
    succeed("-q", "compress", tiny_folder, tmp_path / "two", "--ratio", 0.5, *options)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1]
    assert made["command"][:4] == ["fwsvd-export", "compress", "--recipe", "small.yaml"]
    assert (made["recipe"]["file"], made["recipe"]["sha256"]) == ("small.yaml", file_sha256(file))
    assert made["recipe"]["command"] == [
        "fwsvd-export", "compress", "--data=train.jsonl", "--json", "--max-samples=16", "--ratio=0.5",
        "--no-reconstruct", "--task=sst2", "tiny-classifier", "one",
    ]  # fmt: skip
    assert "recipe" not in json.loads((tmp_path / "two" / "compression.json").read_text())
    card = (tmp_path / "one" / "README.md").read_text()
    assert "--data=train.jsonl" in card
    assert "small.yaml" not in card


def test_a_recipe_of_a_training_is_recorded(
    compressed_folder: Path, data_file: Path, tmp_path: Path, succeed: Callable[..., str]
) -> None:
    file = tmp_path / "better.yaml"
    values = {"model": str(compressed_folder), "task": "sst2", "data": str(data_file), "epochs": 1, "evaluations": 1}
    file.write_text(yaml.safe_dump({**values, "max-samples": 16, "json": True}), encoding="utf-8")
    made = json.loads(succeed("-q", "finetune", "--recipe", file, compressed_folder, tmp_path / "better"))
    assert (made["settings"]["epochs"], made["examples"], made["recipe"]["file"]) == (1, 16, "better.yaml")
    assert made["recipe"]["command"][3:5] == ["--data=train.jsonl", "--epochs=1"]
    assert made["command"][:4] == ["fwsvd-export", "-q", "finetune", "--recipe"]


def test_a_recipe_of_a_benchmark_names_its_models(
    tiny_folder: Path, compressed_folder: Path, tmp_path: Path, succeed: Callable[..., str], run: Run
) -> None:
    file = tmp_path / "bench.yaml"
    speed = {"runtime": "torch", "threads": 1, "rounds": 1, "batch-sizes": [1, 2], "lengths": 4, "json": True}
    file.write_text(yaml.safe_dump({"dense": str(tiny_folder), "models": [str(compressed_folder)], **speed}))
    made = json.loads(succeed("-q", "bench", "--recipe", file))
    assert [model["model"] for model in made["models"]] == [str(tiny_folder), str(compressed_folder)]
    assert [row["batch_size"] for row in made["models"][0]["latency"]] == [1, 2]
    result = run("bench", "--recipe", file, "--batch-sizes", "1,x")
    assert result.exit_code == 2
    assert "whole numbers separated by commas" in result.output
