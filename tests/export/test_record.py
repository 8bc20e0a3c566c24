"""``export.json`` reads and writes itself."""

from __future__ import annotations

from typing import Any

import pytest

from fwsvd_export.errors import CardError
from fwsvd_export.export.record import ExportRecord
from tests.helpers import BOUND

WORST = {"batch_size": 1, "length": 7, "padded": False, "max_difference": 1e-6}
MEASURED = {
    "max_difference": 0.1,
    "task": "sst2",
    "data": "v.jsonl",
    "examples": 8,
    "metric": "accuracy",
    "float_value": 0.75,
    "value": 0.5,
    "max_drop": 0.1,
    "kept": False,
    "kept_float": ["layer"],
    "trials": [{"kept_float": 1, "value": 0.5, "kept": False, "low": -0.375, "high": -0.125}],
    "sensitivities": {"layer": 0.25},
    "drop": 0.25,
    "low": -0.375,
    "high": -0.125,
    "confidence": 0.95,
}
EXPORT: dict[str, Any] = {
    "format": 1,
    "model": "small",
    "class_name": "LowRankBertModel",
    "weights_sha256": "ab" * 32,
    "file_sha256": "",
    "settings": {"hidden_act": "gelu"},
    "opset": 17,
    "check": {"atol": 1e-4, "within": True, "worst": WORST, "shapes": [WORST]},
    "int8": None,
    "files": {"model.onnx": {"bytes": 3, "sha256": "cd" * 32}},
    "seconds": {"load": 0.5},
    "versions": {"onnx": "1"},
    "pooled": False,
}


def read(**values: Any) -> ExportRecord:
    return ExportRecord.from_json({**EXPORT, **values}, "onnx/export.json", CardError)


@pytest.mark.parametrize(
    "int8",
    [
        None,
        {"max_difference": 0.25},  # of before
        MEASURED,
        {"max_difference": 0.25, "saturation": BOUND},
        {**MEASURED, "saturation": BOUND},
    ],
)
def test_what_is_written_is_what_was_read(int8: Any) -> None:
    assert read(int8=int8).to_json() == {**EXPORT, "int8": int8}


def test_a_file_of_before_has_no_embedding_among_its_outputs() -> None:
    before = {name: value for name, value in EXPORT.items() if name != "pooled"}
    assert ExportRecord.from_json(before, "onnx/export.json", CardError) == read()
    assert read(pooled=True).pooled


def test_a_file_of_before_knows_no_intervals() -> None:
    before = {name: value for name, value in MEASURED.items() if name not in ("low", "high", "confidence")}
    int8 = read(int8={**before, "trials": [{"kept_float": 1, "value": 0.5, "kept": False}]}).int8
    assert int8 is not None
    assert (int8.low, int8.high, int8.confidence, int8.trials[0].low, int8.trials[0].high) == (None,) * 5
    assert list(read().to_json()) == list(EXPORT)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"format": 2}, "has format 2, this version reads 1"),
        ({"check": 3}, "check is 3, an object is needed; run fwsvd-export onnx --overwrite again"),
        ({"check": {**EXPORT["check"], "atol": "x"}}, "check.atol is 'x', a number within"),
        ({"check": {**EXPORT["check"], "within": 1}}, "check.within is 1, true or false is needed"),
        ({"check": {**EXPORT["check"], "shapes": [3]}}, "check.shapes[0] is 3, an object is needed"),
        ({"int8": {}}, "int8 has no max_difference"),
        (
            {"int8": {"max_difference": 1, "saturation": "safe"}},
            "int8.saturation is 'safe', an object or null is needed",
        ),
        (
            {"int8": {"max_difference": 1, "saturation": {**BOUND, "safe": 1}}},
            "int8.saturation.safe is 1, true or false is needed; run fwsvd-export onnx --overwrite again",
        ),
        (
            {"int8": {"max_difference": 1, "saturation": {**BOUND, "largest_pair_sum": -1}}},
            "int8.saturation.largest_pair_sum is -1, a whole number from 0 to 10^15 is needed",
        ),
        ({"int8": {"max_difference": 1, "saturation": {}}}, "int8.saturation has no matrices"),
        ({"files": {"model.onnx": {}}}, "files.model.onnx has no bytes"),
    ],
)
def test_what_is_no_record_is_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(CardError) as caught:
        read(**values)
    assert str(caught.value).startswith("onnx/export.json")
    assert reason in str(caught.value)
