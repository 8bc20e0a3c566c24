"""What may be asked for together: names, methods, allocators and statistics that fit each other and the model."""

from __future__ import annotations

from collections.abc import Mapping

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.inputs import IDS, POSITIONS
from fwsvd_export.checkpoints.weights import weights_sha256
from fwsvd_export.compression.norms import check_collected
from fwsvd_export.errors import DataError, RankError, SolverOptionError, StatisticsError, given, shown
from fwsvd_export.fisher.sample import CalibrationSample
from fwsvd_export.ranks import ALLOCATORS, COSTS, WIDTHS
from fwsvd_export.records import Kronecker, RankRequest, Statistics
from fwsvd_export.solvers.names import RECONSTRUCTING, SHARING
from fwsvd_export.solvers.solver import ClosedForm, Iterative, Solver

# Why statistics alone are not enough, and what to do
NO_SAMPLE = (
    "the statistics hold no texts (they were collected with --no-samples, or by an earlier version): give --data "
    "beside --fisher, or collect again without --no-samples"
)


def check_wishes(reconstruct: object, statistics: object, solver_options: object) -> None:
    """Refuses what a caller of ``fe.compress`` can take for something else: a text for a switch, a path for statistics.

    Raises:
        RankError: ``reconstruct`` is neither True, False nor None.
        StatisticsError: the statistics are not a ``Statistics``.
        SolverOptionError: the options are not a mapping.
    """
    if reconstruct is not None and not isinstance(reconstruct, bool):
        raise RankError(f"reconstruct {given(reconstruct)}: True, False or None is allowed")
    if statistics is not None and not isinstance(statistics, Statistics):
        raise StatisticsError(
            f"statistics {shown(statistics)}: what collect_statistics returns is needed; read a file with "
            "load_statistics"
        )
    if solver_options is not None and not isinstance(solver_options, Mapping):
        raise SolverOptionError(
            f'solver_options {shown(solver_options)}: a dictionary is needed, for example {{"max_iterations": 20}}'
        )


def closed_form(solver: ClosedForm | Iterative) -> ClosedForm:
    """The row, when its method gives every rank at once.

    Raises:
        RankError: the method iterates at one rank at a time.
    """
    if not isinstance(solver, ClosedForm):
        raise RankError(
            f"method {solver.name} solves one rank at a time; give --ratio, --rank or --params, without --dry-run"
        )
    return solver


def allocator_of(solver: Solver, size: RankRequest) -> str:
    """How a request's budget becomes ranks: as asked, else greedy where the method's losses allow it.

    Raises:
        RankError: an unknown way, or greedy with a norm that is not comparable across layers.
    """
    if size.cost not in COSTS:
        raise RankError(f"cost {size.cost!r}: one of {', '.join(COSTS)} is allowed")
    chosen = _allocator_of(solver, size)
    if size.cost != COSTS[0] and chosen != "greedy":
        raise RankError(f"cost {size.cost} is for greedy ranks, and these are {chosen}; leave out --cost")
    return chosen


def _allocator_of(solver: Solver, size: RankRequest) -> str:
    able = isinstance(solver, ClosedForm) and solver.comparable
    if size.budget.rank is not None and size.allocate in (None, "uniform"):
        return "uniform"
    if size.allocate is None:
        return "greedy" if able else "uniform"
    if size.allocate not in ALLOCATORS:
        raise RankError(f"allocate {size.allocate!r}: one of {', '.join(ALLOCATORS)} is allowed")
    if size.allocate == "greedy" and size.budget.rank is not None:
        raise RankError("allocate greedy shares a budget among the layers, and --rank gives all the same; give --ratio")
    if size.allocate == "greedy" and not able:
        raise RankError(
            f"allocate greedy needs losses that compare across layers and ranks, which method {solver.name} does not "
            f"give; use --method {' or '.join(SHARING)}, or --allocate uniform"
        )
    return size.allocate


def widths_of(encoder: Encoder, solver: Solver, size: RankRequest) -> str:
    """Whether feed-forward parts may lose neurons: as asked, else where it can be done.

    Raises:
        RankError: an unknown wish, or a removal with a method without both Kronecker factors, with ranks that are not
            greedy, or of a family whose feed-forward parts are not known.
    """
    if size.widths is None:
        able = solver.norm is Kronecker and allocator_of(solver, size) == "greedy" and bool(encoder.feed_forwards)
        return "auto" if able else "keep"
    if size.widths not in WIDTHS:
        raise RankError(f"widths {size.widths!r}: one of {', '.join(WIDTHS)} is allowed")
    if size.widths == "auto" and solver.norm is not Kronecker:
        raise RankError(
            f"widths {size.widths} needs losses of neurons, which method {solver.name} does not give; "
            f"use --method {' or '.join(RECONSTRUCTING)}, or leave out --widths"
        )
    if size.widths == "auto" and (chosen := allocator_of(solver, size)) != "greedy":
        raise RankError(
            f"widths {size.widths} is one more choice of a greedy allocation, and these ranks are {chosen}; "
            "give --ratio, or leave out --widths"
        )
    if size.widths == "auto" and not encoder.feed_forwards:
        raise RankError(
            f"widths {size.widths} needs to run a model layer by layer, and how is not known of "
            f"{encoder.family.model_type}; leave out --widths"
        )
    return size.widths


