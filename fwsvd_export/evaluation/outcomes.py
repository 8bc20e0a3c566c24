"""What a model said of every example, beside what it should have said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Outcomes:
    """What should have been said of every example, and what was.

    Attributes:
        references: class numbers, numbers, 0 or 1 per class, tags of the words with a label, or questions.
        predictions: likewise; of questions the texts of the answers.
    """

    references: list[Any] = field(default_factory=list)
    predictions: list[Any] = field(default_factory=list)

    def add(self, references: list[Any], predictions: list[Any]) -> None:
        """Some more examples."""
        self.references.extend(references)
        self.predictions.extend(predictions)

    def at(self, places: list[int]) -> Outcomes:
        """Those of some examples, in the order of their places."""
        return Outcomes(*([side[place] for place in places] for side in (self.references, self.predictions)))
