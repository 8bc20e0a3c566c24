"""What a tokenizer makes is checked against the model's tables; the row is named, however many rows it is cut into."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from transformers import AutoTokenizer

from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.data.rows import Rows
from fwsvd_export.data.tokens import check_knows_places, check_numbers, warn_of_unknown
from fwsvd_export.errors import CheckpointError, DataWarning
from tests.helpers import tiny_head


@pytest.fixture(scope="module")
def tokenizer(tiny_folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_folder)


ROWS = Rows(Dataset.from_dict({"number": [1, 2]}), "rows.csv", [4, 9])


@pytest.mark.parametrize("options", [{}, {"truncation": True, "max_length": 4, "return_overflowing_tokens": True}])
def test_ids_that_the_model_does_not_know_are_named_with_their_row(options: dict[str, Any], tokenizer: Any) -> None:
    small = encoder_of(tiny_head("BertForSequenceClassification", vocab_size=20))
    with pytest.raises(CheckpointError) as caught:
        check_numbers(tokenizer(["a film a film a", "a a a a always"], **options), ROWS, small)
    assert re.fullmatch(
        r"rows.csv, row 9: the tokenizer makes input_ids 24 of it, and the model knows input_ids from 0 to 19; use the "
        "tokenizer that belongs to the model",
        str(caught.value),
    )


def test_only_tokenizers_of_the_tokenizers_library_know_places(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    check_knows_places(tokenizer, "ner")
    monkeypatch.setattr(type(tokenizer), "is_fast", False)
    with pytest.raises(CheckpointError, match="does not say where in a text its tokens stand, as task ner needs; use"):
        check_knows_places(tokenizer, "ner")


def test_many_unknown_tokens_are_warned_of(tokenizer: Any) -> None:
    with pytest.warns(DataWarning, match=r"^10 of the 20 tokens of rows.csv \(50%\) are unknown to the tokenizer: is"):
        warn_of_unknown([[tokenizer.unk_token_id, 7]] * 10, tokenizer, "rows.csv")
