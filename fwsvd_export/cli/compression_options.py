"""Options of a compression's size and method, and the records they become."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

import click

from fwsvd_export.benchmark.runtimes import RUNTIME_FILES
from fwsvd_export.cli.choices import OneOf, SomeOf
from fwsvd_export.cli.groups import Group, option, together
from fwsvd_export.cli.options import PATH, Options, confidence_option, data_request, in_place_of_data
from fwsvd_export.errors import shown
from fwsvd_export.ranks import ALLOCATORS, COSTS, WIDTHS
from fwsvd_export.records import Budget, RankLimits, RankRequest
from fwsvd_export.solvers.names import AXES, METHODS
from fwsvd_export.training.settings import REFINE_MINUTES, REFINE_SCOPES
from fwsvd_export.workflows.deployment_request import GOALS, USUAL_DEPLOYMENTS, DeploymentRequest

if TYPE_CHECKING:
    from fwsvd_export.workflows.refine import RefineRequest

_COUNT_UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}
_COUNT = re.compile(r"((?:\d+(?:_\d+)*)?(?:\.\d+)?(?:e\+?\d{1,2})?) ?([kmb]?)")
_BYTES = re.compile(r".*\d ?([kmgt]i?)?(b|bytes?)", flags=re.DOTALL)


def parse_count(context: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    """A number of parameters that may end in K, M or B: 20M, .02B, 2e7 and 20_000_000 are the same."""
    if text is None:
        return None
    written = text.strip().lower()
    found = _COUNT.fullmatch(written)
    if found is not None and re.match(r"\.?\d", found[1]):
        number = Decimal(found[1].replace("_", "")) * _COUNT_UNITS[found[2]]
        if number == number.to_integral_value():
            return int(number)
    allowed = "a whole number of parameters is allowed; write 20_000_000, 20M, .5M or 2e7"
    if _BYTES.fullmatch(written):
        allowed = f"--params counts parameters, not bytes; {allowed}"
    raise click.BadParameter(f"{shown(text)}: {allowed}", context, parameter)


def parse_pairs(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    """name=value pairs; the method's own record checks names and values."""
    pairs = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise click.BadParameter(f"{text!r} has no value; write {text}=VALUE", context, parameter)
        pairs[name.strip().replace("-", "_")] = value.strip()
    return pairs


# Adds what else is asked for of every size; pass the values to ``size_limits``.
limit_options = together(
    option(
        Group.SIZE,
        "--allocate",
        type=OneOf(ALLOCATORS),
        show_default="greedy with kfac, else uniform",
        help="Allocation of ranks: greedy shares one budget among all layers, uniform treats all alike.",
    ),
    option(
        Group.SIZE,
        "--embeddings",
        type=float,
        metavar="RATIO",
        show_default="kept dense",
        help="Fraction of the word embeddings' weights to keep at most, as factors; they are part of --params.",
    ),
    option(
        Group.SIZE,
        "--cost",
        type=OneOf(COSTS),
        default=COSTS[0],
        show_default=True,
        help="Cost that greedy allocation counts for each rank.",
    ),
    option(
        Group.SIZE,
        "--widths",
        type=OneOf(WIDTHS),
        show_default="auto with kfac and greedy, else keep",
        help="Neurons of feed-forward parts: keep leaves all of them, auto removes those whose weights do more as "
        "ranks.",
    ),
    option(
        Group.SIZE,
        "--rank-multiple",
        type=int,
        default=1,
        show_default=True,
        help="Number that every rank is a multiple of.",
    ),
    option(Group.SIZE, "--min-rank", type=int, default=1, show_default=True, help="Rank of every layer at least."),
    option(Group.SIZE, "--max-rank", type=int, show_default="no limit", help="Rank of every layer at most."),
    option(
        Group.SIZE,
        "--keep-dense",
        multiple=True,
        metavar="PATTERN",
        help="Layers to leave as they are; * stands for anything. Repeatable.",
    ),
)
# Adds the options of the size; pass their values to ``size_request``.
size_options = together(
    option(Group.SIZE, "--ratio", type=float, help="Fraction of the encoder's linear weights to keep at most."),
    option(Group.SIZE, "--rank", type=int, help="Rank of every layer, the same everywhere."),
    option(
        Group.SIZE,
        "--params",
        metavar="COUNT",
        callback=parse_count,
        help="Number of parameters of the whole model at most, for example 20M.",
    ),
    option(
        Group.SIZE,
        "--max-drop",
        type=float,
        metavar="X",
        help="Accuracy target instead of a size: the smallest model whose metric on validation data is at most X "
        "below the dense model's, with the confidence asked for.",
    ),
    option(
        Group.SIZE,
        "--for",
        "goal",
        type=OneOf(GOALS),
        help="Search of what to deploy under --max-drop: the exported file of the smallest size, or of the smallest "
        "latency of one text. Ratio, neurons, word embeddings and precision are tried together, in at most 20 "
        "exported graphs; onnx/ is written too.",
    ),
    option(
        Group.SIZE,
        "--runtime",
        "runtimes",
        type=SomeOf(tuple(RUNTIME_FILES)),
        metavar="RUNTIME,...",
        show_default=",".join(USUAL_DEPLOYMENTS),
        help=f"Runtimes that --for may choose, any of {', '.join(RUNTIME_FILES)}, those first that are likely to win.",
    ),
    confidence_option(Group.SIZE, "that --max-drop is kept to on data like the validation data"),
    limit_options,
)
# Adds the options of the method; ``reconstruct_wish`` makes one of --reconstruct and its former name.
method_options = together(
    option(
        Group.METHOD,
        "--method",
        type=OneOf(METHODS),
        default="kfac",
        show_default=True,
        help="Method of compression; fwsvd-export methods describes each.",
    ),
    option(
        Group.METHOD,
        "--reconstruct/--no-reconstruct",
        default=None,
        show_default="on for kfac",
        help="Layer-wise reconstruction: fit every layer again, on its own inputs, to the dense model's output.",
    ),
    option(Group.METHOD, "--match/--no-match", default=None, hidden=True, help="Former name of --reconstruct."),
    option(
        Group.METHOD,
        "--fisher-axis",
        type=OneOf(AXES),
        show_default=AXES[0],
        help="Axis of fwsvd's weights: one weight per input feature or per output feature; the same as "
        "--solver-option axis=AXIS.",
    ),
    option(
        Group.METHOD,
        "--solver-option",
        "solver_options",
        metavar="NAME=VALUE",
        multiple=True,
        callback=parse_pairs,
        help="Option of the method, for example start=row or axis=output; fwsvd-export methods --json lists them. "
        "Repeatable.",
    ),
)


