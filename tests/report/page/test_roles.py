"""Layers are taken apart without two falling together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fwsvd_export.report.page.roles import places_of, role_names

PART = st.sampled_from(["encoder", "layer", "dense", "query", "0", "1", "12"])
NAMES = st.lists(st.lists(PART, min_size=1, max_size=5).map(".".join), unique=True, max_size=12)


@given(NAMES)
def test_every_layer_has_a_place_of_its_own(names: list[str]) -> None:
    places = places_of(names)
    assert list(places) == names
    assert len(set(places.values())) == len(names)


@given(NAMES)
def test_short_roles_are_told_apart(names: list[str]) -> None:
    roles = list(dict.fromkeys(role for _, role in places_of(names).values()))
    assert len(set(role_names(roles))) == len(roles)


def test_two_stacks_keep_their_names() -> None:
    places = places_of(["encoder.0.query", "decoder.0.query", "pooler"])
    assert list(places.values()) == [("encoder.0", "query"), ("decoder.0", "query"), ("–", "pooler")]
