"""What the Hub or the way to it refuses, in one sentence: what came, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fwsvd_export.errors import FwsvdExportError, PushError, message_of, quoted
from fwsvd_export.hub.verify.secrets import redacted
from fwsvd_export.wording import counted

NOTHING_DONE = "nothing was committed: run the same push again"
MAYBE_DONE = "it is not known whether the commit was made: run the same push again, which commits nothing twice"
MAYBE_PROPOSED = "look whether the pull request was made before you run the same push again"

# The Hub's client speaks through one of these, depending on its version; their errors share no base class
_TRANSPORTS = {"requests", "urllib3", "httpx", "httpx2", "httpcore", "httpcore2", "h11", "ssl"}


@contextmanager
def in_one_sentence(repo_id: str, afterwards: str = NOTHING_DONE) -> Iterator[None]:
    """Turns whatever the Hub's client raises into a ``PushError``.

    Args:
        repo_id: of the repository.
        afterwards: how things stand, and what to do, when the block broke off on the way or on the Hub's side.
    """
    try:
        yield
    except FwsvdExportError:
        raise
    except Exception as error:  # the client raises its own, the HTTP library's and others, by version
        raise PushError(redacted(_sentence(error, repo_id, afterwards))) from error


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an error stands for, or None."""
    response = _response_of(error)
    return None if response is None else int(response.status_code)


def _sentence(error: BaseException, repo_id: str, afterwards: str) -> str:
    from huggingface_hub.errors import OfflineModeIsEnabled

    chain = list(_chain(error))
    if any(isinstance(one, OfflineModeIsEnabled) for one in chain):
        return "HF_HUB_OFFLINE is set, so the Hub is not asked; unset it and run the same push again"
    answered = next((one for one in chain if _response_of(one) is not None), None)
    if answered is not None:
        return _refusal(answered, repo_id, afterwards)
    for one in chain:
        if isinstance(one, OSError) and one.filename is not None:
            return f"{one.filename} cannot be read: {one.strerror}; {NOTHING_DONE}"
    if any(_is_transport(one) for one in chain):
        return f"the connection to the Hub broke off ({type(chain[-1]).__name__}); {afterwards}"
    return f"the push of {repo_id} failed ({type(error).__name__}: {message_of(error)}); {afterwards}"


def _refusal(error: BaseException, repo_id: str, afterwards: str) -> str:
    """The sentence for an answer with an error status."""
    response = _response_of(error)
    status = int(response.status_code)
    namespace = repo_id.partition("/")[0]
    said = _said_by(error)
    if status == 401:
        return (
            "the Hub does not know the token (401); log in with hf auth login, or set HF_TOKEN to a token that may "
            "write, and run the same push again"
        )
    if status == 403:
        return (
            f"the token may not write to {repo_id} (403{said}); use a token with write access to {namespace}, give "
            "another REPO_ID, or propose the change with --create-pr"
        )
    if status == 404:
        return (
            f"the Hub has no {repo_id} that this token may see, or not this revision of it (404); look at the name "
            "and at what the token may read"
        )
    if status in (409, 412):
        return f"{repo_id} was changed by somebody else at the same moment ({status}{said}); {NOTHING_DONE}"
    if status == 429:
        return f"too many requests (429); {NOTHING_DONE} {_waiting(response)}"
    if status >= 500:
        return f"the Hub has trouble of its own ({status}); {afterwards}, some minutes later"
    return f"the Hub refused the push ({status}{said}); nothing was committed: fix that and run the same push again"


def _waiting(response: Any) -> str:
    seconds = str(response.headers.get("Retry-After") or "")
    return f"in {counted(int(seconds), 'second')}" if seconds.isdecimal() else "some minutes later"


def _said_by(error: BaseException) -> str:
    """The Hub's own words, in front of which a comma fits; empty when it said nothing."""
    words = quoted(str(getattr(error, "server_message", None) or ""))
    return f", {words.rstrip('.')}" if words else ""


def _response_of(error: BaseException) -> Any:
    response = getattr(error, "response", None)
    return response if hasattr(response, "status_code") else None


def _is_transport(error: BaseException) -> bool:
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    return any(base.__module__.partition(".")[0] in _TRANSPORTS for base in type(error).__mro__)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was raised from, outermost first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
