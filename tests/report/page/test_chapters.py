"""Folders are put together when the digests of their dense models are the same, and never by a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import pytest

from fwsvd_export.hub.card.measurements import Measurements
from fwsvd_export.report.page.chapters import chapters_of
from fwsvd_export.report.page.facts import BenchFacts, CheckpointFacts, Facts, LossFacts, SweepFacts
from tests.report.page.results import BASE, SMALL, bench_result, losses, record, sweep_result


def sweep(label: str, sha256: str | None, model: str = "dense") -> SweepFacts:
    return SweepFacts(label, sweep_result(base_sha256=sha256, model=model))


SAME: list[Facts] = [
    sweep("sweep", BASE),
    BenchFacts("bench", bench_result()),
    CheckpointFacts("small", record(), SMALL, False, Measurements()),
    LossFacts("losses", losses()),
]


@pytest.mark.parametrize("order", permutations(range(4)))
def test_folders_of_one_model_make_one_chapter_in_any_order(order: Sequence[int]) -> None:
    (chapter,) = chapters_of([SAME[place] for place in order])
    assert (chapter.name, chapter.base.sha256) == ("dense", BASE)
    kinds = (chapter.sweeps, chapter.benches, chapter.checkpoints, chapter.losses)
    assert [facts for (facts,) in kinds] == SAME
    assert (chapter.methods, chapter.shares) == ({SMALL: "kfac"}, {SMALL: 0.1})


def test_models_of_one_name_and_other_weights_stand_apart() -> None:
    chapters = chapters_of([sweep("one", BASE), sweep("other", "9" * 64)])
    assert [chapter.name for chapter in chapters] == ["dense (aaaaaaaa)", "dense (99999999)"]
    assert [chapter.sweeps[0].label for chapter in chapters] == ["one", "other"]


def test_a_model_without_a_digest_is_never_put_to_another_one() -> None:
    chapters = chapters_of([sweep("one", None), sweep("other", None), sweep("third", BASE)])
    assert [chapter.sweeps[0].label for chapter in chapters] == ["one", "other", "third"]
    assert [chapter.name for chapter in chapters] == ["dense (number 1)", "dense (number 2)", "dense (aaaaaaaa)"]


def test_names_tell_no_folders() -> None:
    (chapter,) = chapters_of([sweep("sweep", BASE, "/home/me/models/mine")])
    assert chapter.name == "mine"
    chapters = chapters_of([sweep("one", BASE, "a/model"), sweep("other", "9" * 64, "b/model")])
    assert [chapter.name for chapter in chapters] == ["a/model", "b/model"]


def test_chapters_come_in_the_order_of_the_folders() -> None:
    found = [sweep("one", "1" * 64, "first"), sweep("two", BASE), replace(sweep("three", "1" * 64, "first"))]
    first, second = chapters_of(found)
    assert [facts.label for facts in first.sweeps] == ["one", "three"]
    assert [facts.label for facts in second.sweeps] == ["two"]
