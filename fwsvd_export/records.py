"""The data classes that flow through the project, validated when made. Tensors in them are never written to."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fwsvd_export.errors import RankError, StatisticsError, at_least, given, is_number, share_of

if TYPE_CHECKING:
    from torch import Tensor

    from fwsvd_export.fisher.sample import CalibrationSample

COLLECTIONS = ("kfac", "row", "element")
LABEL_SOURCES = ("data", "sampled")
TEMPERATURE = 4.0  # of the predictions whose Fisher is collected, unless another is asked for (measured: docs/log.md)


@dataclass(frozen=True)
class LayerSpec:
    """One compressible linear layer.

    Attributes:
        name: dotted name relative to the base model (no head prefix).
        out_features: rows of the weight (out, in).
        in_features: columns of the weight.
        role: query, key, value, attention_output, intermediate or output.
        reads: name of the input; layers that read the same input share one input Gram.
    """

    name: str
    out_features: int
    in_features: int
    role: str
    reads: str

    @property
    def weights(self) -> int:
        """Parameters of the dense weight."""
        return self.out_features * self.in_features

    @property
    def smaller_side(self) -> int:
        """The largest rank the weight can have."""
        return min(self.out_features, self.in_features)

    def narrowed(self, neurons: int) -> LayerSpec:
        """A layer of a feed-forward part with fewer neurons: outputs of "intermediate", inputs of "output"."""
        inner = self.role == "intermediate"
        return replace(self, out_features=neurons) if inner else replace(self, in_features=neurons)


@dataclass(frozen=True)
class FeedForward:
    """The two linear layers around the neurons of an encoder layer.

    Attributes:
        intermediate: (neurons, hidden), whose outputs pass the activation.
        output: (hidden, neurons), which reads them.
    """

    intermediate: LayerSpec
    output: LayerSpec

    @property
    def layers(self) -> tuple[LayerSpec, LayerSpec]:
        """Both."""
        return self.intermediate, self.output

    @property
    def neurons(self) -> int:
        """How many there are."""
        return self.intermediate.out_features

    def narrowed(self, neurons: int) -> FeedForward:
        """With so many."""
        return FeedForward(self.intermediate.narrowed(neurons), self.output.narrowed(neurons))


@dataclass(frozen=True)
class LayerStatistics:
    """Fisher sums of one layer over all examples (float32); divide by the counts in ``Statistics`` for means.

    For one example with inputs x_t and output gradients d_t, G_n = sum_t d_t x_t^T (out, in).

    Attributes:
        input_gram: sum over tokens of x_t x_t^T, (in, in).
        gradient_gram: sum over tokens of d_t d_t^T, (out, out).
        row_input: sum over examples and outputs of G_n∘G_n, (in).
        row_output: sum over examples and inputs of G_n∘G_n, (out).
        element: sum over examples of G_n∘G_n, (out, in).
    """

    input_gram: Tensor | None = None
    gradient_gram: Tensor | None = None
    row_input: Tensor | None = None
    row_output: Tensor | None = None
    element: Tensor | None = None


@dataclass(frozen=True)
class EmbeddingStatistics:
    """Fisher sums of the word embeddings over all examples (float32), d_t the gradient at token t's word vector.

    Attributes:
        row: for every word of the vocabulary, the sum over its tokens of |d_t|², (vocabulary).
        gradient_gram: sum over tokens of d_t d_t^T, (width, width).
    """

    row: Tensor
    gradient_gram: Tensor


@dataclass(frozen=True)
class StatisticsSource:
    """What statistics were made from; a stored file is reused only for the same model.

    Attributes:
        model_sha256: digest of the model's weights (see ``checkpoint.weights_sha256``).
        task: task preset, or None when the caller brought batches.
        data: name of the data, without folders.
        labels: "data" or "sampled".
        max_length: tokens at most per example.
        seed: of the choice of examples and of sampled labels.
        temperature: that logits were divided by.
        embedding: how hidden states became the embeddings that the sums are about, as ``Embed.described`` says it; None
            for a model with a head, and in files of before.
    """

    model_sha256: str
    task: str | None = None
    data: str | None = None
    labels: str = "data"
    max_length: int | None = None
    seed: int = 0
    temperature: float = TEMPERATURE
    embedding: str | None = None

    def __post_init__(self) -> None:
        if self.labels not in LABEL_SOURCES:
            raise StatisticsError(f"labels {self.labels!r}: one of {', '.join(LABEL_SOURCES)} is allowed")
        if not (is_number(self.temperature) and 0 < self.temperature < math.inf):
            raise StatisticsError(f"temperature {given(self.temperature)}: a number above 0 is allowed")


@dataclass(frozen=True)
class Statistics:
    """Fisher statistics of every compressible layer, as sums with counts, so that shards merge.

    Attributes:
        layers: layer name -> its sums.
        examples: number of examples summed over.
        tokens: number of unmasked tokens summed over.
        collected: which of "kfac", "row", "element" are there.
        source: what they were made from.
        embedding: of the word embeddings; None in files of before they were collected.
        sample: the calibration texts, for reconstruction; None where they were not to be stored.
    """

    layers: dict[str, LayerStatistics]
    examples: int
    tokens: int
    collected: tuple[str, ...]
    source: StatisticsSource
    embedding: EmbeddingStatistics | None = None
    sample: CalibrationSample | None = None

    def __post_init__(self) -> None:
        unknown = set(self.collected) - set(COLLECTIONS)
        if unknown or not self.collected:
            chosen, allowed = ",".join(self.collected) or "nothing", ", ".join(COLLECTIONS)
            raise StatisticsError(f"collect {chosen}: choose one or more of {allowed}, separated by commas")
        if self.examples < 1 or self.tokens < 1:
            raise StatisticsError("the statistics hold no examples; give at least one batch of data")


@dataclass(frozen=True)
class Plain:
    """The Frobenius norm: every weight counts the same."""


@dataclass(frozen=True)
class RowWeights:
    """One weight per input feature (``axis="input"``, (in)) or per output feature (``axis="output"``, (out))."""

    weights: Tensor
    axis: str


@dataclass(frozen=True)
class InputGram:
    """tr(D A D^T) with A = gram / tokens, the second moment (in, in) of the layer's input."""

    gram: Tensor
    tokens: int = 1


