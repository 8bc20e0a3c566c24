"""A difference in words, and the confidence of its interval."""

from __future__ import annotations

import pytest

from fwsvd_export.errors import DataError
from fwsvd_export.evaluation.difference import Difference, check_confidence


def test_words_have_signs() -> None:
    assert str(Difference("dense", -0.009, -0.02, 0.002, 0.95, 872, 0.884)) == "-0.0090 [-0.0200, +0.0020]"


@pytest.mark.parametrize("confidence", [0.51, 0.8, 0.95, 0.999])
def test_shares_above_a_half_are_confidences(confidence: float) -> None:
    check_confidence(confidence)


@pytest.mark.parametrize("confidence", [0.5, 1, 95, float("nan"), "0.95"])
def test_others_are_refused(confidence: float) -> None:
    with pytest.raises(DataError, match=r"confidence .*: a number above 0\.5 and below 1 is allowed, as 0\.95"):
        check_confidence(confidence)
