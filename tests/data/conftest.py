"""The tokenizer of the tiny model, and batches loaded with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.data.batches import Batches
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import TASKS
from tests.data.sentences import ENCODER, Rows


@pytest.fixture(scope="module")
def tokenizer(tiny_folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_folder)


@pytest.fixture
def load(tokenizer: Any, write_rows: Callable[[Rows], Path]) -> Callable[..., Batches]:
    """Batches of rows: load(rows, task="sst2", encoder=ENCODER, **of_the_request)."""

    def load(rows: Rows, task: str = "sst2", encoder: Encoder = ENCODER, **options: Any) -> Batches:
        return load_batches(DataRequest(TASKS[task], write_rows(rows), **options), tokenizer, encoder)

    return load
