"""How far a changed model's predictions are from the dense model's, in the loss's unit: what norms approximate."""

from __future__ import annotations

import torch
from torch import Tensor

from fwsvd_export.fisher.targets import SQUARED_ERROR_DEVIATION, Prediction, mean_of


def divergences(before: list[Prediction], after: list[Prediction]) -> Tensor:
    """Expected rise of every example's loss when labels are drawn from the first model's prediction, (examples).

    It is the Kullback-Leibler divergence of the two predictions, in the unit of the losses (see ``example_losses``),
    whose second-order expansion is half the Fisher's quadratic form (Martens 2020, arXiv 1412.1193, section 5). A loss
    that is the mean of n decisions (an answer's two ends, every token's label, several labels) has a Fisher n times
    smaller than that, because their labels are drawn independently.

    Args:
        before: predictions of the dense model on a batch.
        after: of the changed model on the same batch.
    """
    rises = torch.stack([_divergence(*pair) for pair in zip(before, after, strict=True)])
    scale = 0.5 if len(before) == 2 and all(prediction.values.shape[1] == 1 for prediction in before) else 1.0
    return scale * rises.sum(dim=0)


def _divergence(before: Prediction, after: Prediction) -> Tensor:
    old, new = before.values.float(), after.values.float()
    if before.kind == "gaussian":
        return (old - new).square().mean(dim=(1, 2)) / (2 * SQUARED_ERROR_DEVIATION**2)
    if before.kind == "bernoulli":
        log_odds = torch.nn.functional.logsigmoid(old) - torch.nn.functional.logsigmoid(new)
        against = torch.nn.functional.logsigmoid(-old) - torch.nn.functional.logsigmoid(-new)
        chance = old.sigmoid()
        return mean_of(chance * log_odds + (1 - chance) * against, before.present)
    positions = (old.softmax(dim=-1) * (old.log_softmax(dim=-1) - new.log_softmax(dim=-1))).nan_to_num(0).sum(dim=-1)
    return mean_of(positions[..., None], before.present)
