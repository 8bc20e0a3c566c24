"""A difference in words."""

from __future__ import annotations

from fwsvd_export.evaluation.difference import Difference


def test_words_have_signs() -> None:
    assert str(Difference("dense", -0.009, -0.02, 0.002, 0.95, 872, 0.884)) == "-0.0090 [-0.0200, +0.0020]"
