"""Whether the Hub accepts a model card, checked without it."""

from __future__ import annotations

from fwsvd_export.errors import CardError, first_line


def check_card(text: str) -> None:
    """Reads a card's front matter as the Hub does.

    Args:
        text: the content of README.md.

    Raises:
        CardError: no front matter, or one that cannot be read; the message says what to do.
    """
    from huggingface_hub import ModelCard

    advice = "write the card again"
    if not text.startswith("---\n"):
        raise CardError(f"the card does not begin with front matter between two lines of ---; {advice}")
    try:
        card = ModelCard(text)
    except Exception as error:  # the YAML library raises many kinds
        raise CardError(f"the card's front matter cannot be read: {first_line(error)}; {advice}") from error
    if all(value is None for value in vars(card.data).values()):
        raise CardError(f"the card's front matter is empty; {advice}")