def can_reconstruct(solver: Solver) -> bool:
    """Whether the method has the gradient norm that reconstruction needs."""
    return solver.norm is Kronecker


def reconstructs(solver: Solver, wanted: bool | None, batches: bool, statistics: Statistics | None = None) -> bool:
    """Whether layers are reconstructed: as asked, else where it can be done.

    Args:
        solver: the method.
        wanted: as asked for, None for no wish.
        batches: whether there are calibration batches.
        statistics: whose calibration sample does as well.

    Raises:
        RankError: asked for with a method that has no gradient weighting.
        DataError: asked for without batches and without a sample.
    """
    calibration = batches or (statistics is not None and statistics.sample is not None)
    able = can_reconstruct(solver)
    if wanted and not able:
        raise RankError(
            f"reconstruction fits layers in the norm of their gradients, which method {solver.name} does not have; "
            f"use --method {' or '.join(RECONSTRUCTING)}, or leave out --reconstruct"
        )
    if wanted and not calibration and statistics is not None:
        raise DataError(f"reconstruction needs calibration data, and {NO_SAMPLE}, or leave out --reconstruct")
    if wanted and not calibration:
        raise DataError(
            "reconstruction needs calibration data: give --data (beside --fisher too), or leave out --reconstruct"
        )
    return calibration and able if wanted is None else wanted


def check_statistics(encoder: Encoder, solver: Solver, statistics: Statistics | None) -> None:
    """Refuses statistics that lack what the method needs, or that belong to another model.

    Raises:
        StatisticsError: they do.
    """
    check_collected(solver, statistics)
    if statistics is not None:
        check_same_model(encoder, statistics)


def check_same_model(encoder: Encoder, statistics: Statistics) -> None:
    """Refuses statistics that were collected on another model, or whose sums are not as large as its layers.

    Raises:
        StatisticsError: the digests differ, or the shapes do, which only a damaged file's can.
    """
    digest = weights_sha256(encoder.model)
    if digest != statistics.source.model_sha256:
        raise StatisticsError(
            f"the statistics belong to another model (weights {statistics.source.model_sha256[:12]}…, this model has "
            f"{digest[:12]}…); collect them for this model with fwsvd-export fisher"
        )
    for layer in encoder.layers:
        sums = statistics.layers.get(layer.name)
        inputs, outputs = layer.in_features, layer.out_features
        shapes = {
            "input_gram": (inputs, inputs),
            "gradient_gram": (outputs, outputs),
            "row_input": (inputs,),
            "row_output": (outputs,),
            "element": (outputs, inputs),
        }
        _check_shapes(sums, shapes, layer.name)
    if statistics.embedding is not None:
        words, width = encoder.embedding.out_features, encoder.embedding.in_features
        _check_shapes(statistics.embedding, {"row": (words,), "gradient_gram": (width, width)}, "the word embeddings")
    if statistics.sample is not None:
        _check_sample(encoder, statistics.sample)


def _check_sample(encoder: Encoder, sample: CalibrationSample) -> None:
    """Refuses a sample whose numbers are outside the model's tables, or that has inputs which the model has not."""
    ranges = {POSITIONS: encoder.positions, **encoder.ranges}
    longest, usable = int(sample.lengths.max()), encoder.usable_length
    reasons = [f"a text of {longest:,} tokens, and the model takes {usable:,}"] if longest > usable else []
    for name, values in {IDS: sample.token_ids, **sample.inputs}.items():
        if name not in ranges:
            reasons.append(f"{name}, which the model does not take")
        elif int(values.max()) >= ranges[name]:
            reasons.append(f"{name} up to {int(values.max())}, and the model knows 0 to {ranges[name] - 1}")
    if reasons:
        raise StatisticsError(
            f"the statistics' calibration sample has {reasons[0]}, so the file is damaged; collect again with "
            "fwsvd-export fisher"
        )


def _check_shapes(sums: object, shapes: dict[str, tuple[int, ...]], name: str) -> None:
    for field, shape in shapes.items():
        found = getattr(sums, field, None)
        if sums is None or (found is not None and tuple(found.shape) != shape):
            raise StatisticsError(
                f"the statistics of {name} do not have the model's sizes, so the file is damaged; collect again with "
                "fwsvd-export fisher"
            )
