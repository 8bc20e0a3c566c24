"""Ids and revisions under which a card loads its model."""

from __future__ import annotations

import pytest

from fwsvd_export.errors import CardError
from fwsvd_export.hub.card.measurements import Published
from fwsvd_export.hub.card.publication import checked_publication


def test_what_is_said_now_goes_before_what_was_stored() -> None:
    stored = Published("me/small", "abc")
    assert checked_publication(None, None, None) is None
    assert checked_publication(stored, None, None) == stored
    assert checked_publication(stored, "me/other", None) == Published("me/other", "abc")
    assert checked_publication(stored, None, "v1.0") == Published("me/small", "v1.0")


@pytest.mark.parametrize("repo_id", ["a/b/c", "-me/small", "me/sm all", "me/small.git"])
def test_what_is_no_id_is_refused(repo_id: str) -> None:
    with pytest.raises(CardError, match="write OWNER/NAME") as caught:
        checked_publication(None, repo_id, None)
    assert repr(repo_id) in str(caught.value)


@pytest.mark.parametrize("revision", ["-x", "a b", "a'b", "a\nb"])
def test_what_is_no_revision_is_refused(revision: str) -> None:
    with pytest.raises(CardError, match="a branch or a tag") as caught:
        checked_publication(None, "me/small", revision)
    assert repr(revision) in str(caught.value)
