"""An accuracy target is a drop of at least zero."""

from __future__ import annotations

import pytest

from fwsvd_export.errors import RankError
from fwsvd_export.evaluation.target import check_max_drop


@pytest.mark.parametrize("max_drop", [0, 0.01, 1])
def test_no_drop_and_any_drop_are_targets(max_drop: float) -> None:
    check_max_drop(max_drop)


@pytest.mark.parametrize("max_drop", [-0.01, float("-inf"), float("nan")])
def test_a_rise_and_what_is_no_number_are_refused(max_drop: float) -> None:
    with pytest.raises(RankError, match=f"max-drop {max_drop:g}: .*at least 0"):
        check_max_drop(max_drop)
