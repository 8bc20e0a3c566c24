"""What a folder has beside configuration and weights, for a folder that is made from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fwsvd_export.checkpoints.sentence_modules import SentenceModules


@dataclass(frozen=True)
class Carried:
    """Files that are carried over as they are.

    Attributes:
        tokenizer_files: of one folder; none for a model without a tokenizer.
        modules: of sentence-transformers; None for a model that is not one of its own.
    """

    tokenizer_files: tuple[Path, ...] = ()
    modules: SentenceModules | None = None
