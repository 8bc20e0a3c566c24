"""Training learns, keeps the best weights, repeats itself, and goes on where it was killed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import fwsvd_export as fe
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.checkpoints.tokenizer import load_tokenizer
from fwsvd_export.data.batches import Batches
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import task_named
from fwsvd_export.errors import MissingExtraError, TrainingWarning, WeightError
from fwsvd_export.training.settings import TrainingSettings
from fwsvd_export.training.state import training_state
from fwsvd_export.training.train import train

SETTINGS = TrainingSettings(epochs=3, learning_rate=3e-3, evaluations=3)


@pytest.fixture
def batches(tiny_folder: Path, data_file: Path, tiny_model: Any) -> Batches:
    request = DataRequest(task_named("sst2"), data_file, batch_size=8)
    return load_batches(request, load_tokenizer(load_checkpoint(str(tiny_folder))), encoder_of(tiny_model))


def gain(batches: Batches) -> Callable[[Any], float]:
    """A metric: the loss on labels, upside down."""

    @torch.no_grad()
    def score(model: Any) -> float:
        assert not model.training
        return -float(sum(model(**batch).loss for batch in batches))

    return score


def state_of(model: Any) -> dict[str, torch.Tensor]:
    return {name: values.clone() for name, values in model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(values, other[name]) for name, values in one.items())


@pytest.mark.parametrize("compressed", [False, True])
def test_labels_are_learned_and_the_mode_is_evaluation(tiny_model: Any, batches: Batches, compressed: bool) -> None:
    model = fe.compress(tiny_model, method="svd", rank=8) if compressed else tiny_model
    history = train(model, batches, SETTINGS, score=gain(batches))
    assert history.best.value > history.start.value
    assert gain(batches)(model) == pytest.approx(history.best.value)
    assert [step.step for step in history.steps] == [0, *range(len(batches), 3 * len(batches) + 1, len(batches))]
    assert history.planned == 3 * len(batches)
    assert not model.training


@pytest.mark.parametrize("distilled", [False, True])
def test_what_is_learned_in_bfloat16_is_measured_and_left_in_float32(
    tiny_model: Any, batches: Batches, distilled: bool
) -> None:
    small, forward = fe.compress(tiny_model, method="svd", rank=8), type(tiny_model).forward
    settings = replace(SETTINGS, precision="bfloat16")
    kinds: list[bool] = []

    @torch.no_grad()
    def score(model: Any) -> float:
        wanted = [tiny_model(**batch).logits if distilled else None for batch in batches]
        found = [model(**batch) for batch in batches]
        kinds.append(torch.is_autocast_enabled("cpu") or any("forward" in vars(part) for part in model.modules()))
        if not distilled:
            return -float(sum(output.loss for output in found))
        return -sum(float((output.logits - right).square().mean()) for output, right in zip(found, wanted, strict=True))

    history = train(small, batches, settings, score=score, teacher=tiny_model if distilled else None)
    values = [step.value for step in history.steps]
    assert len(set(values)) == len(values), "every evaluation sees other weights"
    assert history.best.value > history.start.value
    assert score(small) == history.best.value
    assert not any(kinds)
    assert type(tiny_model).forward is forward
    assert all(parameter.dtype == torch.float32 for parameter in small.parameters())


def test_a_training_in_bfloat16_leaves_nothing_to_the_next_one(
    tiny_model: Any, batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")  # as a launcher that is configured so leaves it
    wanted = fe.compress(tiny_model, method="svd", rank=8)
    models = [fe.compress(tiny_model, method="svd", rank=8) for _ in range(2)]
    train(models[0], batches, replace(SETTINGS, precision="bfloat16"), score=gain(batches))
    train(models[1], batches, SETTINGS, score=gain(batches))
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION")
    train(wanted, batches, SETTINGS, score=gain(batches))
    assert same(state_of(models[1]), state_of(wanted))
    assert not same(state_of(models[0]), state_of(wanted))


@pytest.mark.parametrize("rounds", [0, 2])
def test_a_training_that_ruins_the_weights_ends_with_the_best_before(
    tiny_model: Any, batches: Batches, rounds: int
) -> None:
    small = fe.compress(tiny_model, method="svd", rank=8)
    before, values = state_of(small), iter([0.5, *(0.6 + 0.1 * number for number in range(rounds))])

    def score(model: Any) -> float:
        value = next(values, None)
        if value is None:
            raise WeightError("the model predicts NaN or infinite values; its weights are damaged")
        return value

    settings = replace(SETTINGS, evaluations=4, epochs=4)
    with pytest.warns(TrainingWarning, match=r"diverged within \d+ steps: .*; give a lower learning rate than 0.003"):
        history = train(small, batches, settings, score=score)
    assert [step.step for step in history.steps] == [len(batches) * number for number in range(rounds + 1)]
    assert same(state_of(small), before) is (rounds == 0)


def test_a_run_that_was_killed_after_its_last_step_trains_no_more(
    tiny_model: Any, batches: Batches, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, epochs=0.5, evaluations=3)
    histories = []
    for killed in (True, False):
        small = fe.compress(tiny_model, method="svd", rank=8)
        with suppress(KeyboardInterrupt), training_state(tmp_path / "state", {"run": 0}) as state:
            histories.append(train(small, batches, settings, score=gain(batches), state=state))
            if killed:
                raise KeyboardInterrupt
    assert histories[0] == histories[1]


def test_a_teacher_is_learned_without_labels(tiny_model: Any, batches: Batches) -> None:
    small = fe.compress(tiny_model, method="svd", rank=8)
    texts = [{name: values for name, values in batch.items() if name != "labels"} for batch in batches]

    @torch.no_grad()
    def closeness(model: Any) -> float:
        return -sum(float((model(**text).logits - tiny_model(**text).logits).square().mean()) for text in texts)

    history = train(small, texts, SETTINGS, score=closeness, teacher=tiny_model)
    assert history.best.value > history.start.value / 2


def test_what_was_never_better_than_the_start_is_the_start(tiny_model: Any, batches: Batches) -> None:
    small = fe.compress(tiny_model, method="svd", rank=8)
    before, values = state_of(small), iter([1.0, 0.5, 0.25, 1.0])
    history = train(small, batches, SETTINGS, score=lambda model: next(values))
    assert history.best.step == 0
    assert same(state_of(small), before)


def test_the_best_weights_are_kept_and_not_the_last(tiny_model: Any, batches: Batches) -> None:
    small, seen = fe.compress(tiny_model, method="svd", rank=8), []
    values = iter([0.0, 0.2, 0.9, 0.1])

    def score(model: Any) -> float:
        seen.append(state_of(model))
        return next(values)

    assert train(small, batches, SETTINGS, score=score).best.value == 0.9
    assert same(state_of(small), seen[2])
    assert not same(seen[2], seen[3])


def test_patience_ends_the_training(tiny_model: Any, batches: Batches) -> None:
    values = iter([0.5, 0.4, 0.3])
    settings = TrainingSettings(epochs=3, learning_rate=1e-3, evaluations=6, patience=2)
    history = train(tiny_model, batches, settings, score=lambda model: next(values))
    assert [step.value for step in history.steps] == [0.5, 0.4, 0.3]


@pytest.mark.parametrize("embeddings", ["freeze", "train"])
def test_word_embeddings_are_trained_only_when_asked(tiny_model: Any, batches: Batches, embeddings: str) -> None:
    encoder = encoder_of(tiny_model)
    words = encoder.module(encoder.embedding.name).weight
    before = words.detach().clone()
    settings = TrainingSettings(epochs=1, learning_rate=3e-3, evaluations=1, embeddings=embeddings)
    values = iter([0.0, 1.0])
    train(tiny_model, batches, settings, score=lambda model: next(values))
    assert torch.equal(words, before) is (embeddings == "freeze")
    assert words.requires_grad


def test_the_same_seed_trains_the_same_model(tiny_folder: Path, batches: Batches) -> None:
    trained = []
    for seed in (3, 3, 4):
        model, values = load_checkpoint(str(tiny_folder)).model, iter([0.0, 1.0])
        settings = TrainingSettings(epochs=1, learning_rate=1e-3, evaluations=1, seed=seed)
        train(model, batches, settings, score=lambda model, values=values: next(values))
        trained.append(state_of(model))
    assert same(trained[0], trained[1])
    assert not same(trained[0], trained[2])


@pytest.mark.parametrize("taught", [False, True])
@pytest.mark.parametrize("killed_at", [0, 1, 2, 3])
def test_a_killed_run_goes_on_and_ends_with_the_same_weights(
    tiny_model: Any, tiny_folder: Path, batches: Batches, tmp_path: Path, killed_at: int, taught: bool
) -> None:
    teacher = load_checkpoint(str(tiny_folder)).model if taught else None
    score = gain(batches)
    settings = TrainingSettings(epochs=2, learning_rate=3e-3, evaluations=4)
    whole = fe.compress(tiny_model, method="svd", rank=8)
    history = train(whole, batches, settings, score=score, teacher=teacher)
    calls = iter(range(killed_at + 1))

    def killed(model: Any) -> float:
        if next(calls) == killed_at:
            raise KeyboardInterrupt
        return score(model)

    small = fe.compress(tiny_model, method="svd", rank=8)
    with pytest.raises(KeyboardInterrupt), training_state(tmp_path / "state", {}) as state:
        train(small, batches, settings, score=killed, teacher=teacher, state=state)
    again, steps = fe.compress(tiny_model, method="svd", rank=8), []

    def counting(model: Any) -> float:
        steps.append(model)
        return score(model)

    with training_state(tmp_path / "state", {}) as state:
        continued = train(again, batches, settings, score=counting, teacher=teacher, state=state)
    assert len(steps) == 5 - max(0, killed_at - 1)
    assert [step.value for step in continued.steps] == [step.value for step in history.steps]
    assert same(state_of(again), state_of(whole))


def test_a_missing_library_is_named(tiny_model: Any, batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(MissingExtraError, match=r'pip install "fwsvd-export\[train\]"'):
        train(tiny_model, batches, SETTINGS, score=gain(batches))
