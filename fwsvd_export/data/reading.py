"""What became of the rows that were read: how many were left out, and how many texts were cut."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from fwsvd_export.errors import DataWarning


@dataclass(frozen=True)
class Reading:
    """What became of the chosen rows of one data set.

    Attributes:
        name: of the data.
        rows: that were chosen.
        limit: tokens at most per example, special tokens counted.
        model_limit: tokens that the model takes.
        skipped: why rows were left out -> how many.
        first_skipped: the sentence about the first of them.
        cut: examples that were longer than the limit.
        longest: tokens of the longest of those before it was cut; 0 where none was.
    """

    name: str
    rows: int
    limit: int
    model_limit: int
    skipped: Mapping[str, int] = field(default_factory=dict)
    first_skipped: str = ""
    cut: int = 0
    longest: int = 0

    def __add__(self, other: Reading) -> Reading:
        """Of two parts of one data set."""
        return Reading(
            self.name,
            self.rows + other.rows,
            self.limit,
            self.model_limit,
            Counter(self.skipped) + Counter(other.skipped),
            self.first_skipped or other.first_skipped,
            self.cut + other.cut,
            max(self.longest, other.longest),
        )

    @property
    def left_out(self) -> int:
        """Rows that were left out."""
        return sum(self.skipped.values())

    def warn(self) -> None:
        """Warns of rows that were left out, and of texts that were cut."""
        for sentence in self._sentences():
            warnings.warn(sentence, DataWarning, stacklevel=2)

    def _sentences(self) -> list[str]:
        found = []
        if self.skipped:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.skipped.items())
            found.append(
                f"{self.left_out:,} of {self.rows:,} rows of {self.name} {_were(self.left_out)} left out: {reasons}; "
                f"the first: {self.first_skipped}."
            )
        if self.cut:
            used = self.rows - self.left_out
            if self.limit == self.model_limit:
                advice = f"the model takes no more than {self.model_limit:,}"
            elif self.longest <= self.model_limit:
                advice = f"--max-length {self.longest} keeps all of them whole"
            else:
                advice = f"the model takes up to --max-length {self.model_limit}"
            found.append(
                f"{self.cut:,} of {used:,} texts of {self.name} {_were(self.cut)} cut at {self.limit:,} tokens, "
                f"the longest has {self.longest:,}; {advice}."
            )
        return found


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
