"""A command is shown as it is typed."""

from __future__ import annotations

import shlex

from hypothesis import given
from hypothesis import strategies as st

from fwsvd_export.report.page.parts import Command


@given(st.lists(st.sampled_from(["bench", "a b", "--data", "-o", "it's", "--runtime", "torch,onnxruntime", ""])))
def test_a_shell_reads_the_words_again(words: list[str]) -> None:
    assert shlex.split(Command("", tuple(words)).line) == words


def test_an_option_stays_with_its_value() -> None:
    words = ("fwsvd-export", "bench", "dense", "--int8", "--data", "a b.jsonl", "-o", "out")
    assert Command("", words).phrases == ["fwsvd-export", "bench", "dense", "--int8", "--data 'a b.jsonl'", "-o out"]
