"""Whom the exported files of these tests belong to."""

from __future__ import annotations

from fwsvd_export.export.identity import Identity

IDENTITY = Identity("small", "LowRankBertForSequenceClassification", "a" * 64, "b" * 64, "{}")
