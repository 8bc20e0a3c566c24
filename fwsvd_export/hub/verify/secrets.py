"""Tokens and keys: found in files before they are sent, taken out of texts before they are shown."""

from __future__ import annotations

import json
import mmap
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fwsvd_export.hub.verify.findings import Finding


@dataclass(frozen=True)
class SecretKind:
    """A kind of secret that is known by its form."""

    name: str
    pattern: re.Pattern[bytes]


# Each starts with fixed characters: a search through gigabytes of weights takes seconds
KINDS = (
    SecretKind("a Hugging Face token", re.compile(rb"hf_(?:oauth_|jwt_)?[A-Za-z0-9]{20,}")),
    SecretKind("a Hugging Face organisation's token", re.compile(rb"api_org_[A-Za-z0-9]{20,}")),
    SecretKind("an AWS key", re.compile(rb"AKIA[0-9A-Z]{16}")),
    SecretKind("a temporary AWS key", re.compile(rb"ASIA[0-9A-Z]{16}")),
    SecretKind("a GitHub token", re.compile(rb"gh[oprsu]_[A-Za-z0-9]{36,}")),
    SecretKind("a GitHub token", re.compile(rb"github_pat_[A-Za-z0-9_]{22,}")),
    SecretKind("a Google key", re.compile(rb"AIza[0-9A-Za-z_-]{35}")),
    SecretKind("a Slack token", re.compile(rb"xox[abprs]-[A-Za-z0-9-]{20,}")),
    # Not the end of a word: risk-…, task-… are names
    SecretKind("an API key", re.compile(rb"sk-(?<![A-Za-z0-9]sk-)[A-Za-z0-9_-]{32,}")),
    SecretKind("a private key", re.compile(rb"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----")),
)
# JSON keys, in lower case without _ and -, whose texts are secrets whatever their form
_SECRET_KEYS = re.compile(
    r"(\w*(access|api|auth|hf|hub|bearer)token|token|\w*apikey|\w*(secret|private)\w*key|\w*secret|passw(or)?d|authorization)"
)
_LEFT_OUT = "***"
_HEADER = re.compile(r"(?i)(bearer\s+|authorization['\"]?\s*[:=]\s*['\"]?(?:bearer\s+)?)[^\s'\",}]+")
_SIGNED_URL = re.compile(r"(?i)([?&](?:x-amz-[a-z-]+|signature|sig|token|key-pair-id|policy)=)[^&\s'\"]+")
_ADVICE = "take it out, and revoke it if anybody else could read this folder"


def find_secrets(folder: Path, path: str, own_token: str | None) -> Iterator[Finding]:
    """What in a file looks like a secret, or is the user's own token; the secret itself is not repeated.

    Args:
        folder: the checkpoint's.
        path: of a plain file in it.
        own_token: that the push would use.
    """
    file = folder / path
    if file.stat().st_size == 0:  # nothing to map
        return
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if own_token and content.find(own_token.encode()) >= 0:
            yield Finding(path, "holds the very token that pushes", _ADVICE)
        else:
            names = dict.fromkeys(kind.name for kind in KINDS if kind.pattern.search(content))
            yield from (Finding(path, f"holds {name}", _ADVICE) for name in names)
    if path.endswith(".json"):
        try:
            value = json.loads(file.read_bytes())
        except (ValueError, RecursionError):
            yield Finding(path, "is not readable JSON", "write it again")
            return
        for key in _secret_keys(value):
            yield Finding(path, f"has a value under the key {key!r}, which is for secrets", _ADVICE)


def redacted(text: str) -> str:
    """The text without tokens, authorization headers and the signatures of upload addresses."""
    own = _token_in_use()
    if own:
        text = text.replace(own, _LEFT_OUT)
    for kind in KINDS:
        text = re.sub(kind.pattern.pattern.decode(), _LEFT_OUT, text)
    return _SIGNED_URL.sub(rf"\1{_LEFT_OUT}", _HEADER.sub(rf"\1{_LEFT_OUT}", text))


def _token_in_use() -> str | None:
    """The user's token; where the Hub's client was never loaded nobody has read it, so no text can hold it."""
    if "huggingface_hub" not in sys.modules:
        return None
    from huggingface_hub import get_token

    return get_token()


def _secret_keys(value: Any, path: str = "") -> Iterator[str]:
    """Dotted names of all keys in a JSON value that hold a text where secrets stand."""
    if isinstance(value, dict):
        for key, inner in value.items():
            name = f"{path}.{key}" if path else key
            if isinstance(inner, str) and inner and _SECRET_KEYS.fullmatch(re.sub("[-_]", "", key.lower())):
                yield name
            yield from _secret_keys(inner, name)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _secret_keys(inner, f"{path}[{index}]")
