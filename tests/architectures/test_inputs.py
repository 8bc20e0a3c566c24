"""Every input of every family is made from what a tokenizer gives."""

from __future__ import annotations

from tokenizers import Encoding

from fwsvd_export.architectures.inputs import ENCODING_FIELDS
from fwsvd_export.architectures.registry import FAMILIES


def test_every_input_of_every_family_has_a_field_of_an_encoding() -> None:
    assert {name for family in FAMILIES.values() for name in family.inputs} == set(ENCODING_FIELDS)
    assert all(hasattr(Encoding, field) for field in ENCODING_FIELDS.values())
