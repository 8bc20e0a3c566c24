"""How sentences and tables word what is counted and named: numbers with nouns, many names as few, names cut short."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath


def counted(number: int, noun: str) -> str:
    """A number with its noun, which gets an s unless there is one of it.

    Example:
        >>> counted(1, "model"), counted(0, "linear weight"), counted(20_000, "token")
        ('1 model', '0 linear weights', '20,000 tokens')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def grouped(names: Iterable[str]) -> list[str]:
    """Names that differ in their first number alone, as one name with the range of the numbers.

    Args:
        names: parts between dots; a number is a part of digits alone.

    Returns:
        In the order in which the groups begin.

    Example:
        >>> grouped(["layer.0.query", "layer.0.key", "layer.1.query", "layer.3.query", "pooler"])
        ['layer.0-1,3.query', 'layer.0.key', 'pooler']
    """
    numbers: dict[tuple[str, ...], list[int]] = {}
    for name in names:
        parts = name.split(".")
        place = next((place for place, part in enumerate(parts) if part.isdecimal()), None)
        found = numbers.setdefault((name,) if place is None else _around(parts, place), [])
        if place is not None:
            found.append(int(parts[place]))
    return [key[0] if len(key) == 1 else f"{key[0]}{_ranges(found)}{key[1]}" for key, found in numbers.items()]


def shortest_names(paths: Sequence[str]) -> list[str]:
    """What paths or ids end in: the last part of each, and as many before it as tell it apart from all others.

    Args:
        paths: different ones, with slashes.

    Example:
        >>> shortest_names(["dense", "a/model/", "b/model"])
        ['dense', 'a/model', 'b/model']
    """
    parts = [PurePosixPath(path).parts or (path,) for path in paths]

    def shortest(own: tuple[str, ...]) -> str:
        tails = (own[-length:] for length in range(1, len(own)))
        told_apart = (tail for tail in tails if sum(other[-len(tail) :] == tail for other in parts) == 1)
        return str(PurePosixPath(*next(told_apart, own)))

    return [shortest(own) for own in parts]


def _around(parts: Sequence[str], place: int) -> tuple[str, str]:
    """What stands before and behind a part, dots included."""
    return "".join(f"{part}." for part in parts[:place]), "".join(f".{part}" for part in parts[place + 1 :])


def _ranges(numbers: Iterable[int]) -> str:
    """``0-2,5`` of 5, 0, 1 and 2."""
    ends: list[list[int]] = []
    for number in sorted(set(numbers)):
        if ends and ends[-1][1] == number - 1:
            ends[-1][1] = number
        else:
            ends.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ends)


def neurons_in_words(left: Sequence[int], before: int) -> str:
    """How many neurons feed-forward parts have left.

    Example:
        >>> neurons_in_words([576, 288, 576], 1536)
        '288 to 576 of 1,536 in 3 layers'
    """
    least, most = min(left), max(left)
    span = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    return f"{span} of {before:,} in {counted(len(left), 'layer')}"