@dataclass(frozen=True)
class Kronecker:
    """tr(D A D^T G) with A = input_gram / tokens (in, in) and G = gradient_gram / examples (out, out)."""

    input_gram: Tensor
    gradient_gram: Tensor
    tokens: int = 1
    examples: int = 1


@dataclass(frozen=True)
class ElementWeights:
    """sum_ij F_ij D_ij² with one weight (out, in) >= 0 per element: the diagonal of the Fisher."""

    weights: Tensor


WeightingNorm = Plain | RowWeights | InputGram | Kronecker | ElementWeights


@dataclass(frozen=True)
class Decomposition:
    """A closed form at every rank, of a weight (m, n) with m <= n, or of the transpose of a taller one.

    With R R^T the weighting of the smaller side, P the eigenvectors and X = R^T weight: the best rank r is
    (R^-T P)[:, :r] times P[:, :r]^T X. ``numerics.truncate`` multiplies only as much of it as a rank needs.

    Attributes:
        vectors: P (m, m) float32, strongest first.
        undone: R^-T P (m, m) float32.
        whitened: X (m, n) float32.
        losses: (m + 1) float64; entry r is the weighted squared error (times ½) that rank r leaves.
        transposed: whether the weight was (n, m).
        note: advice when the norm said nothing about the layer, else empty.
    """

    vectors: Tensor
    undone: Tensor
    whitened: Tensor
    losses: Tensor
    transposed: bool = False
    note: str = ""


@dataclass(frozen=True)
class Factors:
    """weight ≈ up @ down; ``down`` (rank, in), ``up`` (out, rank)."""

    down: Tensor
    up: Tensor

    @property
    def rank(self) -> int:
        """Inner size of the product."""
        return int(self.down.shape[0])


@dataclass(frozen=True)
class Solution:
    """What a solver found for one layer.

    Attributes:
        factors: None when the layer stays dense.
        loss: the weighted squared error (times ½) that is left; 0 for a dense layer.
        status: "exact", "dense", or a sentence that says what happened and what to do.
        settled: False when the status asks the user for something.
        neurons: of a layer of a feed-forward part that loses some: those that stay, rising (int64).
        trace: of an iterative method: the loss of the start, then after every iteration.
        losses: of a closed form: the loss at every rank, (smaller side + 1).
    """

    factors: Factors | None
    loss: float
    status: str
    settled: bool = True
    trace: tuple[float, ...] = ()
    losses: Tensor | None = None
    neurons: Tensor | None = None