# Adds the options of refinement; pass their values to ``refine_request``.
refine_options = together(
    option(
        Group.METHOD,
        "--refine",
        type=OneOf(("none", *REFINE_SCOPES)),
        default="none",
        show_default=True,
        help="Refinement on text without labels, to predict what MODEL does: none, layers (every encoder layer on its "
        "own), or model (all together).",
    ),
    option(
        Group.METHOD,
        "--refine-data",
        type=PATH,
        show_default="all rows of --data",
        help="File with the text to refine on; its labels are not read.",
    ),
    option(
        Group.METHOD,
        "--refine-minutes",
        type=float,
        show_default=f"{REFINE_MINUTES:g}",
        help="Time that refinement may take, about.",
    ),
)


def refine_request(options: Options) -> RefineRequest | None:
    """The record of the options of refinement, taken out of ``options``; the data's options stay in it.

    Raises:
        click.UsageError: what is for refinement without it, or refinement together with --max-drop.
        FwsvdExportError: a value that is not allowed.
    """
    scope, file, minutes = (options.pop(name) for name in ("refine", "refine_data", "refine_minutes"))
    if scope == "none":
        for name, value in (("--refine-data", file), ("--refine-minutes", minutes)):
            if value is not None:
                raise click.UsageError(f"{name} is for refinement, which --refine none leaves out; give --refine model")
        return None
    if options["max_drop"] is not None:
        raise click.UsageError(
            "--max-drop tries several sizes, and --refine trains one for minutes: give a size with --refine, and "
            "compare the result with evaluate --against MODEL"
        )
    from fwsvd_export.workflows.refine import RefineRequest

    data = None
    if file is not None:
        data = data_request({**options, **in_place_of_data(options, file)})
    return RefineRequest(scope, REFINE_MINUTES if minutes is None else minutes, data)


def deployment_request(options: Options) -> DeploymentRequest | None:
    """The record of --for and --runtime, taken out of ``options``.

    Raises:
        click.UsageError: --for without --max-drop, or --runtime without --for.
    """
    goal, runtimes = options.pop("goal"), options.pop("runtimes")
    if goal is None:
        if runtimes is not None:
            raise click.UsageError("--runtime is for --for, which searches what to deploy; give --for size or latency")
        return None
    if options["max_drop"] is None:
        raise click.UsageError(f"--for {goal} makes small what an accuracy target allows; give --max-drop too")
    return DeploymentRequest(goal) if runtimes is None else DeploymentRequest(goal, runtimes)


def size_request(options: Options) -> RankRequest:
    """The record of the size options, taken out of ``options`` except for ``max_drop``.

    With --max-drop the budget is the whole model: the search tries smaller ones.

    Raises:
        click.UsageError: neither a size nor --max-drop, or both.
        RankError: a value that is not allowed.
    """
    max_drop = options["max_drop"]
    ratio, rank, params = (options.pop(name) for name in ("ratio", "rank", "params"))
    sized = (ratio, rank, params) != (None, None, None)
    if max_drop is None and not sized:
        raise click.UsageError("no size given: give exactly one of --ratio, --rank, --params and --max-drop")
    if max_drop is not None and sized:
        raise click.UsageError("give a size or --max-drop, not both: it searches for the size")
    budget = Budget(ratio=1.0) if max_drop is not None else Budget(ratio, rank, params)
    return size_limits(options, budget)


def size_limits(options: Options, budget: Budget) -> RankRequest:
    """The record of a budget with the options that go with any, taken out of ``options``.

    Raises:
        RankError: a value that is not allowed.
    """
    limits = RankLimits(*(options.pop(name) for name in ("rank_multiple", "min_rank", "max_rank", "keep_dense")))
    allocate, embeddings, cost, widths = (options.pop(name) for name in ("allocate", "embeddings", "cost", "widths"))
    return RankRequest(budget, allocate, limits, embeddings, cost, widths)


def solver_options(options: Options) -> dict[str, str]:
    """--solver-option with --fisher-axis among them, taken out of ``options`` except for ``method``.

    Raises:
        SolverOptionError: --fisher-axis with another method than fwsvd, or two different values.
    """
    from fwsvd_export.solvers.options import with_fisher_axis

    return with_fisher_axis(options["method"], options.pop("solver_options"), options.pop("fisher_axis"))


def reconstruct_wish(options: Options) -> bool | None:
    """--reconstruct or its former name --match, taken out of ``options``; None when neither was given.

    Raises:
        click.UsageError: both were given, and they contradict each other.
    """
    reconstruct: bool | None = options.pop("reconstruct")
    match: bool | None = options.pop("match")
    if None not in (reconstruct, match) and reconstruct != match:
        raise click.UsageError("--match is the former name of --reconstruct, and they contradict; give one of them")
    return match if reconstruct is None else reconstruct
