"""The Python API: everything that a signature or a record of it names can be imported from the package."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator
from typing import Any

import pytest
import typing_extensions

import fwsvd_export as fe

FUNCTIONS = [name for name in fe.__all__ if inspect.isfunction(getattr(fe, name))]


def classes_in(hint: Any) -> Iterator[type]:
    """Every class of the package that an annotation names."""
    if isinstance(hint, type) and hint.__module__.startswith("fwsvd_export."):
        yield hint
    for inner in typing.get_args(hint):
        yield from classes_in(inner)


def hints_of(value: Any) -> dict[str, Any]:
    return typing.get_type_hints(value, localns={"Unpack": typing_extensions.Unpack, **vars(typing)})


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_a_signature_names_is_exported(name: str) -> None:
    module = inspect.getmodule(getattr(fe, name))
    with pytest.MonkeyPatch.context() as patch:  # what is imported for type checkers only
        patch.setattr(module, "Unpack", typing_extensions.Unpack, raising=False)
        patch.setattr(module, "Tensor", typing.Any, raising=False)
        hints = hints_of(getattr(fe, name))
    named = {found.__name__ for hint in hints.values() for found in classes_in(hint)}
    assert named <= set(fe.__all__)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_says_what_it_takes_and_shows_it(name: str) -> None:
    text = inspect.getdoc(getattr(fe, name)) or ""
    parameters = inspect.signature(getattr(fe, name)).parameters
    assert all(f"{parameter}:" in text for parameter in parameters)
    assert ">>>" in text


def test_the_report_of_a_compression_is_made_of_exported_records() -> None:
    named = {found.__name__ for hint in hints_of(fe.CompressionReport).values() for found in classes_in(hint)}
    assert named
    assert named <= set(fe.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'squeeze'"):
        _ = fe.squeeze
