"""Rank per layer as a heat map: encoder layers down, the roles of the linear layers across."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fwsvd_export.report.page.parts import Figure, Plot
from fwsvd_export.report.page.plot import Layout, Trace, axis, hover, layout, shown
from fwsvd_export.report.page.roles import places_of, role_names

_ROW = 30  # pixels of an encoder layer
_HEAD = 110  # … of the roles' names
_SMALLEST = 220
_TURN = 2 / 3  # of the largest rank: where dark and light text are as readable on the colour of the cell
HEAT = [[0, "var(--heat-low)"], [_TURN, "var(--heat-turn)"], [1, "var(--heat-high)"]]


@dataclass(frozen=True)
class RankMap:
    """The ranks of one compressed model.

    Attributes:
        label: of the model.
        ranks: layer -> rank; None for a dense one.
        full: layer -> its largest possible rank, where that is known.
        notes: layer -> what else is said of it on hover.
    """

    label: str
    ranks: dict[str, int | None]
    full: dict[str, int]
    notes: dict[str, str]


def rank_figure(maps: Sequence[RankMap]) -> Figure | None:
    """A heat map per model, chosen from a list; None without factorised layers."""
    drawn = [found for found in maps if any(rank is not None for rank in found.ranks.values())]
    if not drawn:
        return None
    plots = tuple(Plot(found.label, _traces(found), _layout(found)) for found in drawn)
    summary = (
        "The rank of every linear layer, encoder layers from the top down, roles from left to right; the stronger the "
        "colour, the larger. Layers that stay dense have their full rank."
    )
    return Figure("Rank per layer", summary, plots, choice="Model")


def _value(found: RankMap, name: str) -> int:
    """The rank; of a dense layer the full one, or where that is not known the largest in the map."""
    rank = found.ranks[name]
    if rank is not None:
        return rank
    return found.full.get(name, max(rank or 0 for rank in found.ranks.values()))


def _grid(found: RankMap) -> tuple[list[str], list[str], dict[tuple[str, str], str]]:
    """Encoder layers, roles, and (encoder layer, role) -> name of the linear layer."""
    places = {place: name for name, place in places_of(found.ranks).items()}
    layers = list(dict.fromkeys(layer for layer, _ in places))
    return layers, list(dict.fromkeys(role for _, role in places)), places


def _traces(found: RankMap) -> list[Trace]:
    """The weak cells and the strong ones: a drawing has texts of one colour."""
    largest = max(_value(found, name) for name in found.ranks)
    return [_cells(found, largest, strong=False), _cells(found, largest, strong=True)]


def _cells(found: RankMap, largest: int, *, strong: bool) -> Trace:
    layers, roles, places = _grid(found)

    def in_trace(name: str) -> bool:
        return (_value(found, name) > _TURN * largest) is strong

    names = [
        [name if (name := places.get((layer, role))) is not None and in_trace(name) else None for role in roles]
        for layer in layers
    ]
    return {
        "type": "heatmap",
        "x": [shown(role) for role in role_names(roles)],
        "y": [shown(layer) for layer in layers],
        "z": [[None if name is None else _value(found, name) for name in row] for row in names],
        "zmin": 0,
        "zmax": largest,
        "text": [["" if name is None else _text(found.ranks[name]) for name in row] for row in names],
        "texttemplate": "%{text}",
        "textfont": {"color": f"var(--heat-text-{'strong' if strong else 'weak'})", "size": 12},
        "customdata": [["" if name is None else _hover(found, name) for name in row] for row in names],
        "hovertemplate": "%{customdata}<extra></extra>",
        "hoverongaps": False,
        "colorscale": HEAT,
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
    }


def _text(rank: int | None) -> str:
    return "dense" if rank is None else f"{rank:,}"


def _hover(found: RankMap, name: str) -> str:
    rank, full = found.ranks[name], found.full.get(name)
    of = "" if full is None else f" of {full:,}"
    line = "dense" if rank is None else f"rank {rank:,}{of}"
    return hover(shown(name), line, *([shown(found.notes[name])] if name in found.notes else []))


def _layout(found: RankMap) -> Layout:
    layers, _, _ = _grid(found)
    x = axis("", side="top", showgrid=False, type="category", ticks="", showline=False)
    y = axis("encoder layer", autorange="reversed", showgrid=False, type="category", ticks="", showline=False)
    return layout(x, y, height=max(_SMALLEST, _HEAD + _ROW * len(layers)))
