"""What is minimised: the loss on labels, or how far a model is from its teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.inputs import IDS, LABEL_KEYS, MASK
from fwsvd_export.errors import TrainingError
from fwsvd_export.fisher.divergence import divergences
from fwsvd_export.fisher.predict import predictions_in
from fwsvd_export.training.teacher import Teacher


@dataclass(frozen=True)
class Distillation:
    """The distance of a model's predictions and hidden states from a teacher's.

    The loss of a batch is the mean over examples of the Kullback-Leibler divergence of the predictions (Hinton et al.
    2015, arXiv 1503.02531, at temperature 1; squared error for a regression), plus ``hidden_weight`` times what the
    errors of the hidden states add to it in the Fisher's metric, a mean over encoder layers (``hidden_loss``; the plain
    squared error, as in Jiao et al. 2020, arXiv 1909.10351, also fits what the task does not read), plus
    ``label_weight`` times the loss on labels.

    Attributes:
        teacher: the dense model.
        roots: of the Fisher information of the teacher's hidden states, as ``hidden_state_roots`` gives them; empty
            where the model's have other shapes, which are then not compared.
        hidden_weight: 0 compares no hidden states.
        label_weight: 0 reads no labels.
    """

    teacher: Teacher
    roots: tuple[Tensor, ...] = ()
    hidden_weight: float = 1.0
    label_weight: float = 0.0

    def __call__(self, model: Any, encoder: Encoder, batch: Mapping[str, Tensor]) -> Tensor:
        """The loss of one batch, a scalar with a gradient.

        Args:
            model: that is trained, also in a wrapper that is called like it.
            encoder: of the model.
            batch: on the device of the model.
        """
        labels = {name: values for name, values in batch.items() if name in LABEL_KEYS} if self.label_weight else {}
        inputs = {name: values for name, values in batch.items() if name not in LABEL_KEYS}
        compared = self.hidden_weight > 0 and bool(self.roots)
        right = self.teacher(inputs, compared)
        found = model(**inputs, **labels, output_hidden_states=compared, return_dict=True)
        loss = divergences(right.predictions, predictions_in(encoder, found, inputs)).mean()
        if compared:
            states = found.hidden_states[1:]  # the first is that of the embeddings, which have no factors
            moved = hidden_loss(right.states, states, self.roots, batch.get(MASK), len(batch[IDS]))
            loss = loss + self.hidden_weight * moved
        if self.label_weight:
            loss = loss + self.label_weight * found.loss
        return loss


def hidden_loss(
    before: Sequence[Tensor], after: Sequence[Tensor], roots: Sequence[Tensor], mask: Tensor | None, examples: int
) -> Tensor:
    """By how much the errors of the hidden states move the predictions: a mean over encoder layers, a scalar.

    Args:
        before: the teacher's, every encoder layer's output, (sequences, length, width) each.
        after: the model's.
        roots: as ``hidden_state_roots`` gives them, one for every layer.
        mask: (sequences, length), or with an axis of choices before the last; 0 for padding; None for none.
        examples: in the batch.
    """
    moved = []
    kept = None if mask is None else mask.reshape(-1, mask.shape[-1]).bool()
    for right, found, root in zip(before, after, roots, strict=True):
        error = (found - right).float()
        error = error.flatten(0, -2) if kept is None else error[kept]
        moved.append((error @ root).square().sum() / (2 * examples))
    return torch.stack(moved).mean()


def check_teacher(model: Encoder, teacher: Encoder) -> None:
    """Refuses a teacher whose predictions a model cannot learn: another head, other classes or another vocabulary.

    Raises:
        TrainingError: what the two are.
    """
    ours, theirs = model.model.config, teacher.model.config
    facts = [
        ("head", model.head.ending, teacher.head.ending),
        ("number of outputs", int(ours.num_labels), int(theirs.num_labels)),
        ("classes", _classes(ours), _classes(theirs)),
        ("vocabulary size", model.embedding.out_features, teacher.embedding.out_features),
    ]
    if None not in (ours.problem_type, theirs.problem_type):  # a model learns its own when it sees its first labels
        facts.append(("problem type", ours.problem_type, theirs.problem_type))
    for what, own, other in facts:
        if own != other:
            raise TrainingError(
                f"the teacher's {what} is {other}, and the model's is {own}: a teacher predicts what the model does; "
                "give the dense model that it was compressed from"
            )
    if missing := [name for name in teacher.inputs if name not in model.inputs]:
        raise TrainingError(
            f"the teacher takes {', '.join(missing)} and the model does not; give a teacher of the same architecture"
        )


def has_comparable_states(model: Encoder, teacher: Encoder) -> bool:
    """Whether the hidden states of both have the same shapes: as many layers of the same width."""
    ours, theirs = model.model.config, teacher.model.config
    return (ours.num_hidden_layers, ours.hidden_size) == (theirs.num_hidden_layers, theirs.hidden_size)


def _classes(config: Any) -> str:
    names = config.id2label
    return ", ".join(str(names[index]) for index in sorted(names)) if isinstance(names, Mapping) else str(names)
