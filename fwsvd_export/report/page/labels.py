"""Places for the names of points, so that they cover neither each other nor another point, on a phone's width too."""

from __future__ import annotations

from collections.abc import Sequence

_WIDTH, _HEIGHT = 270.0, 300.0  # pixels of a drawing on a phone, without its axes
_LETTER, _LINE, _MARK = 6.2, 14.0, 12.0  # pixels of a letter, a line and a mark
# plotly's word -> where the middle of the text is, in half widths and in lines from the point
_PLACES = {
    "top center": (0.0, 1.0),
    "bottom center": (0.0, -1.0),
    "middle right": (1.2, 0.0),
    "middle left": (-1.2, 0.0),
    "top right": (1.1, 1.0),
    "top left": (-1.1, 1.0),
    "bottom right": (1.1, -1.0),
    "bottom left": (-1.1, -1.0),
}
Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""Left, right, bottom and top, in pixels."""


def placed(points: Sequence[Point], names: Sequence[str], x: Sequence[float], y: Sequence[float]) -> list[str]:
    """Plotly's word for the place of every name; one that covers something wherever it stands is above its point.

    Args:
        points: where the points are.
        names: one per point.
        x: both ends of the horizontal axis.
        y: both ends of the vertical axis.

    Example:
        >>> placed([(0.5, 0.5), (0.5, 0.53)], ["one", "two"], (0, 1), (0, 1))
        ['bottom center', 'top center']
    """
    middles = [(_scaled(a, x) * _WIDTH, _scaled(b, y) * _HEIGHT) for a, b in points]
    taken = [_box(middle, _MARK, _MARK) for middle in middles]
    found = []
    for middle, name in zip(middles, names, strict=True):
        boxes = {word: _text_box(middle, name, place) for word, place in _PLACES.items()}
        word = next((word for word, box in boxes.items() if _inside(box) and not _covers(box, taken)), "top center")
        taken.append(boxes[word])
        found.append(word)
    return found


def _scaled(value: float, ends: Sequence[float]) -> float:
    low, high = ends
    return (value - low) / (high - low)


def _box(middle: Point, width: float, height: float) -> Box:
    return middle[0] - width / 2, middle[0] + width / 2, middle[1] - height / 2, middle[1] + height / 2


def _text_box(middle: Point, name: str, place: tuple[float, float]) -> Box:
    width = _LETTER * len(name)
    across, up = place
    return _box((middle[0] + across * (width + _MARK) / 2, middle[1] + up * _LINE), width, _LINE - 2)


def _inside(box: Box) -> bool:
    return box[0] >= 0 and box[1] <= _WIDTH + _MARK and box[2] >= 0


def _covers(box: Box, others: Sequence[Box]) -> bool:
    left, right, bottom, top = box
    return any(left < other[1] and other[0] < right and bottom < other[3] and other[2] < top for other in others)
