"""Feed-forward parts that lose neurons: predicted losses, factors, and models that compute what they should."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import fwsvd_export as fe
from fwsvd_export.architectures.counts import linear_weights, total_parameters
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.compression.narrow import MULTIPLE, SHARES, Surgery, widths_of
from fwsvd_export.errors import RankError
from fwsvd_export.linalg.weighting import GRADIENT_DAMPING, INPUT_DAMPING
from fwsvd_export.records import RankPlan, Statistics
from tests.helpers import heads_ending, tiny_head

Batches = list[dict[str, Tensor]]
CLASSIFIERS = [
    name
    for name in heads_ending("ForSequenceClassification", "ForTokenClassification")
    if encoder_of(tiny_head(name)).feed_forwards  # gated neurons are not removed
]


def damped(gram: Tensor | None, count: int, share: float) -> Tensor:
    assert gram is not None
    mean = gram.double() / count
    return mean + share * mean.diagonal().mean() * torch.eye(len(mean))


def test_the_predicted_losses_are_those_of_the_factors(tiny_model: Any, statistics: Statistics) -> None:
    """½ tr(D A D^T G) with D between the dense readout and the narrow one, zero where a neuron is gone."""
    encoder = encoder_of(tiny_model)
    part = encoder.feed_forwards[1]
    surgery = Surgery.of(part, encoder, statistics)
    names = [layer.name for layer in part.layers]
    for width, losses in surgery.choices().losses.items():
        for rank in (1, 5, min(width, 32)):
            solutions = surgery.solutions(width, RankPlan(dict.fromkeys(names, rank), "greedy"))
            for name, curve in zip(names, (losses.intermediate, losses.output), strict=True):
                solution, sums = solutions[name], statistics.layers[name]
                factors, kept = solution.factors, solution.neurons
                assert factors is not None
                assert kept is not None
                assert len(kept) == width
                rest = encoder.module(name).weight.detach().double().clone()
                product = factors.up.double() @ factors.down.double()
                inputs = damped(sums.input_gram, statistics.tokens, INPUT_DAMPING)
                assert sums.gradient_gram is not None
                if name == names[0]:  # of neurons that are gone nothing is to be approximated
                    rest = rest[kept] - product
                    gradients = damped(sums.gradient_gram[kept][:, kept], statistics.examples, GRADIENT_DAMPING)
                else:
                    rest[:, kept] -= product
                    gradients = damped(sums.gradient_gram, statistics.examples, GRADIENT_DAMPING)
                direct = 0.5 * float((gradients @ rest @ inputs * rest).sum())
                assert solution.loss == pytest.approx(float(curve[rank]), rel=1e-6)
                assert solution.loss == pytest.approx(direct, rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("neurons", [1, 2, 8, 64, 128, 1536, 3072])
def test_widths_are_fewer_neurons_in_whole_blocks(neurons: int) -> None:
    found = widths_of(neurons)
    assert all(1 <= width < neurons for width in found)
    assert list(found) == sorted(set(found), reverse=True)
    if neurons * min(SHARES) >= MULTIPLE:
        assert all(width % MULTIPLE == 0 for width in found)
        assert max(found) >= neurons / 2


@pytest.mark.parametrize("class_name", CLASSIFIERS)
@pytest.mark.parametrize("reconstruct", [True, False])
def test_a_narrow_model_is_what_its_report_says(
    class_name: str, reconstruct: bool, make_head: Callable[..., Any], make_batches: Callable[..., Batches]
) -> None:
    dense, batches = make_head(class_name), make_batches(24, 8)
    if class_name.endswith("TokenClassification"):
        batches = [{**batch, "labels": batch["input_ids"] % 2} for batch in batches]
    small = fe.compress(dense, batches, ratio=0.2, widths="auto", reconstruct=reconstruct)
    report, widths = small.compression, small.config.low_rank["widths"]
    assert widths
    encoder = encoder_of(small)
    for part in encoder.feed_forwards:
        assert part.neurons == widths.get(part.intermediate.name, 64)
        assert part.output.in_features == part.neurons
    assert linear_weights(encoder) == report.parameters.linear_compressed
    assert total_parameters(small) == report.parameters.total_compressed
    assert report.parameters.linear_compressed <= 0.2 * report.parameters.linear_dense
    assert {layer.name for layer in report.layers if layer.width} == set(report.plan.widths)
    plain, batch = fe.densify(small), {name: batches[0][name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        torch.testing.assert_close(plain(**batch).logits, small(**batch).logits, rtol=1e-4, atol=1e-5)
    assert encoder_of(plain).feed_forwards[0].neurons == 64


def test_reconstruction_brings_a_narrow_model_nearer_to_the_dense_one(
    tiny_model: Any, batches: Batches, statistics: Statistics
) -> None:
    inputs = [{name: batch[name] for name in ("input_ids", "attention_mask")} for batch in batches]

    def distance(reconstruct: bool) -> float:
        small = fe.compress(
            tiny_model, batches, statistics=statistics, ratio=0.3, widths="auto", reconstruct=reconstruct
        )
        assert small.config.low_rank["widths"]
        with torch.no_grad():
            return sum(float((small(**one).logits - tiny_model(**one).logits).square().sum()) for one in inputs)

    assert distance(True) < distance(False)


def test_the_same_neurons_every_time(tiny_model: Any, batches: Batches, statistics: Statistics) -> None:
    first, second = (
        fe.compress(tiny_model, batches, statistics=statistics, ratio=0.2, widths="auto").state_dict() for _ in range(2)
    )
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize(
    ("wishes", "sentence"),
    [
        ({"widths": "some"}, "widths 'some': one of keep, auto is allowed"),
        (
            {"widths": "auto", "method": "svd"},
            "widths auto needs losses of neurons, which method svd does not give; use --method kfac, or leave out "
            "--widths",
        ),
        (
            {"widths": "auto", "allocate": "uniform"},
            "widths auto is one more choice of a greedy allocation, and these ranks are uniform; give --ratio, or "
            "leave out --widths",
        ),
    ],
)
def test_widths_that_nothing_can_choose_are_refused(
    wishes: dict[str, str], sentence: str, tiny_model: Any, batches: Batches
) -> None:
    with pytest.raises(RankError, match=f"^{sentence}$"):
        fe.compress(tiny_model, batches, ratio=0.5, **wishes)  # type: ignore[arg-type]


def test_a_family_that_is_not_run_layer_by_layer_keeps_its_neurons(
    tiny_model: Any, batches: Batches, statistics: Statistics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fwsvd_export.architectures.encoder.Encoder.blocks", ())
    sentence = "widths auto needs to run a model layer by layer, and how is not known of bert; leave out --widths"
    with pytest.raises(RankError, match=f"^{sentence}$"):
        fe.compress(tiny_model, batches, statistics=statistics, ratio=0.5, widths="auto")
    small = fe.compress(tiny_model, statistics=statistics, ratio=0.5, reconstruct=False)
    assert small.compression.plan.widths == {}


@pytest.mark.parametrize("ratio", [1.0, 0.9])
def test_a_model_whose_task_uses_nothing_is_not_made_smaller_than_asked(
    ratio: float, make_head: Callable[..., Any], make_batches: Callable[..., Batches]
) -> None:
    dense = make_head("BertForSequenceClassification", intermediate_size=128)
    with torch.no_grad():
        dense.classifier.weight.zero_()
    small = fe.compress(dense, make_batches(24, 8), ratio=ratio, reconstruct=False)
    assert small.config.low_rank.get("widths", {}) == {}
    assert small.compression.parameters.linear_compressed > (ratio - 0.05) * small.compression.parameters.linear_dense


def test_one_neuron_stays(make_head: Callable[..., Any], make_batches: Callable[..., Batches]) -> None:
    small = fe.compress(make_head("BertForSequenceClassification", intermediate_size=1), make_batches(24, 8), ratio=0.5)
    assert small.compression.plan.widths == {}


def test_neurons_that_never_vary_stay(make_head: Callable[..., Any], make_batches: Callable[..., Batches]) -> None:
    """Statistics without any input of the readout tell no neuron from another."""
    dense, batches = make_head("BertForSequenceClassification"), make_batches(24, 8)
    layer = dense.bert.encoder.layer[1].intermediate.dense
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()
    small = fe.compress(dense, batches, ratio=0.2, widths="auto")
    assert "encoder.layer.1.intermediate.dense" not in small.config.low_rank["widths"]
    assert "encoder.layer.0.intermediate.dense" in small.config.low_rank["widths"]
