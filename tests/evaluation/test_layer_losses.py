"""What one layer's factors cost when it alone is replaced, and the model left as it was."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoTokenizer

from fwsvd_export import collect_statistics
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.checkpoints.weights import weights_sha256
from fwsvd_export.compression.narrow import Surgery
from fwsvd_export.compression.prepare import compress_model
from fwsvd_export.data.batches import Batches
from fwsvd_export.data.tasks import TASKS
from fwsvd_export.evaluation import layer_losses
from fwsvd_export.evaluation.layer_losses import LayerLosses, measure_layer_losses
from fwsvd_export.records import TEMPERATURE, Budget, Factors, RankLimits, RankPlan, RankRequest, Solution
from tests.helpers import inputs_of

LAYER = "encoder.layer.0.intermediate.dense"


@pytest.fixture
def batches(tiny_folder: Path, make_sentences: Callable[..., list[str]]) -> Batches:
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    rows = [{**tokenizer(text), "labels": index % 2} for index, text in enumerate(make_sentences(30))]
    return Batches(rows, tokenizer, 4, TASKS["sst2"])


def solutions_of(model: Any, rank: int = 6, **limits: Any) -> dict[str, Solution]:
    size = RankRequest(Budget(rank=rank), limits=RankLimits(**limits))
    return dict(compress_model(inputs_of(model, "svd", size, None)).solutions)


def by_name(losses: LayerLosses) -> dict[str, float]:
    return {loss.name: loss.measured for loss in losses.layers}


@torch.no_grad()
def test_the_measured_loss_is_that_of_a_model_with_this_layer_alone_replaced(tiny_model: Any, batches: Batches) -> None:
    solutions = solutions_of(tiny_model)
    found = measure_layer_losses(encoder_of(tiny_model), solutions, batches)
    assert [loss.name for loss in found.layers] == [layer.name for layer in encoder_of(tiny_model).layers]
    assert {loss.rank for loss in found.layers} == {6}
    assert {loss.name: loss.predicted for loss in found.layers} == {
        name: solution.loss for name, solution in solutions.items()
    }
    single = [
        Batches(batches._encoded[place : place + 1], batches._pad.tokenizer, 1, batches.task)[0] for place in range(30)
    ]

    def predictions() -> Tensor:
        logits = torch.cat([tiny_model(**batch).logits for batch in single]).double()
        return (logits / TEMPERATURE).log_softmax(dim=-1)

    dense = predictions()
    weight = tiny_model.bert.get_submodule(LAYER).weight
    kept = weight.clone()
    factors = solutions[LAYER].factors
    weight.copy_(factors.up @ factors.down)
    expected = float((dense.exp() * (dense - predictions())).sum(dim=-1).mean())
    weight.copy_(kept)
    assert by_name(found)[LAYER] == pytest.approx(expected, rel=1e-3)
    assert expected > 1e-5


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_as_before(training: bool, tiny_model: Any, batches: Batches) -> None:
    tiny_model.train(training)
    before = weights_sha256(tiny_model)
    first = measure_layer_losses(encoder_of(tiny_model), solutions_of(tiny_model), batches)
    assert weights_sha256(tiny_model) == before
    assert all(module.training is training for module in tiny_model.modules())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in tiny_model.parameters())
    assert measure_layer_losses(encoder_of(tiny_model), solutions_of(tiny_model), batches) == first, "dropout is off"


@pytest.mark.parametrize("passes", [0, 9, 20])
def test_the_model_is_as_before_when_a_pass_fails(
    passes: int, tiny_model: Any, batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, done = weights_sha256(tiny_model.train()), []

    def fail_later(module: Any, inputs: Any) -> None:
        done.append(1)
        if len(done) > passes:
            raise KeyboardInterrupt

    solutions = solutions_of(tiny_model)
    handle = tiny_model.classifier.register_forward_pre_hook(fail_later)
    with pytest.raises(KeyboardInterrupt):
        measure_layer_losses(encoder_of(tiny_model), solutions, batches)
    handle.remove()
    assert weights_sha256(tiny_model) == before
    assert tiny_model.training


def test_factors_that_change_nothing_cost_nothing(tiny_model: Any, batches: Batches) -> None:
    weight = tiny_model.bert.get_submodule(LAYER).weight.detach()
    exact = Factors(torch.eye(32), weight.clone())
    halved = Factors(torch.eye(32) / 2, weight.clone())
    exactly, half = (
        measure_layer_losses(encoder_of(tiny_model), {LAYER: Solution(factors, 0.5, "exact")}, batches).layers[0]
        for factors in (exact, halved)
    )
    assert exactly.measured == pytest.approx(0, abs=1e-7)
    assert half.measured > 1e-4
    assert (half.rank, half.predicted) == (32, 0.5)


def test_layers_that_stay_dense_are_left_out(tiny_model: Any, batches: Batches) -> None:
    solutions = solutions_of(tiny_model, keep_dense=("*.key", "*.0.*"))
    found = measure_layer_losses(encoder_of(tiny_model), solutions, batches)
    layers = [layer.name for layer in encoder_of(tiny_model).layers]
    kept = [name for name in layers if ".1." in name and not name.endswith(".key")]
    assert [loss.name for loss in found.layers] == kept
    assert len(kept) == 5


def test_every_layer_is_a_step(tiny_model: Any, batches: Batches) -> None:
    steps: list[object] = []

    def begin(what: str, total: int) -> Any:
        steps.append((what, total))
        return nullcontext(lambda note="": steps.append(note))

    measure_layer_losses(encoder_of(tiny_model), solutions_of(tiny_model), batches, begin)
    assert steps == [("measuring layer losses", 12), *[""] * 12]


def test_all_of_a_few_examples_are_counted(tiny_model: Any, batches: Batches) -> None:
    assert measure_layer_losses(encoder_of(tiny_model), {}, batches) == LayerLosses((), 30)


@pytest.mark.parametrize(("allowed", "places"), [(30, range(8)), (15, [0, 2, 4, 6]), (8, [0, 3, 6])])
def test_examples_of_all_lengths_are_taken_when_there_are_many(
    allowed: int, places: Any, tiny_model: Any, batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_losses, "EXAMPLES", allowed)
    seen: list[tuple[int, ...]] = []
    handle = tiny_model.bert.embeddings.word_embeddings.register_forward_pre_hook(
        lambda module, inputs: seen.append(tuple(inputs[0].shape))
    )
    found = measure_layer_losses(encoder_of(tiny_model), {}, batches)
    handle.remove()
    expected = [tuple(batches[place]["input_ids"].shape) for place in places]
    assert seen == expected
    assert found.examples == sum(examples for examples, _ in expected)
    assert seen[-1][1] > seen[0][1]


def test_predicted_losses_of_kfac_order_the_layers_as_the_measured_ones(tiny_model: Any, batches: Batches) -> None:
    from scipy.stats import spearmanr

    statistics = collect_statistics(tiny_model, batches, labels="sampled")
    size = RankRequest(Budget(rank=10))
    solutions = compress_model(inputs_of(tiny_model, "kfac", size, statistics)).solutions
    losses = measure_layer_losses(encoder_of(tiny_model), solutions, batches).layers
    agreement = spearmanr([loss.predicted for loss in losses], [loss.measured for loss in losses]).statistic
    assert agreement > 0.5
    worse = {name: replace(solution, loss=-solution.loss) for name, solution in solutions.items()}
    assert [loss.measured for loss in measure_layer_losses(encoder_of(tiny_model), worse, batches).layers] == [
        loss.measured for loss in losses
    ]


def test_the_loss_of_a_narrow_layer_is_that_of_the_neurons_that_are_left(tiny_model: Any, batches: Batches) -> None:
    """At full rank a layer before an activation loses nothing, and what the removal costs is the readout's."""
    encoder = encoder_of(tiny_model)
    statistics = collect_statistics(tiny_model, batches)
    part = encoder.feed_forwards[0]
    names = [layer.name for layer in part.layers]
    plan = RankPlan(dict.fromkeys(names, 32), "greedy")
    solutions = Surgery.of(part, encoder, statistics).solutions(48, plan)
    found = by_name(measure_layer_losses(encoder, solutions, batches))
    assert found[names[0]] == pytest.approx(0, abs=1e-6)
    assert found[names[1]] > 10 * abs(found[names[0]])
