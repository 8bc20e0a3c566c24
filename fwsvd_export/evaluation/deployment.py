"""What to deploy: the cheapest of ratios, word embeddings, widths and runtimes whose metric is near the dense one's.

Sizes of one kind are bisected, then single steps are taken from the best as long as they pay (a coordinate descent).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from fwsvd_export.evaluation.difference import Difference

MOST_TRIALS = 20


@dataclass(frozen=True)
class Deployment:
    """One model under one runtime.

    Attributes:
        ratio: of the linear weights.
        embeddings: share of the word embeddings' weights; 1 keeps them.
        widths: "auto" or "keep".
        runtime: that runs the exported graph.
    """

    ratio: float
    embeddings: float
    widths: str
    runtime: str


@dataclass(frozen=True)
class DeploymentTrial:
    """What was measured of a deployment.

    Attributes:
        deployment: whose.
        value: the metric on the validation data, of the exported graph under its runtime.
        difference: from the dense model's.
        kept: whether the accuracy target is met.
        cost: what is to be small.
        file_bytes: of what the runtime reads.
        speedup: over the dense model in float under onnxruntime.
    """

    deployment: Deployment
    value: float
    difference: Difference
    kept: bool
    cost: float
    file_bytes: int
    speedup: float


@dataclass(frozen=True)
class Space:
    """What may be deployed, every list from large to small, or from what is likely to be cheap to what is not.

    Attributes:
        ratios: falling.
        embeddings: falling.
        widths: the usual ones first.
        runtimes: the ones that are likely to be cheap first.
    """

    ratios: tuple[float, ...]
    embeddings: tuple[float, ...]
    widths: tuple[str, ...]
    runtimes: tuple[str, ...]

    def steps(self, start: Deployment) -> Iterator[Deployment]:
        """Deployments that may be cheaper than one: those that change one thing, then those that trade two."""
        yield from (replace(start, runtime=name) for name in self.runtimes)
        ratio, share = self.ratios.index(start.ratio), self.embeddings.index(start.embeddings)
        for more, fewer in ((0, 1), (1, 0), (-1, 1), (-2, 1), (-1, 2), (1, -1), (2, -1)):
            if 0 <= ratio + more < len(self.ratios) and 0 <= share + fewer < len(self.embeddings):
                yield replace(start, ratio=self.ratios[ratio + more], embeddings=self.embeddings[share + fewer])
        yield from (replace(start, widths=name) for name in self.widths)


@dataclass(frozen=True)
class DeploymentSearch:
    """The outcome: the cheapest deployment that met the target, or the one with the best metric when none did."""

    best: DeploymentTrial
    trials: tuple[DeploymentTrial, ...]

    @property
    def kept(self) -> bool:
        """Whether one did."""
        return self.best.kept


Measure = Callable[[Deployment], DeploymentTrial]


def cheapest_within(
    space: Space, measure: Measure, estimate: Callable[[Deployment], float], most: int = MOST_TRIALS
) -> DeploymentSearch:
    """Finds the cheapest deployment that meets an accuracy target, in few trials.

    The metric is taken to rise with the ratio and with the embeddings' share, as it does but for noise: what is smaller
    than something that missed the target, under the same runtime and with the same widths, is not tried.

    Args:
        space: what may be deployed.
        measure: makes a deployment and measures it.
        estimate: of a deployment's cost, known before; a trade of two things is tried where it is lower.
        most: trials.

    Example:
        >>> space = Space((0.5, 0.25, 0.1), (1.0,), ("auto",), ("int8", "float"))
        >>> def measure(deployment: Deployment) -> DeploymentTrial:
        ...     drop = 0.002 / deployment.ratio
        ...     seen = Difference("dense", -drop, -drop, -drop, 0.95, 300, dense=0.9)
        ...     return DeploymentTrial(deployment, 0.9 - drop, seen, drop <= 0.01, deployment.ratio, 1, 1.0)
        >>> found = cheapest_within(space, measure, lambda deployment: deployment.ratio)
        >>> found.best.deployment.ratio, found.kept
        (0.25, True)
    """
    trials: dict[Deployment, DeploymentTrial] = {}

    def tried(deployment: Deployment) -> DeploymentTrial:
        if deployment not in trials:
            trials[deployment] = measure(deployment)
        return trials[deployment]

    best = None
    for runtime in space.runtimes:
        if best is None:
            best = _smallest(space, runtime, tried, most - len(trials))
    while best is not None and len(trials) < most:
        step = next((step for step in space.steps(best.deployment) if _pays(step, best, trials, estimate)), None)
        if step is None:
            break
        found = tried(step)
        if found.kept and found.cost < best.cost:
            best = found
    nearest = max(trials.values(), key=lambda trial: trial.difference.low)
    return DeploymentSearch(nearest if best is None else best, tuple(trials.values()))


def _smallest(
    space: Space, runtime: str, tried: Callable[[Deployment], DeploymentTrial], most: int
) -> DeploymentTrial | None:
    """The trial of the smallest ratio that meets the target under a runtime, all else as it usually is."""
    best, low, high = (
        None,
        -1,
        len(space.ratios),
    )  # the one before the first is taken to meet it, that after the last not
    for _ in range(most):
        if high - low <= 1:
            break
        middle = (low + high) // 2
        trial = tried(Deployment(space.ratios[middle], space.embeddings[0], space.widths[0], runtime))
        if trial.kept:
            best, low = trial, middle
        else:
            high = middle
    return best


def _pays(
    step: Deployment,
    best: DeploymentTrial,
    trials: dict[Deployment, DeploymentTrial],
    estimate: Callable[[Deployment], float],
) -> bool:
    """Whether a deployment is worth a trial: new, not smaller than one that missed, and perhaps cheaper."""
    if step in trials:
        return False
    for missed in (trial.deployment for trial in trials.values() if not trial.kept):
        alike = (missed.runtime, missed.widths) == (step.runtime, step.widths)
        if alike and step.ratio <= missed.ratio and step.embeddings <= missed.embeddings:
            return False
    other = (step.runtime, step.widths) != (best.deployment.runtime, best.deployment.widths)
    return other or estimate(step) < estimate(best.deployment)


def efficient(points: Sequence[tuple[float, float]]) -> list[int]:
    """Places of the points that none other beats: none is as good and cheaper, or better and as cheap (Pareto).

    Args:
        points: a metric, of which more is better, and a cost each.

    Returns:
        From the cheapest on.

    Example:
        >>> efficient([(0.9, 3.0), (0.8, 2.0), (0.7, 2.5)])
        [1, 0]
    """
    found: list[int] = []
    for place in sorted(range(len(points)), key=lambda place: (points[place][1], -points[place][0])):
        if not found or points[place][0] > points[found[-1]][0]:
            found.append(place)
    return found
