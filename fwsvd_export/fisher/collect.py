"""Fisher statistics of a model on task data: forward, per-example loss, backward, sums."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count, islice
from typing import Any

import torch
from torch import Tensor

from fwsvd_export.architectures.batches import checked_batches
from fwsvd_export.architectures.embed import Embed, description_of, mean_pooled
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.inputs import LABEL_KEYS
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.architectures.unwrap import check_own_weights, unwrapped
from fwsvd_export.checkpoints.weights import weights_sha256
from fwsvd_export.errors import DataError, StatisticsError, WeightError, given, is_whole, shown
from fwsvd_export.fisher.hooks import Capture, eval_mode
from fwsvd_export.fisher.predict import predictions_in
from fwsvd_export.fisher.sample import CalibrationSample, SampleCollector
from fwsvd_export.fisher.sums import EmbeddingSums, GramSum, LayerSums
from fwsvd_export.fisher.targets import example_losses
from fwsvd_export.records import COLLECTIONS, TEMPERATURE, Statistics, StatisticsSource
from fwsvd_export.runtime.modes import usual_modes

# Larger batches are split: the sums do not depend on it, and it bounds the activations kept for the backward pass.
TOKENS_PER_PASS = 384
MOST_EXAMPLES = 2**64  # that an index can tell apart (``draws.uniform_numbers``)


def collect_statistics(
    model: Any,
    batches: Iterable[Mapping[str, Any]],
    *,
    collect: Sequence[str] = ("kfac", "row"),
    labels: str = "data",
    seed: int = 0,
    source: StatisticsSource | None = None,
    samples: bool = True,
    example_indices: Iterable[int] | None = None,
    temperature: float = TEMPERATURE,
    embed: Embed = mean_pooled,
) -> Statistics:
    """Per-example Fisher statistics of every linear layer of the encoder.

    The estimand is the mean over examples of g g^T, g the gradient of one example's loss with its logits divided by a
    temperature, for each layer's weight: its Kronecker factors ("kfac"), its diagonal ("element") or the diagonal's row
    and column sums ("row"); and always the word embeddings' row sums and gradient Gram, as inputs (what a tied output
    layer adds is not in them). Padding does not count; parameters, ``.grad`` and training mode stay as they are.

    Args:
        model: a supported dense model with a head (or a bare encoder, whose embedding is then the prediction).
        batches: what the model takes by keyword, with labels (examples first), on any device.
        collect: any of "kfac", "row", "element".
        labels: "data" for the empirical Fisher, "sampled" for the model's own predictions (of a bare encoder always).
        seed: of sampled labels.
        source: description kept with the sums; made from the model when None.
        samples: whether the texts are kept as token ids, so that ``compress`` can reconstruct layers without batches.
        example_indices: of the examples in all of the data, for what is drawn: ``range(1000, 2000)``; None: from 0 on.
        temperature: above 1, examples that the model is sure of count too; 1 is the Fisher of the papers.
        embed: how the hidden states of a bare encoder become an embedding.

    Raises:
        UnsupportedModelError: a model of another architecture, or one without values.
        StatisticsError: unknown collection, label source, seed or temperature.
        DataError: no examples, a batch or labels that do not fit the model, or fewer indices than examples.
        WeightError: a loss that is not finite.

    Example:
        >>> from transformers import BertConfig, BertForSequenceClassification
        >>> config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
        >>> batch = {"input_ids": torch.tensor([[1, 2, 3], [4, 5, 6]]), "labels": torch.tensor([0, 1])}
        >>> statistics = collect_statistics(BertForSequenceClassification(config), [batch])
        >>> statistics.examples, statistics.tokens, statistics.sample.sequences
        (2, 6, 2)
    """
    model = unwrapped(model)
    encoder = encoder_of(model, embed)
    check_own_weights(encoder)
    if encoder.head.predicts == "embedding":
        labels = "sampled"  # an encoder without a head predicts no label that data could give
    source = source or StatisticsSource(model_sha256=weights_sha256(model), seed=seed)
    source = replace(source, labels=labels, temperature=temperature, embedding=_made_by(encoder))
    indices = iter(count() if example_indices is None else example_indices)
    with usual_modes(encoder.device), eval_mode(model):
        collector, sample = _Collector(encoder, _chosen(collect), source, seed), SampleCollector(encoder)
        for part in collector.run_all(checked_batches(encoder, batches), indices):
            if samples:
                sample.add(part)
        return collector.finished(source, sample.finished())


def _made_by(encoder: Encoder) -> str | None:
    """How the embeddings of a model without a head are made."""
    return description_of(encoder.embed) if encoder.head.predicts == "embedding" else None


def _chosen(collect: Sequence[str]) -> tuple[str, ...]:
    """The collections asked for, in the order of all.

    Raises:
        StatisticsError: none, or an unknown one.
    """
    if isinstance(collect, str):
        raise StatisticsError(f"collect is the text {shown(collect)}: a list of {', '.join(COLLECTIONS)} is needed")
    chosen = tuple(name for name in COLLECTIONS if name in collect)
    unknown = [name for name in collect if name not in COLLECTIONS]
    if unknown or not chosen:
        raise StatisticsError(
            f"collect {','.join(map(str, unknown)) or 'nothing'}: choose from {', '.join(COLLECTIONS)}"
        )
    return chosen


def _next_indices(indices: Iterator[int], examples: int) -> list[int]:
    """The indices of the next examples.

    Raises:
        DataError: there are too few.
    """
    taken = list(islice(indices, examples))
    wrong = [index for index in taken if not is_whole(index) or not 0 <= index < MOST_EXAMPLES]
    if wrong:
        raise DataError(
            f"example_indices holds {given(wrong[0])}: whole numbers from 0 are needed, places of examples in the data"
        )
    if len(taken) < examples:
        raise DataError("there are more examples than example_indices; give one index per example")
    return taken


class _Collector:
    """The sums of all layers, and the pass that is under way."""

    def __init__(self, encoder: Encoder, chosen: tuple[str, ...], source: StatisticsSource, seed: int) -> None:
        if not is_whole(seed):
            raise StatisticsError(f"seed {given(seed)}: a whole number is allowed")
        self.device = encoder.device
        self._model = encoder.model
        self._encoder = encoder
        self._source = source
        self._seed = int(seed)
        self._chosen = chosen
        self._layers = encoder.layers
        grams = [layer for layer in self._layers if "kfac" in chosen]
        self._inputs = {layer.reads: GramSum(layer.in_features, self.device) for layer in grams}
        unclaimed = dict(self._inputs)  # of the layers that read one input, the first adds to its Gram
        self._sums = {
            layer.name: LayerSums(layer, chosen, unclaimed.pop(layer.reads, None), self.device)
            for layer in self._layers
        }
        captured = {layer.name: encoder.module(layer.name) for layer in self._layers}
        # Of layers with calls of their own beside the hidden states': both, put together once the pass is over
        self._calls: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in encoder.repeated}
        self._uses = dict.fromkeys(encoder.repeated, 0)
        words = encoder.embedding
        self._embedding = EmbeddingSums(words.out_features, words.in_features, self.device)
        self._capture = Capture(captured, encoder.module(words.name), self._add, encoder.repeated)
        self._examples = self._tokens = self._examples_in_pass = 0
        self._mask: Tensor | None = None

    def run_all(self, batches: Iterable[Mapping[str, Tensor]], indices: Iterator[int]) -> Iterator[dict[str, Tensor]]:
        """Runs all batches in passes of ``TOKENS_PER_PASS`` tokens at most; gives the passes back."""
        with self._capture:
            # What is read beside the hidden states belongs to one example where there is one in a pass
            most = 1 if self._calls else None
            for part in (part for batch in batches for part in _passes(batch, most)):
                placed = {name: tensor.to(self.device) for name, tensor in part.items()}
                self._run(placed, _next_indices(indices, len(part["input_ids"])))
                yield part

    def _run(self, part: Mapping[str, Tensor], indices: Sequence[int]) -> None:
        """One forward and backward pass."""
        self._examples_in_pass = len(part["input_ids"])
        mask = part.get("attention_mask")
        padded = mask is not None and not bool(mask.all())
        self._mask = mask.reshape(self._examples_in_pass, -1).bool() if mask is not None and padded else None
        inputs = {name: tensor for name, tensor in part.items() if name not in LABEL_KEYS}
        outputs = self._model(**inputs, return_dict=True)
        predictions = predictions_in(self._encoder, outputs, part)
        source, seed = self._source, self._seed
        losses = example_losses(predictions, source.labels, seed=seed, indices=indices, temperature=source.temperature)
        if not bool(torch.isfinite(losses).all()):
            raise WeightError("the model's loss is NaN or infinite on this data; check the model's weights and labels")
        gradients = self._capture.backward(losses.sum())
        for name, calls in self._calls.items():
            rows, flows, used = _joined(calls)
            self._sums[name].add(rows, flows, used)
            self._uses[name] += int(used.sum())
            calls.clear()
        words = part["input_ids"].reshape(self._examples_in_pass, -1)
        self._embedding.add(words, gradients.reshape(*words.shape, -1), self._mask)
        self._examples += self._examples_in_pass
        self._tokens += part["input_ids"].numel() if self._mask is None else int(self._mask.sum())

    def _add(self, name: str, inputs: Tensor, gradients: Tensor) -> None:
        """What the hooks call; the choices of a multiple-choice example lie side by side as its tokens."""
        examples = self._examples_in_pass
        call = inputs.reshape(examples, -1, inputs.shape[-1]), gradients.reshape(examples, -1, gradients.shape[-1])
        if name in self._calls:
            self._calls[name].append(call)
        else:
            self._sums[name].add(*call, self._mask)

    def finished(self, source: StatisticsSource, sample: CalibrationSample | None) -> Statistics:
        """The record of all sums."""
        grams = {name: gram.finished() for name, gram in self._inputs.items()}
        for layer in self._layers:
            if layer.reads in grams and self._uses.get(layer.name):  # so that a mean over tokens is one over uses
                grams[layer.reads] *= self._tokens / self._uses[layer.name]
        layers = {layer.name: self._sums[layer.name].finished(grams.get(layer.reads)) for layer in self._layers}
        embedding = self._embedding.finished()
        return Statistics(layers, self._examples, self._tokens, self._chosen, source, embedding, sample)


def _joined(calls: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """The calls of one layer for one example as one, and what of it counts: what no gradient reaches was not used.

    Args:
        calls: (inputs, gradients), (1, rows, features) each.
    """
    inputs, gradients = (torch.cat(parts, dim=1) for parts in zip(*calls, strict=True))
    used = [gradient.abs().sum(dim=-1) > 0 for _, gradient in calls]
    return inputs, gradients, torch.cat(used, dim=1)


def _passes(batch: Mapping[str, Tensor], most: int | None = None) -> Iterable[dict[str, Tensor]]:
    """The batch, or slices of it that hold at most ``TOKENS_PER_PASS`` tokens (and at least one example).

    Args:
        batch: any.
        most: examples in a slice.
    """
    examples = len(batch["input_ids"])
    step = max(1, TOKENS_PER_PASS // batch["input_ids"][0].numel())
    step = step if most is None else min(step, most)
    for start in range(0, examples, step):
        yield {name: tensor[start : start + step] for name, tensor in batch.items()}
