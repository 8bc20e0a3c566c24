"""Which sizes can be met."""

from __future__ import annotations

from typing import Any

import pytest

from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.compression.size import check_size
from fwsvd_export.errors import RankError
from fwsvd_export.ranks.choices import smallest_ratio
from fwsvd_export.records import Budget, RankLimits, RankRequest
from fwsvd_export.solvers.table import SOLVERS


def test_the_smallest_ratio_is_the_least_that_is_not_refused(tiny_model: Any) -> None:
    limits = RankLimits(smallest=3, keep_dense=("*.key",))
    least = smallest_ratio(encoder_of(tiny_model).layers, limits)
    assert least == (2 * 1024 + 6 * 3 * 64 + 4 * 3 * 96) / 16384
    check_size(encoder_of(tiny_model), SOLVERS["kfac"], RankRequest(Budget(ratio=least), limits=limits))
    with pytest.raises(RankError, match=r"ask for a ratio of at least"):
        check_size(encoder_of(tiny_model), SOLVERS["kfac"], RankRequest(Budget(ratio=least - 1e-4), limits=limits))
