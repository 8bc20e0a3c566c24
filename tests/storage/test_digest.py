"""Digests are those of the whole file."""

from __future__ import annotations

from pathlib import Path

from fwsvd_export.storage.digest import file_sha256


def test_sha256_of_a_file_longer_than_one_block(tmp_path: Path) -> None:
    import hashlib

    content = bytes(3 << 20) + b"end"
    (tmp_path / "long").write_bytes(content)
    assert file_sha256(tmp_path / "long") == hashlib.sha256(content).hexdigest()
