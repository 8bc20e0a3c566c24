"""Task presets by name."""

from __future__ import annotations

import pytest

from fwsvd_export.data.tasks import TASKS, task_named
from fwsvd_export.errors import DataError


def test_presets_are_found_by_name_and_columns_can_be_replaced() -> None:
    assert task_named("mnli") is TASKS["mnli"]
    replaced = task_named("mnli").with_columns("first", None, "gold")
    assert (replaced.text, replaced.text_pair, replaced.label) == ("first", "hypothesis", "gold")


@pytest.mark.parametrize("name", ["stsb", "squad"])
def test_labels_that_are_not_classes_have_no_names(name: str) -> None:
    assert TASKS[name].with_labels(None, None) == TASKS[name]
    with pytest.raises(DataError, match=rf"^task {name} has .*, and no classes that names could be given to; leave"):
        TASKS[name].with_labels((("a", "b"),), None)


def test_an_unknown_preset_is_refused_with_the_list() -> None:
    with pytest.raises(DataError) as caught:
        task_named("sst3")
    assert "'sst3'" in str(caught.value)
    assert all(name in str(caught.value) for name in TASKS)
