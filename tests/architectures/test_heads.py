"""The table of heads: class names, Auto classes and axes that transformers really has."""

from __future__ import annotations

import pytest
import transformers

from fwsvd_export.architectures.heads import HEADS, Head, head_of_auto_class


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_a_head_is_found_by_its_ending_and_by_its_auto_class(head: Head) -> None:
    assert HEADS[head.ending] is head
    assert head_of_auto_class(head.auto_class) is head
    assert hasattr(transformers, head.auto_class)


def test_an_auto_class_of_no_head_is_an_error() -> None:
    with pytest.raises(KeyError):
        head_of_auto_class("AutoModelForCausalLM")


def test_only_multiple_choice_has_several_sequences_per_example() -> None:
    assert [head.ending for head in HEADS.values() if head.has_choices] == ["ForMultipleChoice"]
