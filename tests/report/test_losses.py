"""losses.json reads what it writes, files of before too, and refuses what does not fit."""

from __future__ import annotations

import pytest

from fwsvd_export.errors import ReportError
from fwsvd_export.report.losses import RecordedLoss, RecordedLosses

LOSSES = RecordedLosses(
    rank_correlation=None,
    layers=(RecordedLoss("layer.0.query", 4, 0.1, 0.2),),
    examples=8,
    base_model="dense",
    base_sha256="a" * 64,
    method="kfac",
)


def test_reads_what_it_writes() -> None:
    assert RecordedLosses.from_json(LOSSES.to_json(), "losses.json", ReportError) == LOSSES


def test_files_of_earlier_versions_do_not_say_their_model() -> None:
    document = {name: LOSSES.to_json()[name] for name in ("rank_correlation", "layers", "examples")}
    found = RecordedLosses.from_json(document, "losses.json", ReportError)
    assert (found.base_model, found.base_sha256, found.method) == (None, None, None)
    assert found.layers == LOSSES.layers


def test_what_does_not_fit_is_named() -> None:
    layers = [{**LOSSES.to_json()["layers"][0], "rank": 0}]
    with pytest.raises(ReportError) as caught:
        RecordedLosses.from_json({**LOSSES.to_json(), "layers": layers}, "losses.json", ReportError)
    assert str(caught.value) == (
        "losses.json: layers[0].rank is 0, a whole number from 1 to 10^15 is needed; compress again with --report"
    )
