"""What is said of an accuracy target: how far a model is from the dense one, and why the target is missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fwsvd_export.evaluation.difference import Interval
from fwsvd_export.evaluation.target import ROUNDING, examples_needed
from fwsvd_export.wording import counted

if TYPE_CHECKING:
    from fwsvd_export.workflows.export import Exported


def change_from(base: float | None, value: float | None, low: float | None, high: float | None) -> Interval:
    """The difference of two metrics of a record that was made just now; older ones lack some of it."""
    assert base is not None, "measured just now"
    assert value is not None, "measured just now"
    assert low is not None, "measured just now"
    assert high is not None, "measured just now"
    return Interval(value - base, low, high)


def not_torchs(exported: Exported) -> str:
    """What is said of an ONNX model whose outputs are too far from torch's."""
    allowed, worst = exported.record.check.atol, exported.worst
    return (
        f"The ONNX model is not torch's: at {worst.shape} an output differs by {worst.max_difference:.3g}, --atol "
        f"allows {allowed:g}."
    )


@dataclass(frozen=True)
class Missed:
    """A target that is missed, and the best that was reached.

    Attributes:
        metric: its name.
        change: of it from the dense model's.
        max_drop: that was allowed.
        confidence: that was asked for.
        examples: of the validation data.
    """

    metric: str
    change: Interval
    max_drop: float
    confidence: float
    examples: int

    def sentence(self, where: str) -> str:
        """Whether the metric drops too far or this is only not certain, and what would help.

        Args:
            where: the model that comes nearest: "even at ratio 1".

        Example:
            >>> certain, uncertain = Interval(-0.02, -0.03, -0.01), Interval(-0.004, -0.016, 0.008)
            >>> print(Missed("accuracy", certain, 0.01, 0.95, 500).sentence("even at ratio 1"))
            The accuracy target is missed: even at ratio 1 accuracy drops by more than 0.01.
            >>> print(Missed("accuracy", uncertain, 0.01, 0.95, 500).sentence("even at ratio 1"))
            The accuracy target is missed: at ratio 1 accuracy changes by -0.0040, which would do, but with 95 % \
confidence all that 500 examples show is a change of no less than -0.0160; about 2,000 examples like these would be \
enough, or allow more with --max-drop.
        """
        missed, value, low = "The accuracy target is missed", self.change.value, self.change.low
        if value < -self.max_drop - ROUNDING:
            return f"{missed}: {where} {self.metric} drops by more than {self.max_drop:g}."
        needed = examples_needed(value, low, self.max_drop, self.examples)
        more = "" if needed is None else f"about {needed:,} examples like these would be enough, or "
        sure = f"{100 * self.confidence:g} % confidence"
        return (
            f"{missed}: {where.removeprefix('even ')} {self.metric} changes by {value:+.4f}, which would do, but with "
            f"{sure} all that {counted(self.examples, 'example')} show is a change of no less than {low:+.4f}; "
            f"{more}allow more with --max-drop."
        )
