"""Under which id and revision a card's lines load the model."""

from __future__ import annotations

import re

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # passed on, but not listed

from fwsvd_export.errors import CardError
from fwsvd_export.hub.card.measurements import Published

_REVISION = re.compile(r"[\w.][\w./-]*")


def checked_publication(stored: Published | None, repo_id: str | None, revision: str | None) -> Published | None:
    """What was said before with what is said now; None when there is nothing.

    Raises:
        CardError: what cannot be an id or a revision on the Hub.
    """
    before = stored or Published()
    found = Published(repo_id or before.repo_id, revision or before.revision)
    if found.repo_id is not None:
        try:
            validate_repo_id(found.repo_id)
        except HFValidationError as error:
            raise CardError(f"{found.repo_id!r} can be no id on the Hub; write OWNER/NAME") from error
    if found.revision is not None and not _REVISION.fullmatch(found.revision):
        raise CardError(f"revision {found.revision!r}: the hash of a commit, a branch or a tag is allowed")
    return None if found == Published() else found
