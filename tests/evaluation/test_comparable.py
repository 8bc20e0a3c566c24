"""Which models can be compared."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.data.tasks import TASKS
from fwsvd_export.errors import DataError
from fwsvd_export.evaluation.comparable import check_same_classes, check_same_head
from tests.helpers import tiny_head


def test_families_may_differ_and_heads_may_not() -> None:
    names = ("BertForSequenceClassification", "DistilBertForSequenceClassification", "BertForTokenClassification")
    classifier, other, tagger = (encoder_of(tiny_head(name)) for name in names)
    check_same_head(classifier, other, "dense")
    with pytest.raises(DataError) as caught:
        check_same_head(classifier, tagger, "dense")
    assert str(caught.value) == (
        "dense is a BertForTokenClassification, and the model that is compared with it a "
        "BertForSequenceClassification: two models with the same head are needed; compare it with the model that it "
        "was made from"
    )


def named(*names: str) -> SimpleNamespace:
    return SimpleNamespace(config=SimpleNamespace(id2label=dict(enumerate(names))))


def test_the_order_of_classes_may_differ_and_the_classes_may_not() -> None:
    task = TASKS["sst2"]
    check_same_classes((named("no", "yes"), task), (named("yes", "no"), task), "dense")
    check_same_classes((named("x"), TASKS["stsb"]), (named("y"), TASKS["stsb"]), "dense")
    with pytest.raises(DataError) as caught:
        check_same_classes((named("no", "yes"), task), (named("bad", "good"), task), "dense")
    assert str(caught.value) == (
        "dense calls its classes bad, good, and the model that is compared with it no, yes: the same ones are needed; "
        "compare it with the model that it was made from, or name the classes of both with --label-names"
    )


def test_names_that_are_given_are_both_models() -> None:
    task = TASKS["sst2"].with_labels(label_names=("no", "yes"))
    check_same_classes((named("LABEL_0", "LABEL_1"), task), (named("bad", "good"), task), "dense")
