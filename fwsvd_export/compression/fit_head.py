"""Behind the last encoder layer: pooler and head are fitted to the hidden states that the compressed model has.

They were trained on the dense model's. The compressed model's are nearer to their mean, as those of every regression
are, so that what the head reads from them is too small. Its weights are not compressed, and are chosen anew for

    min over θ of the mean over texts of KL(dense model || θ(h')) + λ/2 |θ - θ₀|²,

with h' the hidden states of the compressed model and θ₀ the weights that the head had: convex for a head of one linear
layer, solved by L-BFGS (Liu & Nocedal 1989). λ is the one with which texts that were held out come closest to the dense
model, and where none comes closer than θ₀, the head stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.head_alone import HeadAlone
from fwsvd_export.compression.states import HiddenStates
from fwsvd_export.fisher.divergence import divergences
from fwsvd_export.fisher.predict import predictions_in
from fwsvd_export.fisher.targets import Prediction

PULLS = (1e-1, 1e-2, 1e-3, 1e-4)  # λ, in nats per squared unit of a weight; from the strongest on
HELD_OUT = 5  # of so many texts one
FEWEST_TEXTS = 100  # with fewer, those held out could not tell which λ is best
ITERATIONS = 20  # of L-BFGS for each λ, from where the λ before ended
_PREDICTING_WORDS = ("ForMaskedLM", "ForPreTraining")


@torch.no_grad()
def fit_head(dense: Encoder, small: Encoder, before: HiddenStates, after: HiddenStates) -> float | None:
    """Fits pooler and head of the compressed model in place.

    Heads without weights of their own, those that share them with the word embeddings (language models) and those that
    need several sequences at once (multiple choice) stay as they are.

    Args:
        dense: of the model it was made from, in evaluation mode.
        small: of the compressed model, in evaluation mode.
        before: what leaves the dense model's last encoder layer, (sequences, length, width) per pack.
        after: what leaves the compressed model's.

    Returns:
        λ, or None where the head stays as it was.
    """
    head = dense.head
    if head.predicts == "embedding" or head.has_choices or head.ending in _PREDICTING_WORDS:
        return None
    if sum(len(states) for states in after) < FEWEST_TEXTS:
        return None
    right, own = HeadAlone(dense), HeadAlone(small)
    wanted = [predictions_in(dense, right(states), {}) for states in before]
    pull = _Fit(small, own, after, wanted).run()
    if pull is not None:
        for name, fitted in own.parameters.items():
            small.model.get_parameter(name).copy_(fitted)
    return pull


class _Fit:
    """The problem, and where its parameters are.

    Args:
        encoder: of the compressed model.
        head: of the compressed model.
        states: that it is given, pack for pack.
        wanted: the dense model's predictions, pack for pack.
    """

    def __init__(
        self, encoder: Encoder, head: HeadAlone, states: HiddenStates, wanted: Sequence[list[Prediction]]
    ) -> None:
        self._encoder, self._head, self._states, self._wanted = encoder, head, states, wanted
        self._parameters = [parameter.requires_grad_(True) for parameter in head.parameters.values()]
        self._start = self._values()
        counts = [len(predictions[0].values) for predictions in wanted]
        numbers = torch.arange(sum(counts), device=encoder.device)
        self._held_out = (numbers % HELD_OUT == 0).split(counts)

    def run(self) -> float | None:
        """Chooses λ on the texts held out, and fits to all texts with it."""
        best, chosen, found = self._held_out_divergence(), None, self._start
        for pull in PULLS:
            self._minimise(pull, [~held_out for held_out in self._held_out])
            divergence = self._held_out_divergence()
            if not divergence < best:
                break
            best, chosen, found = divergence, pull, self._values()
        for parameter, value in zip(self._parameters, found, strict=True):
            parameter.copy_(value)
        if chosen is not None:
            self._minimise(chosen, [torch.ones_like(held_out) for held_out in self._held_out])
        return chosen

    def _values(self) -> list[Tensor]:
        return [parameter.detach().clone() for parameter in self._parameters]

    def _divergences(self, place: int) -> Tensor:
        """Of every text in a pack, (sequences)."""
        found = predictions_in(self._encoder, self._head(self._states[place]), {})
        return divergences(self._wanted[place], found)

    def _held_out_divergence(self) -> float:
        """A mean over the texts that are held out."""
        found = [self._divergences(place)[kept] for place, kept in enumerate(self._held_out)]
        return float(torch.cat(found).mean())

    @torch.enable_grad()
    def _minimise(self, pull: float, kept: Sequence[Tensor]) -> None:
        """From where the parameters are, on the texts that are kept."""
        optimiser = torch.optim.LBFGS(self._parameters, max_iter=ITERATIONS, line_search_fn="strong_wolfe")
        texts = sum(int(part.sum()) for part in kept)

        def objective() -> Tensor:
            optimiser.zero_grad()
            moved = [(now - then).square().sum() for now, then in zip(self._parameters, self._start, strict=True)]
            total = pull / 2 * torch.stack(moved).sum()
            total.backward()
            for place, part in enumerate(kept):
                loss = self._divergences(place)[part].sum() / texts
                loss.backward()
                total = total.detach() + loss.detach()
            return total

        optimiser.step(objective)
