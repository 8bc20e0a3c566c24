"""What a request for data may say, and its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fwsvd_export.data.batches import Batches
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import TASKS
from fwsvd_export.errors import DataError
from tests.data.sentences import ROWS


@pytest.mark.parametrize("name", ["max_samples", "max_length", "batch_size"])
def test_numbers_below_one_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{name} 0: a whole number of at least 1"):
        DataRequest(TASKS["sst2"], tmp_path / "rows.jsonl", **{name: 0})


def test_the_name_of_data_has_no_folders(tmp_path: Path) -> None:
    assert DataRequest(TASKS["sst2"], tmp_path / "rows.csv").name == "rows.csv"
    assert DataRequest(TASKS["sst2"], dataset="glue:sst2", split="test").name == "glue:sst2 (test)"


@pytest.mark.parametrize("shard", [(0, 2), (3, 2), (1, 0), (-1, 2)])
def test_a_shard_that_is_not_one_of_its_number_is_refused(shard: tuple[int, int], load: Callable[..., Batches]) -> None:
    with pytest.raises(DataError, match=f"shard {shard[0]}/{shard[1]}: I/N with 1 <= I <= N is allowed"):
        load(ROWS, shard=shard)
