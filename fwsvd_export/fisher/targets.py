"""What a model predicts, as log-likelihoods: per-example losses for labels from the data or drawn from the model.

The losses are those of transformers' heads for a batch of one example (cross-entropy averaged over the example's
labelled positions, mean squared error, binary cross-entropy), so a batch's gradients are per-example gradients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from fwsvd_export.architectures.embed import Embed, mean_pooled
from fwsvd_export.architectures.inputs import IGNORED_LABEL
from fwsvd_export.errors import DataError, UnsupportedModelError
from fwsvd_export.fisher.draws import uniform_numbers

# Mean squared error is the negative log-likelihood of a Gaussian with this standard deviation, up to a constant.
SQUARED_ERROR_DEVIATION = 0.5**0.5


@dataclass(frozen=True)
class Prediction:
    """One prediction of a batch.

    Attributes:
        kind: "categorical" (logits), "gaussian" (means) or "bernoulli" (logits).
        values: (examples, positions, classes or dimensions).
        labels: as the batch has them: (examples, positions) class numbers, or values' shape, where an axis of one
            position may be missing; None when the batch has none.
        present: (examples, positions) bool, where sampled labels are drawn; None for everywhere.
        named: what the batch calls the labels.
    """

    kind: str
    values: Tensor
    labels: Tensor | None
    present: Tensor | None = None
    named: str = "labels"


def predictions_of(
    predicts: str, config: Any, outputs: Any, batch: Mapping[str, Tensor], embed: Embed = mean_pooled
) -> list[Prediction]:
    """The predictions of one forward pass; their losses add up.

    Args:
        predicts: the head's kind, from the families table.
        config: the model's configuration (``problem_type``, ``num_labels``).
        outputs: what the model returned.
        batch: what it was given, labels included.
        embed: how the hidden states of a bare encoder become its prediction.
    """
    labels = batch.get("labels")
    mask = batch.get("attention_mask")
    present = None if mask is None else mask.bool()
    if predicts == "sequence":
        return [_sequence_prediction(config, outputs.logits, labels)]
    if predicts == "tokens":
        return [Prediction("categorical", outputs.logits, labels, present)]
    if predicts == "detection":
        return [Prediction("bernoulli", outputs.logits[..., None], labels, present)]
    if predicts == "choice":
        return [_one_position(outputs.logits, labels)]
    if predicts == "span":
        ends = ((outputs.start_logits, "start_positions"), (outputs.end_logits, "end_positions"))
        return [
            _one_position(_without(present, logits), _within(batch.get(name), logits), name) for logits, name in ends
        ]
    if predicts == "pretraining":
        words = Prediction("categorical", outputs.prediction_logits, labels, present)
        order = "next_sentence_label"
        return [words, _one_position(outputs.seq_relationship_logits, batch.get(order), order)]
    if predicts == "embedding":
        return [Prediction("gaussian", embed(outputs.last_hidden_state, mask)[:, None], None)]
    raise UnsupportedModelError(f"no loss is known for a head that predicts {predicts!r}")


def example_losses(
    predictions: list[Prediction], source: str, *, seed: int, indices: Sequence[int], temperature: float = 1.0
) -> Tensor:
    """Loss of every example, (examples) float32.

    Args:
        predictions: of one batch.
        source: "data" or "sampled".
        seed: of sampled labels.
        indices: of the examples in all of the data; what is drawn for an example depends on seed and index alone, so
            that neither batches nor shards change it.
        temperature: logits are divided by it; the mean of a number has none.

    Raises:
        DataError: labels from the data are asked for and the batch has none, or some that the model cannot have.
    """
    predictions = softened(predictions, temperature)
    if source == "sampled":
        drawn = _uniform(predictions, seed, indices)
        predictions = [_with_sampled_labels(*pair) for pair in zip(predictions, drawn, strict=True)]
    losses = []
    for prediction in predictions:
        if prediction.labels is None:
            raise DataError(
                "the batches have no labels; name the label column, or draw labels from the model with --labels sampled"
            )
        losses.append(_losses(prediction))
    scale = 0.5 if len(losses) == 2 and all(p.values.shape[1] == 1 for p in predictions) else 1.0
    return scale * torch.stack(losses).sum(dim=0)


def softened(predictions: list[Prediction], temperature: float) -> list[Prediction]:
    """With logits divided by a temperature (Hinton et al. 2015, arXiv 1503.02531); the mean of a number has none."""
    return [
        prediction if prediction.kind == "gaussian" else replace(prediction, values=prediction.values / temperature)
        for prediction in predictions
    ]


def _within(positions: Tensor | None, logits: Tensor) -> Tensor | None:
    """Answer positions with those that were cut off with the end of the text marked as ignored, as the head does."""
    return None if positions is None else positions.masked_fill(positions >= logits.shape[-1], IGNORED_LABEL)


def _one_position(logits: Tensor, labels: Tensor | None, named: str = "labels") -> Prediction:
    return Prediction("categorical", logits[:, None], labels, named=named)


def _without(present: Tensor | None, logits: Tensor) -> Tensor:
    """An answer's logits with padding ruled out: how long the batch's other examples are does not change a loss."""
    return logits if present is None else logits.masked_fill(~present, -torch.inf)


def _sequence_prediction(config: Any, logits: Tensor, labels: Tensor | None) -> Prediction:
    """The three problem types of a sequence classification head, told apart as transformers does."""
    problem = getattr(config, "problem_type", None)
    if problem is None:
        if logits.shape[-1] == 1:
            problem = "regression"
        elif labels is not None and labels.is_floating_point():
            problem = "multi_label_classification"
        else:
            problem = "single_label_classification"
    if problem == "single_label_classification":
        return _one_position(logits, labels)
    kind = "gaussian" if problem == "regression" else "bernoulli"
    return Prediction(kind, logits[:, None], labels)


def _losses(prediction: Prediction) -> Tensor:
    labels, values = _fitting_labels(prediction), prediction.values.float()
    if prediction.kind == "categorical":
        labelled = labels != IGNORED_LABEL
        losses = functional.cross_entropy(values.transpose(1, 2), labels, ignore_index=IGNORED_LABEL, reduction="none")
        return losses.sum(dim=1) / labelled.sum(dim=1).clamp_min(1)
    if prediction.kind == "gaussian":
        return functional.mse_loss(values, labels, reduction="none").mean(dim=(1, 2))
    losses = functional.binary_cross_entropy_with_logits(values, labels, reduction="none")
    return mean_of(losses, prediction.present)


def mean_of(losses: Tensor, present: Tensor | None) -> Tensor:
    """Of every example, over the positions that are present and all classes.

    Args:
        losses: (examples, positions, classes).
        present: (examples, positions) bool; None for everywhere.
    """
    positions = losses.mean(dim=2)
    if present is None:
        return positions.mean(dim=1)
    counted = present.to(positions.dtype)
    return (positions * counted).sum(dim=1) / counted.sum(dim=1).clamp_min(1)


def _fitting_labels(prediction: Prediction) -> Tensor:
    """The labels as the loss takes them: int64 class numbers, or float32 numbers, of the prediction's shape.

    Raises:
        DataError: another number or type of labels, or a label that the model cannot have.
    """
    labels, values, named = prediction.labels, prediction.values, prediction.named
    assert labels is not None, "the caller checks that labels are there"
    numbers = prediction.kind != "categorical"
    shape = values.shape if numbers else values.shape[:2]
    if labels.numel() != shape.numel() or labels.shape[:1] != shape[:1]:
        needed = tuple(size for axis, size in enumerate(shape) if axis != 1 or size > 1)
        raise DataError(
            f"{named} of the type {_type_name(labels)} have the shape {tuple(labels.shape)}, and this model takes "
            f"{needed}" + ("; for one class per example give class numbers as int64" if numbers else "")
        )
    return _checked_numbers(labels.reshape(shape), prediction) if numbers else _checked_classes(labels, prediction)


def _checked_numbers(labels: Tensor, prediction: Prediction) -> Tensor:
    labels, named = labels.float(), prediction.named
    if not bool(torch.isfinite(labels).all()):
        raise DataError(f"{named} hold NaN or an infinite number; finite ones are needed: leave these examples out")
    if prediction.kind == "bernoulli" and not bool(((labels >= 0) & (labels <= 1)).all()):
        wrong = float(labels[(labels < 0) | (labels > 1)][0])
        raise DataError(f"{named} hold {wrong:g}: 0 or 1 is needed for every class, or a probability between them")
    return labels


def _checked_classes(labels: Tensor, prediction: Prediction) -> Tensor:
    named, classes = prediction.named, prediction.values.shape[-1]
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise DataError(
            f"{named} are {_type_name(labels)}: class numbers from 0 to {classes - 1} are needed as int64; convert "
            "them with .long()"
        )
    labels = labels.reshape(prediction.values.shape[:2]).long()
    wrong = labels[(labels != IGNORED_LABEL) & ((labels < 0) | (labels >= classes))]
    if wrong.numel():
        raise DataError(
            f"{named} hold {int(wrong[0])}: class numbers from 0 to {classes - 1} are needed, or {IGNORED_LABEL} for "
            "no label; number them as the model does (config.id2label)"
        )
    return labels


def _type_name(labels: Tensor) -> str:
    return str(labels.dtype).removeprefix("torch.")


def _with_sampled_labels(prediction: Prediction, drawn: Tensor) -> Prediction:
    """The same prediction with labels drawn from it by uniform numbers."""
    values = prediction.values.detach().float()
    drawn = drawn.to(values.device)
    if prediction.kind == "categorical":
        cumulative = values.softmax(dim=-1).cumsum(dim=-1)
        numbers = torch.arange(values.shape[-1], device=values.device)
        last = numbers.masked_fill(values.isneginf(), 0).amax(dim=-1)  # what was ruled out is not drawn by rounding
        labels = (cumulative < drawn[..., None]).sum(dim=-1).minimum(last)
        if prediction.present is not None:
            labels = labels.masked_fill(~prediction.present, IGNORED_LABEL)
        return Prediction(prediction.kind, prediction.values, labels)
    if prediction.kind == "gaussian":
        tiny = torch.finfo(torch.float32).tiny
        noise = torch.special.ndtri(drawn.clamp(tiny, 1 - torch.finfo(torch.float32).eps))
        return Prediction(prediction.kind, prediction.values, values + SQUARED_ERROR_DEVIATION * noise)
    return replace(prediction, labels=(drawn < values.sigmoid()).float())


def _uniform(predictions: list[Prediction], seed: int, indices: Sequence[int]) -> list[Tensor]:
    """Uniform numbers for the labels of every prediction; padding takes none, so that it does not shift them."""
    wanted = []
    for prediction in predictions:
        shape = prediction.values.shape[: 2 if prediction.kind == "categorical" else 3]
        present = prediction.present
        places = torch.ones(shape, dtype=torch.bool) if present is None else present.cpu()
        wanted.append(places if places.shape == shape else places[..., None].expand(shape))
    side_by_side = torch.cat([places.flatten(1) for places in wanted], dim=1)
    drawn = torch.zeros(side_by_side.shape)
    counts = side_by_side.sum(dim=1).tolist()
    numbers = [uniform_numbers(seed, index, count) for index, count in zip(indices, counts, strict=True)]
    drawn[side_by_side] = torch.cat(numbers)  # row by row: example by example
    parts = drawn.split([places[0].numel() for places in wanted], dim=1)
    return [part.reshape(places.shape) for part, places in zip(parts, wanted, strict=True)]
