"""CoNLL text becomes sentences."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwsvd_export.data.conll import conll_table
from fwsvd_export.errors import DataError

FILE = Path("rows.conll")


def sentences(text: str) -> list[tuple[list[str], list[str]]]:
    table = conll_table(text, FILE, ("tokens", "tags"))
    return list(zip(table["tokens"], table["tags"], strict=True))


EXPECTED = [(["EU", "rejects"], ["B-ORG", "O"]), (["Peter"], ["B-PER"])]


@pytest.mark.parametrize(
    "text",
    [
        "EU B-ORG\nrejects O\n\nPeter B-PER\n",
        "\n\nEU B-ORG\r\nrejects O\r\n\r\n \n\nPeter B-PER",
        "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\nPeter NNP B-NP B-PER\n",
        "EU\tB-ORG\nrejects\tO\n-DOCSTART-\tO\nPeter\tB-PER\n",
        "# id 1 en\nEU _ _ B-ORG\nrejects _ _ O\n\n# id 2 a\tb\nPeter _ _ B-PER\n",
        "# id 1\ten O2\nEU\tB-ORG\nrejects\tO\n\n#\n# text\nPeter\tB-PER\n",
    ],
)
def test_dialects_give_the_same_sentences(text: str) -> None:
    assert sentences(text) == EXPECTED


def test_a_hash_that_is_a_token_stays() -> None:
    assert sentences("# O\nEU B\n# O\n\nnot O\n# B\n") == [
        (["#", "EU", "#"], ["O", "B", "O"]),
        (["not", "#"], ["O", "B"]),
    ]


def test_white_space_that_is_a_token_stays() -> None:
    assert sentences("\xa0 O\n\u2028 B\n") == [(["\xa0", "\u2028"], ["O", "B"])]
    assert sentences("New York\tB\n") == [(["New York"], ["B"])]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("EU\n", "line 1: 'EU' is not a token and its tag, which every line needs"),
        ("EU O\n\nrejects\n", "line 3: 'rejects' is not a token and its tag"),
        ("EU\tO\nrejects\t\n", "line 2: 'rejects ' is not a token and its tag"),
        ("EU O\nrejects VBZ O\n", "line 2 has 3 columns, and the first line has 2; write as many on every line"),
    ],
)
def test_lines_that_do_not_fit_are_refused(text: str, words: str) -> None:
    with pytest.raises(DataError, match=f"rows.conll, {words}"):
        sentences(text)


def test_no_sentences_are_no_rows() -> None:
    assert sentences("") == sentences("\n# nothing\n") == []
