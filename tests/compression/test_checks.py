"""When compress matches layers: as asked, else with kfac and batches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from torch import Tensor

from fwsvd_export import compress
from fwsvd_export.checkpoints.weights import weights_sha256
from fwsvd_export.compression.checks import can_reconstruct, reconstructs
from fwsvd_export.errors import DataError, RankError
from fwsvd_export.records import Statistics
from fwsvd_export.solvers.solver import Iterative
from fwsvd_export.solvers.table import SOLVERS

Batches = list[dict[str, Tensor]]


def test_kfac_is_matched_on_batches_or_on_the_texts_that_statistics_hold(
    tiny_model: Any, batches: Batches, statistics: Statistics
) -> None:
    def digest(*given: Any, **options: Any) -> str:
        return weights_sha256(compress(tiny_model, *given, rank=5, **options))

    without = replace(statistics, sample=None)
    closed_form = digest(statistics=without)
    assert (
        digest(batches, reconstruct=False) == digest(batches, statistics=statistics, reconstruct=False) == closed_form
    )
    assert digest(statistics=statistics, reconstruct=False) == closed_form
    assert digest(batches) == digest(statistics=statistics) == digest(statistics=statistics, reconstruct=True)
    assert digest(batches) == digest(batches, statistics=without)
    assert digest(batches) == digest(batches, statistics=statistics) == digest(batches, reconstruct=True) != closed_form


@pytest.mark.parametrize("method", [name for name in SOLVERS if name != "kfac"])
def test_other_methods_are_not_matched(method: str, tiny_model: Any, batches: Batches) -> None:
    given = {
        "method": method,
        "rank": 5,
        "solver_options": {"max_iterations": 2} if isinstance(SOLVERS[method], Iterative) else {},
    }
    by_default, told_not_to = (compress(tiny_model, batches, reconstruct=match, **given) for match in (None, False))
    assert weights_sha256(by_default) == weights_sha256(told_not_to)
    with pytest.raises(RankError, match=f"which method {method} does not have; use --method kfac, or leave out"):
        compress(tiny_model, batches, reconstruct=True, **given)


def test_matching_without_batches_is_refused(tiny_model: Any, statistics: Statistics) -> None:
    with pytest.raises(DataError, match=r"reconstruction needs calibration data: give --data \(beside --fisher too\)"):
        compress(tiny_model, rank=5, reconstruct=True)
    with pytest.raises(DataError, match=r"the statistics hold no texts .*--no-samples.*give --data beside --fisher"):
        compress(tiny_model, statistics=replace(statistics, sample=None), rank=5, reconstruct=True)


def test_a_generator_gives_the_same_model_as_a_list(tiny_model: Any, batches: Batches) -> None:
    from_list, from_generator = (compress(tiny_model, given, rank=5) for given in (batches, iter(batches)))
    assert weights_sha256(from_list) == weights_sha256(from_generator)


@pytest.mark.parametrize(
    ("method", "wanted", "calibration", "expected"),
    [
        ("kfac", None, True, True),
        ("kfac", None, False, False),
        ("kfac", True, True, True),
        ("kfac", False, True, False),
        ("kfac", False, False, False),
        ("svd", None, True, False),
        ("svd", False, True, False),
    ],
)
def test_layers_are_matched_as_asked_else_where_it_can_be_done(
    method: str, wanted: bool | None, calibration: bool, expected: bool
) -> None:
    assert reconstructs(SOLVERS[method], wanted, calibration) is expected


@pytest.mark.parametrize("wanted", [None, True, False])
def test_statistics_with_a_sample_do_as_well_as_batches(wanted: bool | None, statistics: Statistics) -> None:
    assert reconstructs(SOLVERS["kfac"], wanted, False, statistics) is (wanted is not False)
    assert can_reconstruct(SOLVERS["kfac"])
    assert not reconstructs(SOLVERS["kfac"], None, False, replace(statistics, sample=None))
    assert not can_reconstruct(SOLVERS["svd"])
