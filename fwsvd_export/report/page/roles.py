"""Names of linear layers taken apart: the encoder layer that one is in, and its role there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from fwsvd_export.wording import shortest_names

_OUTSIDE = "–"  # in place of a number, for a layer that is in no encoder layer


def places_of(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Layer -> (encoder layer, role), of names with parts between dots.

    Args:
        names: different ones. Where numbers stand behind several names, the encoder layers keep these.

    Example:
        >>> places_of(["encoder.layer.11.mixer.query", "pooler"])
        {'encoder.layer.11.mixer.query': ('11', 'mixer.query'), 'pooler': ('–', 'pooler')}
    """
    parts = {name: _taken_apart(name) for name in names}
    several = len({before for before, number, _ in parts.values() if number}) > 1
    return {
        name: (f"{before}{number}" if several and number else number or _OUTSIDE, role)
        for name, (before, number, role) in parts.items()
    }


def role_names(roles: Sequence[str]) -> list[str]:
    """Roles, as short as tells them apart; a last part that several have in common says nothing and is left out.

    Args:
        roles: different ones.

    Example:
        >>> role_names(["mixer.query", "mixer.readout.linear", "inner.linear", "readout.linear"])
        ['query', 'mixer.readout', 'inner', 'readout']
    """
    short = [name.replace("/", ".") for name in shortest_names([role.replace(".", "/") for role in roles])]
    ends = Counter(name.rpartition(".")[2] for name in short)
    bare = [name.rpartition(".")[0] or name if ends[name.rpartition(".")[2]] > 1 else name for name in short]
    return bare if len(set(bare)) == len(bare) else short


def _taken_apart(name: str) -> tuple[str, str, str]:
    """What stands before the first number, the number, and what stands behind it; without one the name alone."""
    parts = name.split(".")
    at = next((index for index, part in enumerate(parts) if part.isdecimal()), None)
    if at is None or at == len(parts) - 1:
        return "", "", name
    return "".join(f"{part}." for part in parts[:at]), parts[at], ".".join(parts[at + 1 :])
