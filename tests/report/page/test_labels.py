"""Names of points cover no point and no other name, where there is room."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fwsvd_export.report.page import labels
from fwsvd_export.report.page.labels import placed

UNIT = (0.0, 1.0)
POINTS = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=6)


@given(POINTS)
def test_a_name_that_covers_something_is_above_its_point(points: list[tuple[float, float]]) -> None:
    names = [f"model-{place}" for place in range(len(points))]
    found = placed(points, names, UNIT, UNIT)
    middles = [(x * labels._WIDTH, y * labels._HEIGHT) for x, y in points]
    taken = [labels._box(middle, labels._MARK, labels._MARK) for middle in middles]
    for middle, name, word in zip(middles, names, found, strict=True):
        box = labels._text_box(middle, name, labels._PLACES[word])
        assert word == "top center" or not labels._covers(box, taken)
        taken.append(box)


def test_far_points_have_their_names_above_them_and_near_ones_apart() -> None:
    assert placed([(0.3, 0.2), (0.7, 0.8)], ["a", "b"], UNIT, UNIT) == ["top center", "top center"]
    assert len(set(placed([(0.5, 0.5), (0.52, 0.5), (0.5, 0.52)], ["model"] * 3, UNIT, UNIT))) == 3
