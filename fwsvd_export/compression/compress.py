"""``fe.compress``: a model in memory becomes a smaller one."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypedDict

from fwsvd_export.architectures.batches import checked_batches
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.registry import dense_encoder_of
from fwsvd_export.architectures.unwrap import check_own_weights, unwrapped
from fwsvd_export.compression.build import Compressed
from fwsvd_export.compression.checks import check_wishes, reconstructs
from fwsvd_export.compression.inputs import Inputs, calibration_of
from fwsvd_export.compression.prepare import compress_model
from fwsvd_export.compression.record import record_of
from fwsvd_export.compression.size import check_size
from fwsvd_export.errors import CompressionWarning
from fwsvd_export.fisher import collect_statistics
from fwsvd_export.records import TEMPERATURE, Budget, RankLimits, RankRequest, Statistics
from fwsvd_export.runtime.modes import usual_modes
from fwsvd_export.solvers.options import options_from, with_fisher_axis
from fwsvd_export.solvers.table import solver_named

if TYPE_CHECKING:
    from typing_extensions import Unpack


class RankOptions(TypedDict, total=False):
    """How a size becomes ranks; every entry may be left out.

    Attributes:
        allocate: "greedy" shares the budget by predicted loss, "uniform" gives every layer the same rank; by default
            greedy where the method's losses compare across layers (kfac).
        cost: what greedy counts as a component's price: "params" (the default), "flops" or "latency" (measured on this
            machine).
        limits: of the ranks, and layers to keep dense.
        embeddings: fraction of the word embeddings' weights that may be used (part of ``params``); kept by default.
        widths: "auto" lets a greedy allocation remove neurons of feed-forward parts too (the default with kfac), "keep"
            does not.
    """

    allocate: str | None
    cost: str
    limits: RankLimits | None
    embeddings: float | None
    widths: str | None


def compress(
    model: Any,
    batches: Iterable[Mapping[str, Any]] | None = None,
    *,
    statistics: Statistics | None = None,
    method: str = "kfac",
    ratio: float | None = None,
    rank: int | None = None,
    params: int | None = None,
    reconstruct: bool | None = None,
    labels: str = "data",
    temperature: float = TEMPERATURE,
    seed: int = 0,
    fisher_axis: str | None = None,
    solver_options: Mapping[str, Any] | None = None,
    **ranks: Unpack[RankOptions],
) -> Any:
    """A smaller ``LowRank…`` copy of a model, to use, fine-tune, save or push; its ``compression`` says what happened.

    Args:
        model: a supported dense transformers model, also in ``DataParallel`` or ``torch.compile``; it stays as it was.
        batches: task batches, to collect statistics on (with labels) unless they are given, and to reconstruct on.
        statistics: from ``collect_statistics`` of this very model; without batches, its sample is reconstructed on.
        method: of the solver table ("svd" needs neither batches nor statistics).
        ratio: fraction of the encoder's linear weights that may be used, 0 < ratio ≤ 1.
        rank: the same rank everywhere.
        params: total parameters that may be used. Give exactly one of ratio, rank and params.
        reconstruct: whether layers are fitted again to the dense model's output; None: where it can be (kfac, on data).
        labels: "data" or "sampled", when statistics are collected here.
        temperature: of the predictions, when statistics are collected here.
        seed: of sampled labels.
        fisher_axis: alias of that option of fwsvd.
        solver_options: of the method, by name; fwsvd's ``axis`` is "input" (the default) or "output".
        ranks: how the size becomes ranks, see ``RankOptions``.

    Raises:
        FwsvdExportError: one of its kinds, with a sentence that says what to do.

    Example:
        >>> from transformers import BertConfig, BertForSequenceClassification
        >>> config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
        >>> small = compress(BertForSequenceClassification(config), method="svd", rank=4)
        >>> type(small).__name__, small.compression.plan.ranks["encoder.layer.0.output.dense"]
        ('LowRankBertForSequenceClassification', 4)
    """
    solver = solver_named(method)
    check_wishes(reconstruct, statistics, solver_options)
    options = options_from(method, solver.options, with_fisher_axis(method, solver_options or {}, fisher_axis))
    size = _rank_request(Budget(ratio=ratio, rank=rank, params=params), ranks)
    encoder = _own_encoder_of(model)
    check_size(encoder, solver, size)
    fitted = reconstructs(solver, reconstruct, batches is not None, statistics)
    with usual_modes(encoder.device):
        if solver.needs is not None and batches is not None:
            batches = list(checked_batches(encoder, batches))  # read more than once
            if statistics is None:
                statistics = _statistics(encoder, batches, solver.needs, labels, temperature, seed)
        texts = calibration_of(batches, statistics)
        inputs = Inputs(encoder, solver, options, size, statistics, texts if fitted else None, texts)
        return _with_report(compress_model(inputs), inputs)


def _statistics(
    encoder: Encoder, batches: Iterable[Mapping[str, Any]], needs: str, labels: str, temperature: float, seed: int
) -> Statistics:
    model = encoder.model
    return collect_statistics(model, batches, collect=(needs,), labels=labels, temperature=temperature, seed=seed)


def _with_report(compressed: Compressed, inputs: Inputs) -> Any:
    """The model, carrying what happened; what asks for attention is warned about."""
    for sentence in compressed.report.advice:
        warnings.warn(sentence, CompressionWarning, stacklevel=3)
    small, base = compressed.model, _base_name(inputs.encoder.model)
    small.compression = compressed.report
    small.remember(record_of(inputs, compressed.report, base).to_json())
    return small


def _base_name(model: Any) -> str:
    """What the record calls a model in memory: the last part of where it was loaded from, or its class."""
    return PurePath(getattr(model.config, "_name_or_path", "") or "").name or type(model).__name__


def _own_encoder_of(model: Any) -> Encoder:
    encoder = dense_encoder_of(unwrapped(model))
    check_own_weights(encoder)
    return encoder


def _rank_request(budget: Budget, ranks: RankOptions) -> RankRequest:
    """The size asked for; raises TypeError as Python does for an argument that there is not."""
    if unknown := sorted(set(ranks) - set(RankOptions.__annotations__)):
        raise TypeError(f"compress() got an unexpected keyword argument {unknown[0]!r}")
    return RankRequest(
        budget,
        ranks.get("allocate"),
        RankLimits() if (limits := ranks.get("limits")) is None else limits,
        ranks.get("embeddings"),
        ranks.get("cost", "params"),
        ranks.get("widths"),
    )
