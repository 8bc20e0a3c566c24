"""Under which id and revision a card's lines load the model."""

from __future__ import annotations

import re

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # passed on, but not listed

from fwsvd_export.errors import CardError

_REVISION = re.compile(r"[\w.][\w./-]*")


def checked_publication(
    stored: dict[str, str | None] | None, repo_id: str | None, revision: str | None
) -> dict[str, str | None] | None:
    """What was said before with what is said now; None when there is nothing.

    Raises:
        CardError: what cannot be an id or a revision on the Hub.
    """
    now = {"repo_id": repo_id, "revision": revision}
    found = {name: now[name] or (stored or {}).get(name) for name in now}
    if found["repo_id"] is not None:
        try:
            validate_repo_id(found["repo_id"])
        except HFValidationError as error:
            raise CardError(f"{found['repo_id']!r} can be no id on the Hub; write OWNER/NAME") from error
    if found["revision"] is not None and not _REVISION.fullmatch(found["revision"]):
        raise CardError(f"revision {found['revision']!r}: the hash of a commit, a branch or a tag is allowed")
    return found if any(found.values()) else None
