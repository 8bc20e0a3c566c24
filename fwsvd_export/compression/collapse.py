"""Whether a plan is predicted to leave nothing of the task: its predicted losses, against what guessing costs.

With kfac a predicted loss is a rise of the task's loss for one example, in the loss's own unit (at the temperature of
the statistics), so the losses of all layers add up to the rise that the whole plan is predicted to cost. A model that
says the same of every text costs what predictions differ by from their mean. The word embeddings are left out: most of
their loss is that of words which no calibration text has.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.inputs import IDS
from fwsvd_export.fisher.hooks import eval_mode
from fwsvd_export.fisher.predict import predict
from fwsvd_export.fisher.targets import Prediction
from fwsvd_export.ranks.choices import smallest_ratio
from fwsvd_export.records import Budget, Kronecker, RankPlan, Solution

if TYPE_CHECKING:
    from fwsvd_export.compression.inputs import Inputs

RATIOS = 1000  # a ratio is advised in thousandths
SPREAD_TEXTS = 256  # about so many forward passes for the spread of predictions
_HEADS = ("ForSequenceClassification", "ForTokenClassification")


@dataclass(frozen=True)
class Guessing:
    """What a model costs that says the same of every text.

    Attributes:
        loss: rise of one decision's loss, at the temperature of the statistics: nats, or squared units of a regression.
        why: what it is, for a sentence.
        decisions: how many an example has whose mean is its loss; a predicted loss is so many times too small, because
            the Fisher of a mean of n independent decisions is n times smaller than the mean of their Fishers.
    """

    loss: float
    why: str
    decisions: float = 1.0


def collapse_of(inputs: Inputs, solutions: Mapping[str, Solution], plan_at: Callable[[Budget], RankPlan]) -> str | None:
    """One sentence when the losses add up to more than guessing costs, with the smallest ratio at which they do not.

    Args:
        inputs: what is compressed, and how.
        solutions: layer name -> what the solver found under the plan.
        plan_at: the plan under another budget.

    Returns:
        None when they add up to less, with a method whose losses are not rises of the task's loss, and for heads for
        which guessing has no known cost, or without texts.
    """
    guessing = guessing_of(inputs) if inputs.solver.norm is Kronecker else None
    if guessing is None:
        return None
    predicted = guessing.decisions * sum(solution.loss for solution in solutions.values())
    if predicted <= guessing.loss:
        return None

    def is_sane(thousandths: int) -> bool:
        plan = plan_at(Budget(ratio=thousandths / RATIOS))
        loss = plan.loss
        if loss is None:
            curves = ((solutions[name].losses, rank) for name, rank in plan.ranks.items() if rank is not None)
            loss = sum(float(curve[rank]) for curve, rank in curves if curve is not None)
        return guessing.decisions * loss <= guessing.loss

    least = math.ceil(smallest_ratio(inputs.encoder.layers, inputs.size.limits) * RATIOS)
    advice = "no ratio does better under these limits of the ranks"
    if is_sane(RATIOS):
        enough = bisect_left(range(RATIOS), True, lo=least, key=is_sane)
        advice = f"ask for a ratio of at least {enough / RATIOS:g}"
    return (
        f"The predicted losses add up to {predicted:.3g}, and guessing costs {guessing.loss:.3g} ({guessing.why}): the "
        f"model will hardly know its task any more; {advice}."
    )


def guessing_of(inputs: Inputs) -> Guessing | None:
    """What guessing costs a model's head; None where that is not known, or there are no texts to see it on."""
    encoder, statistics, texts = inputs.encoder, inputs.statistics, inputs.texts
    if encoder.head.ending not in _HEADS or statistics is None or texts is None:
        return None
    temperature = statistics.source.temperature
    predictions = _predictions(encoder, list(texts), temperature)
    decisions, why = 1.0, f"what predictions at temperature {temperature:g} differ by from their mean"
    if predictions.kind == "gaussian":
        why = "the variance of the predictions"
    elif predictions.kind == "bernoulli":
        decisions = float(predictions.values.shape[-1])
    elif encoder.head.predicts == "tokens":
        decisions = statistics.tokens / statistics.examples
    loss = spread_of(predictions)
    return Guessing(loss, why, decisions) if loss > 0 else None


def spread_of(predictions: Prediction) -> float:
    """How far predictions are from their mean, for one decision: what it costs to predict the mean everywhere.

    Args:
        predictions: (decisions, 1, classes or dimensions).

    Returns:
        The mean Kullback-Leibler divergence of the classes' probabilities from their mean (the Jensen-Shannon
        divergence, Lin 1991), or the variance of numbers.
    """
    values = predictions.values.double()
    if predictions.kind == "gaussian":
        return float(values.flatten(0, 1).var(dim=0, correction=0).mean())
    if predictions.kind == "bernoulli":
        chances = values.sigmoid().flatten(0, 1)
        chances = torch.stack([chances, 1 - chances], dim=-1)  # (examples, labels, yes or no)
    else:
        chances = values.softmax(dim=-1).flatten(0, 1)
    spread = torch.special.entr(chances.mean(dim=0)).sum(dim=-1) - torch.special.entr(chances).sum(dim=-1).mean(dim=0)
    return float(spread.mean())


def _predictions(encoder: Encoder, texts: Sequence[Mapping[str, Any]], temperature: float) -> Prediction:
    """Of some batches of all lengths, one decision after the other: (decisions, 1, classes or dimensions)."""
    step = max(1, sum(len(batch[IDS]) for batch in texts) // SPREAD_TEXTS)
    found = []
    with eval_mode(encoder.model), torch.no_grad():
        for batch in texts[::step]:
            (part,) = predict(encoder, batch, temperature)
            values = part.values.float()
            found.append(values.flatten(0, 1) if part.present is None else values[part.present])
    return replace(part, values=torch.cat(found)[:, None], labels=None, present=None)
