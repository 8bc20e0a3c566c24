"""Counted nouns, grouped names and shortest names, as sentences and tables show them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwsvd_export.wording import counted, grouped, shortest_names


@pytest.mark.parametrize(("number", "words"), [(0, "0 models"), (1, "1 model"), (1234, "1,234 models")])
def test_only_one_has_the_singular(number: int, words: str) -> None:
    assert counted(number, "model") == words


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([], []),
        (["pooler.dense"], ["pooler.dense"]),
        (["encoder.layer.3.output.dense"], ["encoder.layer.3.output.dense"]),
        ([f"encoder.layer.{n}.attention.self.query" for n in range(6)], ["encoder.layer.0-5.attention.self.query"]),
        ([f"layer.{n}.{w}" for n in (0, 1, 4, 10) for w in ("q", "k")], ["layer.0-1,4,10.q", "layer.0-1,4,10.k"]),
        (["a.1.b.2.c", "a.1.b.3.c", "a.2.b.2.c"], ["a.1-2.b.2.c", "a.1.b.3.c"]),
        (["0", "1", "x1"], ["0-1", "x1"]),
        (["layer.2.q", "layer.1.q", "layer.2.q"], ["layer.1-2.q"]),
    ],
)
def test_names_that_differ_in_a_number_are_one(names: list[str], found: list[str]) -> None:
    assert grouped(names) == found


@given(st.sets(st.integers(0, 40)))
def test_a_range_names_its_numbers_and_no_others(numbers: set[int]) -> None:
    shown = grouped(f"layer.{number}.q" for number in sorted(numbers, reverse=True))
    assert len(shown) == bool(numbers)
    ranges = shown[0].removeprefix("layer.").removesuffix(".q").split(",") if shown else []
    ends = [[int(end) for end in part.split("-")] for part in ranges]
    assert [number for end in ends for number in range(end[0], end[-1] + 1)] == sorted(numbers)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        ([], []),
        (["one"], ["one"]),
        (["models/dense/", "./small"], ["dense", "small"]),
        (["dense", "a/model", "b/model"], ["dense", "a/model", "b/model"]),
        (["model", "old/model"], ["model", "old/model"]),
        (["/x/a/model", "a/model"], ["x/a/model", "a/model"]),
        (["a/x/model", "b/x/model", "b/y/model"], ["a/x/model", "b/x/model", "y/model"]),
        (["/model", "model"], ["/model", "model"]),
        ([".", "model"], [".", "model"]),
    ],
)
def test_a_name_is_as_long_as_tells_it_apart(paths: list[str], names: list[str]) -> None:
    assert shortest_names(paths) == names


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join), unique=True, max_size=6))
def test_names_of_different_paths_differ(paths: list[str]) -> None:
    names = shortest_names(paths)
    assert len(set(names)) == len(paths)
    assert all(path == name or path.endswith(f"/{name}") for path, name in zip(paths, names, strict=True))
