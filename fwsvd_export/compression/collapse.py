"""Whether a plan is predicted to leave nothing of the task: its predicted losses, against what guessing costs.

With kfac a predicted loss is a rise of the task's loss for one example, in the loss's own unit, so the losses of all
layers add up to the rise that the whole plan is predicted to cost. A model that says the same of every text costs a
known rise. The word embeddings are left out: most of their loss is that of words which no calibration text has.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from fwsvd_export.architectures.encoder import IDS, Encoder
from fwsvd_export.data.batches import LABEL_KEYS
from fwsvd_export.fisher.hooks import eval_mode
from fwsvd_export.ranks.choices import smallest_ratio
from fwsvd_export.records import Budget, Kronecker, RankPlan, Solution
from fwsvd_export.wording import counted

if TYPE_CHECKING:
    from fwsvd_export.compression.inputs import Inputs

RATIOS = 1000  # a ratio is advised in thousandths
SPREAD_TEXTS = 256  # about so many forward passes for the spread of a regression's predictions


@dataclass(frozen=True)
class Guessing:
    """What a model costs that says the same of every text.

    Attributes:
        loss: rise of one decision's loss: nats, or squared units of a regression.
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
        which guessing has no known cost.
    """
    guessing = guessing_of(inputs) if inputs.solver.norm is Kronecker else None
    if guessing is None:
        return None
    predicted = guessing.decisions * sum(solution.loss for solution in solutions.values())
    if predicted <= guessing.loss:
        return None

    def is_sane(thousandths: int) -> bool:
        ranks = plan_at(Budget(ratio=thousandths / RATIOS)).ranks
        curves = ((solutions[name].losses, rank) for name, rank in ranks.items() if rank is not None)
        losses = (float(curve[rank]) for curve, rank in curves if curve is not None)
        return guessing.decisions * sum(losses) <= guessing.loss

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
    """What guessing costs a model's head; None where that is not known."""
    encoder, statistics = inputs.encoder, inputs.statistics
    config, ending = encoder.model.config, encoder.head.ending
    if ending == "ForTokenClassification" and statistics is not None:
        return _of_classes(config.num_labels, statistics.tokens / statistics.examples, " per token")
    if ending != "ForSequenceClassification":
        return None
    problem = getattr(config, "problem_type", None)
    if problem == "multi_label_classification":
        return Guessing(math.log(2), f"log 2 for each of {counted(config.num_labels, 'label')}", config.num_labels)
    if problem == "regression" or (problem is None and config.num_labels == 1):
        spread = 0.0 if inputs.texts is None else spread_of(encoder, list(inputs.texts))
        return Guessing(spread, "the variance of the predictions") if spread > 0 else None
    return _of_classes(config.num_labels)


def spread_of(encoder: Encoder, texts: Sequence[Mapping[str, Any]]) -> float:
    """The variance of a regression's predictions over some batches of all lengths: the cost of predicting the mean."""
    step = max(1, sum(len(batch[IDS]) for batch in texts) // SPREAD_TEXTS)
    predictions = []
    with eval_mode(encoder.model), torch.no_grad():
        for batch in texts[::step]:
            inputs = {name: value.to(encoder.device) for name, value in batch.items() if name not in LABEL_KEYS}
            predictions.append(encoder.model(**inputs, return_dict=True).logits.float())
    return float(torch.cat(predictions).var(dim=0, correction=0).mean())


def _of_classes(classes: int, decisions: float = 1.0, where: str = "") -> Guessing | None:
    """The logarithm of the number of classes; None for a single one, of which nothing can be guessed."""
    return Guessing(math.log(classes), f"log {classes}{where}", decisions) if classes > 1 else None
