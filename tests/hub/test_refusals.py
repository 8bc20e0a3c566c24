"""Errors that a double of the Hub cannot make, in one sentence."""

from __future__ import annotations

import pytest
from huggingface_hub.errors import OfflineModeIsEnabled

from fwsvd_export.errors import OutputError, PushError
from fwsvd_export.hub.refusals import NOTHING_DONE, in_one_sentence


class TransportError(Exception):
    """As an HTTP library's that shares no base class with OSError."""

    __module__ = "httpx._exceptions"


def sentence(error: BaseException) -> str:
    with pytest.raises(PushError) as raised, in_one_sentence("me/small"):
        raise error
    return str(raised.value)


def raised_from(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def test_what_the_hub_did_not_answer() -> None:
    broke_off = "the connection to the Hub broke off"
    assert sentence(TransportError("reset")) == f"{broke_off} (TransportError); {NOTHING_DONE}"
    wrapped = raised_from(RuntimeError("Error while uploading"), ConnectionResetError("reset"))
    assert sentence(wrapped) == f"{broke_off} (ConnectionResetError); {NOTHING_DONE}"
    assert sentence(OfflineModeIsEnabled("no")).startswith("HF_HUB_OFFLINE is set, so the Hub is not asked; unset it")
    vanished = raised_from(RuntimeError("x"), FileNotFoundError(2, "No such file", "vocab.txt"))
    assert sentence(vanished) == f"vocab.txt cannot be read: No such file; {NOTHING_DONE}"
    other = ValueError("LFS batch API returned errors:\nmore")
    expected = f"the push of me/small failed (ValueError: LFS batch API returned errors: more); {NOTHING_DONE}"
    assert sentence(other) == expected


def test_our_own_errors_and_interrupts_pass() -> None:
    with pytest.raises(OutputError, match="as it is"), in_one_sentence("me/small"):
        raise OutputError("as it is")
    with pytest.raises(KeyboardInterrupt), in_one_sentence("me/small"):
        raise KeyboardInterrupt
