"""What the tests of statistics share: a comparison of whole records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import pytest
import torch

from fwsvd_export.records import LayerStatistics, Statistics


@pytest.fixture(scope="session")
def assert_same() -> Callable[[Statistics, Statistics], None]:
    """A function that compares counts, and all sums relative to their largest entry."""

    def check(found: Statistics, expected: Statistics) -> None:
        assert (found.examples, found.tokens) == (expected.examples, expected.tokens)
        assert found.collected == expected.collected
        assert list(found.layers) == list(expected.layers)
        for name, layer in expected.layers.items():
            for field in fields(LayerStatistics):
                theirs, ours = getattr(layer, field.name), getattr(found.layers[name], field.name)
                assert (theirs is None) == (ours is None), f"{name} {field.name}"
                if theirs is not None:
                    atol = 1e-5 * float(theirs.abs().max())
                    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=atol, msg=f"{name} {field.name} differs")

    return check