@dataclass(frozen=True)
class RankPlan:
    """The rank of every compressible layer; None keeps it dense.

    Attributes:
        ranks: layer name -> rank.
        allocate: how the budget was shared.
        widths: layer name -> neurons that are left, of the layers of feed-forward parts that lose some.
        loss: predicted losses of all layers together; None where they were not looked at.
    """

    ranks: dict[str, int | None]
    allocate: str
    widths: dict[str, int] = field(default_factory=dict)
    loss: float | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Budget:
    """How small the model shall be: exactly one of the three.

    Attributes:
        ratio: fraction of the compressible linear weights that may be used, 0 < ratio <= 1.
        rank: the same rank everywhere.
        params: total parameters of the compressed model.
    """

    ratio: float | None = None
    rank: int | None = None
    params: int | None = None

    def __post_init__(self) -> None:
        named = [name for name in ("ratio", "rank", "params") if getattr(self, name) is not None]
        if len(named) != 1:
            raise RankError(f"{' and '.join(named) or 'no size'} given: give exactly one of ratio, rank and params")
        if self.ratio is not None:
            object.__setattr__(self, "ratio", share_of("ratio", self.ratio, "the linear weights"))
        for name in named if self.ratio is None else ():
            object.__setattr__(self, name, at_least(name, getattr(self, name)))


@dataclass(frozen=True)
class RankLimits:
    """What every layer's rank must keep to.

    Attributes:
        multiple: ranks are multiples of it (some hardware is fastest so).
        smallest: rank at least.
        largest: rank at most, None for no such limit; a limited layer is not kept dense instead.
        keep_dense: shell patterns; layers whose name one of them matches stay as they are.
    """

    multiple: int = 1
    smallest: int = 1
    largest: int | None = None
    keep_dense: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field_name, name in (("multiple", "rank multiple"), ("smallest", "smallest rank")):
            object.__setattr__(self, field_name, at_least(name, getattr(self, field_name)))
        if not (isinstance(self.keep_dense, (tuple, list)) and all(isinstance(one, str) for one in self.keep_dense)):
            raise RankError(
                f'keep_dense {given(self.keep_dense)}: a tuple of patterns is allowed, ("encoder.layer.0.*",)'
            )
        if self.largest is not None:
            least, why = max(self.smallest, self.multiple), " (the smallest rank or the multiple)"
            object.__setattr__(self, "largest", at_least("largest rank", self.largest, least, why))


@dataclass(frozen=True)
class RankRequest:
    """The size asked for.

    Attributes:
        budget: of the linear layers, or with ``params`` of the whole model.
        allocate: how it becomes ranks; None leaves it to the method.
        limits: of the ranks.
        embeddings: fraction of the word embeddings' weights that may be used, 0 < embeddings <= 1; None keeps them.
        cost: what a greedy allocation counts as a component's price: params, flops or latency.
        widths: "keep" for all neurons, "auto" for those that the plan leaves; None is auto where that can be done.
    """

    budget: Budget
    allocate: str | None = None
    limits: RankLimits = RankLimits()
    embeddings: float | None = None
    cost: str = "params"
    widths: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.limits, RankLimits):
            raise RankError(f"limits {given(self.limits)}: a RankLimits is allowed, for example RankLimits(smallest=8)")
        if self.embeddings is not None:
            object.__setattr__(
                self, "embeddings", share_of("embeddings", self.embeddings, "the word embeddings' weights")
            )


@dataclass(frozen=True)
class Measurement:
    """A task metric on some data.

    Attributes:
        metric: name of the main metric.
        value: its value.
        examples: how many examples it was measured on.
        seconds: wall time of the forward passes.
        beside: further metrics by name (F1 with accuracy, both correlations).
        sha256: of the weights file of the model that was measured; None for one in memory, or in several files.
        cut: examples that were cut at the length that was asked for; None where the caller brought batches.
        skipped: rows that were left out; None where the caller brought batches.
    """

    metric: str
    value: float
    examples: int
    seconds: float
    beside: dict[str, float] = field(default_factory=dict)
    sha256: str | None = None
    cut: int | None = None
    skipped: int | None = None
