"""Refinement brings a compressed model nearer to its dense one on text that was held out, and never further away."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import fwsvd_export as fe
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.errors import DataError, TrainingError
from fwsvd_export.training import refine as module
from fwsvd_export.training.objective import Distillation
from fwsvd_export.training.refine import _apart, _Pace, refine
from fwsvd_export.training.teacher import Teacher
from tests.helpers import HEADS, VOCABULARY, tiny_head

Batch = dict[str, torch.Tensor]
RATE = 1e-3


def text_of(model: Any, count: int = 6) -> list[Batch]:
    """Batches of four examples, the last one of each shorter than the others."""
    shape = (4, 2, 8) if encoder_of(model).head.has_choices else (4, 8)
    batches = []
    for seed in range(count):
        ids = torch.randint(5, VOCABULARY, shape, generator=torch.Generator().manual_seed(seed))
        mask = torch.ones(shape, dtype=torch.int64)
        mask[-1, ..., 5:] = 0
        batches.append({"input_ids": ids, "attention_mask": mask})
    return batches


def state_of(model: Any) -> Batch:
    return {name: values.clone() for name, values in model.state_dict().items()}


def differing(one: Batch, other: Batch) -> set[str]:
    return {name for name, values in one.items() if not torch.equal(values, other[name])}


@pytest.fixture(autouse=True)
def large_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny models of random weights need larger steps than real ones."""
    monkeypatch.setattr(module, "RATES", (RATE,))


@pytest.mark.parametrize("head", HEADS)
def test_every_head_comes_nearer_to_the_dense_model(head: str) -> None:
    dense = tiny_head(head)
    small = fe.compress(dense, method="svd", rank=2)
    # One decision per text says less of the model than one per token; of layers without a norm behind them still less
    count = {"ModernBertForSequenceClassification": 150}.get(
        head, 60 if head.endswith("ForSequenceClassification") else 20
    )
    before, text = state_of(dense), text_of(dense, count)
    done = refine(small, dense, text)
    held_out = 4 * count // 10
    assert (done.examples, done.held_out) == (4 * count - held_out, held_out)
    assert done.batches == module.PASSES * (count - count // 10)
    assert done.best < done.start
    assert 0 < done.best_batch <= done.batches
    assert not small.training
    assert differing(before, state_of(dense)) == set(), "the dense model is as it was"


@pytest.mark.parametrize(("rates", "rank"), [((10.0, RATE, 1e-9), 2), ((RATE, 1e-9), 2), ((10.0, RATE), 28)])
def test_the_rate_is_the_first_whose_short_training_does_little_harm_on_held_out_text(
    rates: tuple[float, ...], rank: int, tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RATES", rates)
    done = refine(fe.compress(tiny_model, method="svd", rank=rank), tiny_model, text_of(tiny_model, 24))
    assert done.learning_rate == RATE, "10 moves too far, and where every rate does, the last one is taken"


def test_labels_are_not_read_and_the_seed_repeats_it(tiny_model: Any) -> None:
    text = text_of(tiny_model)
    labelled = [{**batch, "labels": torch.full((4,), 999)} for batch in text]
    models = [fe.compress(tiny_model, method="svd", rank=2) for _ in range(3)]
    records = [
        refine(model, tiny_model, batches, seed=seed)
        for model, batches, seed in zip(models, (text, labelled, text), (0, 0, 1), strict=True)
    ]
    states = [state_of(model) for model in models]
    assert records[0] == records[1]
    assert differing(states[0], states[1]) == set()
    assert differing(states[0], states[2])


def test_models_in_memory_are_refined_by_the_same_code(tiny_model: Any) -> None:
    small, other = (fe.compress(tiny_model, method="svd", rank=2) for _ in range(2))
    text = text_of(tiny_model)
    done = fe.refine(torch.nn.DataParallel(small), tiny_model, iter(text))
    assert done == refine(other, tiny_model, text)
    assert differing(state_of(small), state_of(other)) == set()


def test_word_embeddings_stay_as_they_are(tiny_model: Any) -> None:
    small = fe.compress(tiny_model, method="svd", rank=2)
    before = state_of(small)
    refine(small, tiny_model, text_of(tiny_model))
    changed = differing(before, state_of(small))
    assert not [name for name in changed if "word_embeddings" in name]
    assert [name for name in changed if ".up." in name]


def test_a_step_that_ruins_the_model_leaves_the_start(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RATES", (10.0,))
    small = fe.compress(tiny_model, method="svd", rank=28)
    before = state_of(small)
    done = refine(small, tiny_model, text_of(tiny_model))
    assert (done.best, done.best_batch) == (done.start, 0)
    assert differing(before, state_of(small)) == set()


def test_little_time_is_fewer_batches(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = text_of(tiny_model, 40)
    few, many = (
        refine(fe.compress(tiny_model, method="svd", rank=2), tiny_model, text, minutes=minutes).batches
        for minutes in (1e-3, 5)
    )
    assert 1 <= few < many == module.PASSES * 36


def test_batches_that_were_answered_take_less_of_the_time() -> None:
    pace = _Pace(batch=2.0, again=1.0, fresh=10, evaluation=5.0)
    assert pace.batches_in(5 * 5 + 2 * 4, evaluations=4) == 4
    assert pace.batches_in(5 * 5 + 2 * 10 + 7, evaluations=4) == 17


@pytest.mark.parametrize("family", ["Bert", "DistilBert"])
def test_layers_are_fitted_apart(family: str) -> None:
    dense = tiny_head(f"{family}ForSequenceClassification")
    small = fe.compress(dense, method="svd", rank=2)
    encoder, batch = encoder_of(small), text_of(dense)[0]

    def moved() -> list[bool]:
        """Whether the predictions' divergence alone has a gradient in each encoder layer."""
        small.zero_grad(set_to_none=True)
        Distillation(Teacher(encoder_of(dense)))(small, encoder, batch).backward()
        layers = [encoder.module(encoder.family.layer.format(place)) for place in range(len(encoder.blocks))]
        return [any(value.grad is not None for value in layer.parameters()) for layer in layers]

    assert moved() == [True, True]
    with _apart(encoder):
        assert moved() == [False, True]
    assert moved() == [True, True], "nothing stays on the model"
    done = refine(small, dense, text_of(dense, 20), scope="layers")
    assert done.scope == "layers"
    assert done.best < done.start


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"minutes": 0}, "refine minutes 0: a number above 0 is allowed"),
        ({"minutes": float("nan")}, "refine minutes nan: a number above 0 is allowed"),
        ({"scope": "all"}, "refine 'all': one of layers, model is allowed"),
    ],
)
def test_what_is_not_allowed_is_refused(tiny_model: Any, options: dict[str, Any], said: str) -> None:
    small = fe.compress(tiny_model, method="svd", rank=2)
    with pytest.raises(TrainingError, match=said):
        refine(small, tiny_model, text_of(tiny_model), **options)


def test_one_batch_cannot_be_held_out_and_trained_on(tiny_model: Any) -> None:
    small = fe.compress(tiny_model, method="svd", rank=2)
    with pytest.raises(DataError, match=r"there is 1 batch: give at least two batches of text"):
        refine(small, tiny_model, text_of(tiny_model, 1))


def test_another_dense_model_is_refused(tiny_model: Any) -> None:
    small = fe.compress(tiny_model, method="svd", rank=2)
    with pytest.raises(TrainingError, match="give the dense model that it was compressed from"):
        refine(small, tiny_head("BertForTokenClassification"), text_of(tiny_model))
