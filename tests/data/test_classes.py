"""Classes of the data and of the model are matched by name where both have names."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig

from fwsvd_export.data.classes import Classes, ClassReader
from fwsvd_export.data.tasks import TASKS
from fwsvd_export.errors import DataError

MOODS = ("NEGATIVE", "not sure", "positive")
NAMES = st.lists(st.text(st.characters(categories=["L"]), min_size=1, max_size=6), min_size=2, max_size=6, unique=True)


def config_of(*names: str) -> BertConfig:
    return BertConfig(id2label=dict(enumerate(names)), label2id={name: number for number, name in enumerate(names)})


def reader(names: tuple[str, ...] | None, count: int = 3, *others: Any) -> ClassReader:
    return ClassReader(Classes(names, count), *others)


@pytest.mark.parametrize("label", ["positive", "Positive", " POSITIVE ", 2, 2.0, "2"])
def test_a_label_may_be_a_name_or_a_number(label: Any) -> None:
    assert reader(MOODS)(label, "row 1") == 2


def test_upper_case_and_blanks_do_not_tell_names_apart() -> None:
    assert reader(MOODS)("Not_Sure", "row 1") == 1


def test_names_that_differ_in_nothing_else_are_told_apart_exactly() -> None:
    read = reader(("a", "A"), 2)
    assert (read("a", "row 1"), read("A", "row 1")) == (0, 1)
    with pytest.raises(DataError, match="label ' A' is not one of the model's 2 classes"):
        read(" A", "row 1")


@given(NAMES, st.randoms(use_true_random=False))
def test_the_order_of_the_datas_names_does_not_matter(names: list[str], random: Any) -> None:
    shuffled = random.sample(names, len(names))
    read = reader(tuple(names), len(names), shuffled)
    assert [names[read(number, "row 1")] for number in range(len(names))] == shuffled


def test_numbers_count_where_the_model_has_no_names() -> None:
    assert Classes.of(config_of("LABEL_0", "LABEL_1"), TASKS["sst2"]).names is None
    read = reader(None, 2, ("b", "a"))
    assert [read(number, "row 1") for number in (0, 1)] == [0, 1]
    assert read("LABEL_1", "row 1") == 1
    with pytest.raises(DataError, match=r"row 4: label 'b' is not one of .* 2 classes \(0 to 1\).*--label-map"):
        read("b", "row 4")


def test_a_conflict_is_refused_with_both_lists() -> None:
    read = reader(MOODS, 3, ("good", "bad", "positive"))
    assert read(2, "row 1") == 2
    with pytest.raises(DataError) as caught:
        read(0, "rows.csv, row 7")
    assert str(caught.value) == (
        "rows.csv, row 7: label 'good' is not one of the model's 3 classes (0 to 2, or NEGATIVE, not sure, positive); "
        "the data's are good, bad, positive; say which is which with --label-map LABEL=CLASS,…"
    )


def test_classes_that_are_called_by_numbers_are_not_counted_from_zero() -> None:
    read = reader(("1", "2", "3"))
    assert [read(label, "row 1") for label in (1, "2", 3.0)] == [0, 1, 2]
    for label in (0, "0", 4):
        with pytest.raises(DataError, match=f"label {label!r} is not one of the model's 3 classes"):
            read(label, "row 1")


@pytest.mark.parametrize("label", [-1, 3, 0.5, None, "better", "3", "-1", True + 5, float("nan"), [1]])
def test_what_is_not_a_class_is_refused(label: Any) -> None:
    with pytest.raises(DataError, match=r"row 9: label .* is not one of the model's 3 classes \(0 to 2, or NEGATIVE"):
        reader(MOODS)(label, "row 9")


def test_a_map_comes_first_and_may_name_classes_by_name_or_number() -> None:
    read = reader(MOODS, 3, None, (("good", "positive"), ("bad", "0"), ("2", "NEGATIVE")))
    assert [read(label, "row 1") for label in ("good", "Bad", "not sure", 2, 1)] == [2, 0, 1, 0, 1]
    swapped = reader(None, 2, ("a", "b"), (("a", "1"), ("b", "0")))
    assert [swapped(number, "row 1") for number in (0, 1)] == [1, 0]


def test_a_map_to_a_class_that_is_not_there_is_refused() -> None:
    with pytest.raises(DataError, match=r"--label-map good=best: 'best' is not one .* name one of them"):
        reader(MOODS, 3, None, (("good", "best"),))
    with pytest.raises(DataError, match="--label-map says twice what 'Good' is; say it once"):
        reader(MOODS, 3, None, (("good", "0"), ("Good", "1")))


def test_given_names_stand_in_place_of_the_models() -> None:
    task = TASKS["ner"].with_labels(label_names=("O", "B-PER"))
    assert Classes.of(config_of("LABEL_0", "LABEL_1"), task).names == ("O", "B-PER")
    with pytest.raises(DataError, match=r"--label-names has 2 names \(O, B-PER\), and the model has 3 classes"):
        Classes.of(config_of(*MOODS), task)


def test_long_lists_are_cut_in_messages() -> None:
    names = tuple(f"class {number}" for number in range(5000))
    with pytest.raises(DataError, match="class 19 and 4,980 more") as caught:
        reader(names, 5000)("x" * 10_000, "row 1")
    assert len(str(caught.value)) < 600
