"""Whether a card would be taken by the Hub and show what it should, without asking the Hub."""

from __future__ import annotations

import math
from typing import Any

from huggingface_hub import ModelCardData

from fwsvd_export.errors import CardError, message_of
from fwsvd_export.hub.card.blocks import renewed
from fwsvd_export.hub.card.metadata import RESULTS, split_front_matter

_REQUIRED = ("library_name", "tags")
# Key -> what the Hub takes for it
_TEXTS = ("library_name", "pipeline_tag", "license_name", "license_link", "base_model_relation")
_LISTS = ("license", "tags", "datasets", "metrics", "language", "base_model")


def check_card(text: str) -> None:
    """Refuses a card whose front matter or markers are damaged.

    Args:
        text: of README.md.

    Raises:
        CardError: what is wrong, in one sentence.
    """
    _, values, body = split_front_matter(text)
    if values is None:
        raise CardError("README.md has no front matter between lines ---; write it anew with fwsvd-export card")
    for name in _REQUIRED:
        if not values.get(name):
            raise CardError(f"the front matter of README.md has no {name}; write it anew with fwsvd-export card")
    for name in _TEXTS:
        if not isinstance(values.get(name, ""), str):
            raise CardError(f"the front matter of README.md: {name} is {values[name]!r}, a text is needed; correct it")
    for name in _LISTS:
        if not _are_texts(values.get(name, [])):
            raise CardError(
                f"the front matter of README.md: {name} is {values[name]!r}, a list of texts is needed; correct it"
            )
    if RESULTS in values:
        _check_results(values)
    renewed(body, {})


def _are_texts(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(text, str) for text in value))


def _check_results(values: dict[str, Any]) -> None:
    """The results parse as the Hub's client reads them, and every value is a number or a text."""
    if not isinstance(values[RESULTS], list):
        raise CardError(f"the {RESULTS} of README.md is no list; write it anew with fwsvd-export card")
    try:
        for entry in values[RESULTS]:
            data = ModelCardData(**{**values, RESULTS: [entry]})
            for result in data.eval_results or []:
                number = result.metric_value
                if not isinstance(number, str) and not math.isfinite(number):
                    raise CardError(
                        f"the {RESULTS} of README.md holds {number} for {result.metric_type}; measure again"
                    )
    except (ValueError, TypeError, AttributeError) as error:
        raise CardError(f"the {RESULTS} of README.md is damaged: {message_of(error)}; correct it") from error
