"""What the card of the base hands on; a damaged one gives nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwsvd_export.hub.card.base import read_base_card


def test_the_base_card_gives_license_language_and_data_sets(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlicense: mit\nlanguage: [en, 3]\ntags: [x]\ndatasets: imdb\n---\nText")
    assert read_base_card(tmp_path) == {"license": "mit", "language": ["en"], "datasets": "imdb"}


def test_norwegian_is_a_language_and_not_false(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlanguage: [no, en]\n---\nText")
    assert read_base_card(tmp_path) == {"language": ["no", "en"]}


@pytest.mark.parametrize(
    "content", [b"", b"# No front matter", b"---\n[\n---\n", b"---\n- a\n---\n", b"---\nx: \xff\n---\n"]
)
def test_a_base_card_that_cannot_be_read_gives_nothing(content: bytes, tmp_path: Path) -> None:
    assert read_base_card(tmp_path) == {}
    (tmp_path / "README.md").write_bytes(content)
    assert read_base_card(tmp_path) == {}
