"""A file's bytes become text: decompressed, decoded, without a byte order mark."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fwsvd_export.errors import DataError, message_of

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
}
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"  # how such files begin
# UTF-32's little-endian mark begins as UTF-16's does, so it is looked for first
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_text(file: Path) -> str:
    """The text of a file in UTF-8, or in the encoding that its byte order mark tells.

    Raises:
        DataError: the file cannot be read or decompressed, or is not such text.
    """
    content = _decompressed(file)
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    text = decoded(content, file, encoding=encoding)
    if "\0" in text:
        raise DataError(
            f"{file} holds NUL characters, as UTF-16 without a byte order mark does and text does not; "
            f"save it as UTF-8, for UTF-16 with: iconv -f UTF-16LE -t UTF-8 {file.name} > utf8-{file.name}"
        )
    return text


def decoded(content: bytes, file: Path, first_line: int = 1, encoding: str = "utf-8") -> str:
    """The text of some bytes of a file.

    Args:
        content: the bytes.
        file: for the message.
        first_line: the number of the line that they begin with.
        encoding: as Python calls it.

    Raises:
        DataError: they are not such text.
    """
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + first_line
        raise DataError(
            f"{file} is not {encoding.upper().removesuffix('-SIG')} text (byte 0x{content[error.start]:02x} in line "
            f"{line:,}); save it as UTF-8, for Latin-1 with: iconv -f LATIN1 -t UTF-8 {file.name} > utf8-{file.name}"
        ) from error


@contextmanager
def reported(file: Path) -> Iterator[None]:
    """Says in one sentence that a file cannot be read.

    Raises:
        DataError: it cannot.
    """
    try:
        yield
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}; make it readable") from error


def _decompressed(file: Path) -> bytes:
    with reported(file):
        content = file.read_bytes()
    decompress = COMPRESSIONS.get(file.suffix.lower())
    if decompress is not None:
        try:
            return decompress(content)
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
            raise DataError(
                f"{file} cannot be decompressed: {message_of(error)}; it is damaged, cut short or of another kind than "
                f"{file.suffix} says: get the file again"
            ) from error
    if content.startswith(_GZIP):
        raise DataError(f"{file} is compressed by gzip and its name does not say so; call it {file.name}.gz")
    if content.startswith(_ZIP):
        raise DataError(f"{file} is a zip archive; unpack it and give the file inside")
    return content
