"""Bytes become text; whatever is not text is refused with what to do."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwsvd_export.data.text import read_text
from fwsvd_export.errors import DataError

TEXT = "sentence,label\nтак себе – très bien,1\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_is_read_with_its_mark_and_without_it_in_the_text(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(TEXT.encode(encoding))
    assert read_text(tmp_path / "rows.csv") == TEXT


@pytest.mark.parametrize(("ending", "compress"), [(".gz", gzip), (".bz2", bz2), (".XZ", lzma)])
def test_compressed_text_is_decompressed(ending: str, compress: object, tmp_path: Path) -> None:
    file = tmp_path / f"rows.csv{ending}"
    file.write_bytes(compress.compress(TEXT.encode()))  # type: ignore[attr-defined] # modules alike in this
    assert read_text(file) == TEXT
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(DataError, match=r"cannot be decompressed: .*get the file again"):
        read_text(file)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a\nb\ntrès".encode("latin-1"), "is not UTF-8 text .byte 0xe8 in line 3.; save it as UTF-8"),
        (b"\xff\xfea", "is not UTF-16 text"),
        ("a,b".encode("utf-16-be"), "holds NUL characters"),
        (b"PK\x03\x04", "is a zip archive; unpack it"),
        (b"\x1f\x8b\x08", "is compressed by gzip and its name does not say so; call it rows.csv.gz"),
    ],
)
def test_what_is_not_text_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_text(tmp_path / "rows.csv")


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", forbid)
    with pytest.raises(DataError, match=r"rows\.csv cannot be read: Permission denied; make it readable"):
        read_text(tmp_path / "rows.csv")


@given(content=st.binary(max_size=64))
def test_any_bytes_are_text_or_one_sentence(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in ("rows.csv", "rows.csv.gz", "rows.csv.xz", "rows.csv.bz2"):
        file = tmp_path_factory.getbasetemp() / name
        file.write_bytes(content)
        try:
            said = read_text(file).replace("\n", "")
        except DataError as error:
            said = str(error)
        assert "\n" not in said
        assert "\0" not in said
