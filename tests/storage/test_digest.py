"""Digests are those of the whole file."""

from __future__ import annotations

from pathlib import Path

from fwsvd_export.storage.digest import combined_sha256, file_sha256


def test_sha256_of_a_file_longer_than_one_block(tmp_path: Path) -> None:
    import hashlib

    content = bytes(3 << 20) + b"end"
    (tmp_path / "long").write_bytes(content)
    assert file_sha256(tmp_path / "long") == hashlib.sha256(content).hexdigest()


def test_several_digests_make_one_and_the_order_they_come_in_does_not_matter() -> None:
    import hashlib

    listed = "aa  model-1\nbb  model-2\n"
    assert combined_sha256({"model-2": "bb", "model-1": "aa"}) == hashlib.sha256(listed.encode()).hexdigest()
    assert combined_sha256({"model": "aa"}) == "aa"
