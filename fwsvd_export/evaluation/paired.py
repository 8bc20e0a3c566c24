"""How far one model's metric is from another's, and how sure that is: a paired bootstrap over examples.

Both models are scored on the same resamples, so that what makes examples easy or hard for both cancels out (Koehn 2004,
"Statistical significance tests for machine translation evaluation"). The interval is the BCa one of Efron and
Tibshirani (1993, "An introduction to the bootstrap", chapter 14), not the percentile one: a compressed model changes
few answers, their number is skewed, and percentiles then promise too much. With one answer of n lost and none won, the
exact bound at 95 % is 5.6 / n; BCa gives 6 / n, percentiles 3 / n.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fwsvd_export.data.tasks import Task
from fwsvd_export.errors import DataError, MissingExtraError
from fwsvd_export.evaluation.difference import CONFIDENCE, Difference, Interval, check_confidence
from fwsvd_export.evaluation.lost_answers import largest_cost
from fwsvd_export.evaluation.metrics import measured, names_of
from fwsvd_export.evaluation.outcomes import Outcomes
from fwsvd_export.evaluation.resampled import Array, metrics_of
from fwsvd_export.evaluation.scores import Names
from fwsvd_export.records import Measurement
from fwsvd_export.runtime.progress import Steps, silent, tracked

RESAMPLES = 2000  # the ends of an interval at 95 % then rest on 50 of them
_AT_ONCE = 2**17  # examples in the resamples that are worked on together: they stay in a processor's cache
_LARGEST_JACKKNIFE = 20_000  # examples; BCa leaves them out one at a time, which costs their number squared
_DIGITS = 12  # differences that are equal but for rounding count as equal


@dataclass(frozen=True)
class Scored:
    """A model's metric, and what it said of every example.

    Attributes:
        measurement: as ``evaluate_model`` gives it.
        task: that was scored.
        numbers: of the examples, ascending.
        outcomes: in their order.
        names: of the model's classes.
    """

    measurement: Measurement
    task: Task
    numbers: tuple[int, ...]
    outcomes: Outcomes
    names: Names


def scored(
    model: Any, batches: Sequence[dict[str, Tensor]], task: Task, steps: Steps = silent, what: str = "evaluating"
) -> Scored:
    """As ``metrics.evaluate_model``, which has the same errors, keeping what the model said of every example.

    Args:
        model: in evaluation mode; a torch model, or one that is called like it.
        batches: with labels. ``Batches`` know the numbers of their examples, whatever the tokenizer that sorted them;
            the examples of others are counted.
        task: names the metric.
        steps: progress.
        what: what progress calls it.
    """
    measurement, outcomes = measured(model, tracked(batches, len(batches), what, steps), task, batches)
    if task.labels == "span":
        numbers = [question.number for question in outcomes.references]
    elif task.labels in ("retrieval", "rank"):
        numbers = list(range(measurement.examples))  # of the queries
    else:
        numbers = list(getattr(batches, "indices", range(measurement.examples)))
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    ascending = tuple(numbers[place] for place in order)
    return Scored(measurement, task, ascending, outcomes.at(order), names_of(model, task))


def paired_difference(
    ours: Scored, dense: Scored, against: str, confidence: float = CONFIDENCE, seed: int = 0
) -> Difference:
    """One model's metric less another's, with an interval over the examples that both were scored on.

    Args:
        ours: the model in question.
        dense: what it is compared with, scored on the same examples.
        against: what the result calls that one.
        confidence: of the two-sided interval, above 0.5 and below 1.
        seed: of the resamples, which are the same for all models that were scored on these examples.

    Raises:
        DataError: other examples, other labels, or a confidence that is not allowed.
        MissingExtraError: SciPy is not installed.

    Example:
        >>> from fwsvd_export.data.tasks import TASKS
        >>> right, wrong = ([0, 1] * 50, [0, 1] * 45 + [1, 0] * 5)
        >>> dense = Scored(Measurement("accuracy", 1.0, 100, 0.0), TASKS["sst2"], tuple(range(100)),
        ...     Outcomes(right, right), {})
        >>> ours = Scored(Measurement("accuracy", 0.9, 100, 0.0), TASKS["sst2"], dense.numbers,
        ...     Outcomes(right, wrong), {})
        >>> print(paired_difference(ours, dense, "dense"))
        -0.1000 [-0.1700, -0.0500]
        >>> print(paired_difference(dense, dense, "itself"))
        +0.0000 [+0.0000, +0.0000]
    """
    check_confidence(confidence)
    dense = _renumbered(dense, ours.names)
    _check_same_examples(ours, dense)
    values = [{found.metric: found.value, **found.beside} for found in (ours.measurement, dense.measurement)]
    names = list(values[0])
    ends = _ends(ours, dense, names, confidence, seed)
    intervals = {
        name: Interval(values[0][name] - values[1][name], float(low), float(high))
        for name, low, high in zip(names, *ends, strict=True)
    }
    main = intervals.pop(ours.measurement.metric)
    return Difference(
        against=against,
        value=main.value,
        low=main.low,
        high=main.high,
        confidence=confidence,
        examples=len(ours.numbers),
        dense=dense.measurement.value,
        beside=intervals,
        changed=sum(map(operator.ne, ours.outcomes.predictions, dense.outcomes.predictions)),
        against_sha256=dense.measurement.sha256,
        largest_cost=largest_cost(ours.task, ours.outcomes),
    )


def _renumbered(found: Scored, names: Names) -> Scored:
    """A model's outcomes with the class numbers that another model has for the same names.

    What depends on numbers, as which class an F1 is of, is worked out again.
    """
    numbers = {name: number for number, name in names.items()}
    there = {number: numbers.get(name, number) for number, name in found.names.items()}
    if found.task.labels not in ("class", "multilabel") or all(old == new for old, new in there.items()):
        return found
    outcomes = Outcomes(*([_moved(answer, there) for answer in side] for side in _sides(found.outcomes)))
    once = np.ones((1, len(found.numbers)))
    values = {name: float(value[0]) for name, value in metrics_of(found.task, outcomes)(once).items()}
    main = found.measurement.metric
    beside = {name: values[name] for name in found.measurement.beside}
    measurement = replace(found.measurement, value=values[main], beside=beside)
    return replace(found, measurement=measurement, outcomes=outcomes, names=names)


def _moved(answer: Any, there: dict[int, int]) -> Any:
    """A class number, or 0 or 1 for every class, in another numbering."""
    if not isinstance(answer, list):
        return there.get(answer, answer)
    moved = list(answer)
    for old, new in there.items():
        moved[new] = answer[old]
    return moved


def _sides(outcomes: Outcomes) -> tuple[list[Any], list[Any]]:
    return outcomes.references, outcomes.predictions


def _check_same_examples(ours: Scored, dense: Scored) -> None:
    """Refuses a comparison over different examples, or of different labels of one."""
    if ours.numbers != dense.numbers:
        raise DataError(
            f"the two models were scored on different examples ({len(ours.numbers):,} and {len(dense.numbers):,}), and "
            "a difference is taken over the same ones: score both on the same rows"
        )
    sides = (ours.outcomes.references, dense.outcomes.references)
    wrong = next((place for place, pair in enumerate(zip(*sides, strict=True)) if pair[0] != pair[1]), None)
    if wrong is not None:
        raise DataError(
            f"the two models were scored on different labels of example {ours.numbers[wrong] + 1:,}: give both the "
            "same classes (--label-names, --label-map) and room for whole examples (--max-length)"
        )


def _ends(ours: Scored, dense: Scored, names: Sequence[str], confidence: float, seed: int) -> tuple[Array, Array]:
    """Both ends of the intervals of the differences of some metrics: (metrics) each."""
    try:
        from scipy.stats import DegenerateDataWarning, bootstrap
    except ModuleNotFoundError as error:
        raise MissingExtraError("scipy", "train") from error
    examples, sides = len(ours.numbers), [metrics_of(scored.task, scored.outcomes) for scored in (ours, dense)]

    def differences(places: NDArray[np.int64], axis: int = -1) -> Array:
        """(metrics, …) the differences of resamples, given by the places of their examples: (metrics, …, examples).

        The places are the same for all metrics.
        """
        shared = places[0]
        weights = _counted(shared.reshape(-1, shared.shape[-1]), examples)
        left, right = (metrics(weights) for metrics in sides)
        found = np.stack([left[name] - right[name] for name in names])
        return np.round(found, _DIGITS).reshape(places.shape[:-1])

    data = np.broadcast_to(np.arange(examples), (len(names), examples))
    if examples == 1:  # which every resample consists of
        only = differences(data)
        return only, only
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)
        warnings.simplefilter("ignore", RuntimeWarning)  # of the same: a spread of zero
        found = bootstrap(
            (data,),
            differences,
            n_resamples=RESAMPLES,
            batch=max(1, _AT_ONCE // examples),
            vectorized=True,
            axis=-1,
            confidence_level=confidence,
            method="BCa" if examples <= _LARGEST_JACKKNIFE else "percentile",
            random_state=np.random.default_rng(seed),
        )
    plain = np.quantile(found.bootstrap_distribution, [(1 - confidence) / 2, (1 + confidence) / 2], axis=-1)
    # BCa has no ends where no example alone changes anything, or all resamples lie on one side
    low, high = (
        np.where(np.isfinite(end), end, other) for end, other in zip(found.confidence_interval, plain, strict=True)
    )
    return low, high


def _counted(places: NDArray[np.int64], examples: int) -> Array:
    """(resamples, examples) how often each example is among the places of each resample."""
    rows = len(places)
    flat = (places + np.arange(rows)[:, None] * examples).ravel()
    return np.bincount(flat, minlength=rows * examples).reshape(rows, examples).astype(float)
