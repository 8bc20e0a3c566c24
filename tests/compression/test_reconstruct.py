"""Layers fitted again on their own inputs, against formulas written out here in numpy and float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from fwsvd_export import collect_statistics, compress
from fwsvd_export.architectures.assembly import carried_settings
from fwsvd_export.architectures.bert import BERT
from fwsvd_export.architectures.post_norm import ROLES
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.checkpoints.weights import weights_sha256
from fwsvd_export.compression.reconstruct import Reconstruction, reconstruct
from fwsvd_export.compression.regression import RIDGE, RIDGE_OF_FEW_TOKENS
from fwsvd_export.errors import DataError
from fwsvd_export.linalg.weighting import GRADIENT_DAMPING
from fwsvd_export.records import RankLimits, Statistics
from fwsvd_export.runtime.progress import Advance
from tests.helpers import heads_ending

Batches = list[dict[str, Tensor]]
Array = NDArray[np.float64]
PATHS = [getattr(BERT.post_norm, role) for role in ROLES]
RESIDUAL = {"attention.output.dense", "output.dense"}  # layers whose output is added to a residual stream
HEADS = heads_ending("Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification")


@pytest.fixture
def batches(make_batches: Callable[..., Batches]) -> Batches:
    return make_batches(24, 8)


@pytest.fixture
def statistics(tiny_model: Any, batches: Batches) -> Statistics:
    return collect_statistics(tiny_model, batches, collect=("kfac",))


def inputs_only(batches: Batches) -> Batches:
    return [{name: batch[name] for name in ("input_ids", "attention_mask")} for batch in batches]


def product(model: Any, name: str) -> Tensor:
    """The weight that a factorised layer stands for, float64."""
    layer = encoder_of(model).base.get_submodule(name)
    return (layer.up.weight.double() @ layer.down.weight.double()).detach()  # type: ignore[union-attr,operator]


@torch.no_grad()
def last_states(model: Any, batches: Batches) -> Tensor:
    """The last hidden states of the unmasked tokens, (tokens, width)."""
    masks = [batch["attention_mask"].bool() for batch in batches]
    states = [encoder_of(model).base(**batch).last_hidden_state for batch in inputs_only(batches)]
    return torch.cat([state[mask] for state, mask in zip(states, masks, strict=True)])


def distance(first: Any, second: Any, batches: Batches) -> float:
    """Mean squared difference of the last hidden states."""
    return float((last_states(first, batches) - last_states(second, batches)).square().mean())


@torch.no_grad()
def seen_by(model: Any, name: str, batches: Batches) -> tuple[Array, Array, Array]:
    """What enters and leaves a layer in the padded model, and the residual stream beside it: (tokens, features)."""
    base, (parent, _, _) = encoder_of(model).base, name.rpartition(".")
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    residuals: list[Tensor] = []
    layer: Any = base.get_submodule(name)
    around: Any = base.get_submodule(parent)

    def note(_: Any, given: tuple[Tensor, ...], output: Tensor) -> None:
        inputs.append(given[0])
        outputs.append(output)

    hooks = [
        layer.register_forward_hook(note),
        around.register_forward_pre_hook(lambda _, given: residuals.append(given[-1])),
    ]
    masks = [batch["attention_mask"].bool() for batch in batches]
    for batch in inputs_only(batches):
        base(**batch)
    for hook in hooks:
        hook.remove()
    parts = [
        torch.cat([state[mask] for state, mask in zip(states, masks, strict=True)]).double().numpy()
        for states in (inputs, outputs, residuals)
    ]
    return parts[0], parts[1], parts[2]


def power(matrix: Array, exponent: float) -> Array:
    values, vectors = np.linalg.eigh(matrix)
    powered: Array = (vectors * values**exponent) @ vectors.T
    return powered


def damped_gradients(statistics: Statistics, name: str) -> Array:
    gradients = statistics.layers[name].gradient_gram
    assert gradients is not None
    gram = gradients.double().numpy() / statistics.examples
    damped: Array = gram + GRADIENT_DAMPING * gram.diagonal().mean() * np.eye(len(gram))
    return damped


def regression(x: Array, t: Array, weight: Array, gradients: Array, rank: int) -> tuple[Array, Array]:
    """The product and the bias of the reduced-rank ridge regression of t on x, pulled towards a weight."""
    x_mean, t_mean = x.mean(axis=0), t.mean(axis=0)
    moment = (x - x_mean).T @ (x - x_mean) / len(x)
    cross = (t - t_mean).T @ (x - x_mean) / len(x)
    ridge = max(RIDGE, RIDGE_OF_FEW_TOKENS * x.shape[1] / len(x)) * moment.diagonal().mean()
    damped = moment + ridge * np.eye(len(moment))
    unrestricted = (cross + ridge * weight) @ np.linalg.inv(damped)
    left, scales, right = np.linalg.svd(power(gradients, 0.5) @ unrestricted @ power(damped, 0.5))
    truncated = (left[:, :rank] * scales[:rank]) @ right[:rank]
    fitted: Array = power(gradients, -0.5) @ truncated @ power(damped, -0.5)
    return fitted, t_mean - fitted @ x_mean


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("path", PATHS)
def test_every_layer_is_the_reduced_rank_regression_of_the_dense_output_on_its_own_inputs(
    layer: int, path: str, tiny_model: Any, batches: Batches, statistics: Statistics
) -> None:
    # All layers are factorised; those before this one are final when it is fitted, so the finished model shows x'
    small = compress(tiny_model, batches, statistics=statistics, rank=6)
    name = BERT.layer.format(layer) + "." + path
    x, _, own = seen_by(small, name, batches)
    _, target, residual = seen_by(tiny_model, name, batches)
    if path in RESIDUAL:
        target = target + residual - own
    weight = tiny_model.bert.get_submodule(name).weight.detach().double().numpy()
    expected, bias = regression(x, target, weight, damped_gradients(statistics, name), rank=6)
    np.testing.assert_allclose(product(small, name).numpy(), expected, rtol=0, atol=5e-4)
    np.testing.assert_allclose(small.bert.get_submodule(name).up.bias.detach().numpy(), bias, rtol=0, atol=5e-4)


@pytest.mark.parametrize("path", PATHS)
def test_a_layer_behind_dense_layers_is_the_truncation_of_its_weight_and_errs_less_than_the_closed_form(
    path: str, tiny_model: Any, batches: Batches, statistics: Statistics
) -> None:
    name = BERT.layer.format(1) + "." + path
    others = tuple(spec.name for spec in encoder_of(tiny_model).layers if spec.name != name)
    limits = RankLimits(keep_dense=others)
    plain, reconstructed = (
        compress(tiny_model, batches, statistics=statistics, rank=4, limits=limits, reconstruct=wanted)
        for wanted in (False, True)
    )
    x, target, _ = seen_by(tiny_model, name, batches)
    weight = tiny_model.bert.get_submodule(name).weight.detach().double().numpy()
    gradients = damped_gradients(statistics, name)
    moment = np.cov(x.T, bias=True)
    moment += max(RIDGE, RIDGE_OF_FEW_TOKENS * x.shape[1] / len(x)) * moment.diagonal().mean() * np.eye(len(moment))
    left, scales, right = np.linalg.svd(power(gradients, 0.5) @ weight @ power(moment, 0.5))
    truncated = power(gradients, -0.5) @ (left[:, :4] * scales[:4]) @ right[:4] @ power(moment, -0.5)
    np.testing.assert_allclose(product(reconstructed, name).numpy(), truncated, rtol=0, atol=5e-4)

    def error(small: Any) -> float:
        difference = seen_by(small, name, batches)[1] - target
        return float(np.einsum("ti,ij,tj->", difference, gradients, difference))

    assert 0 < error(reconstructed) < 0.99 * error(plain)


def at_full_rank(model: Any) -> Any:
    """A factorised copy that can hold the dense weights, with factors that know nothing of them."""
    specs = encoder_of(model).layers
    ranks = {spec.name: min(spec.in_features, spec.out_features) for spec in specs}
    family = encoder_of(model).family
    low_rank = {"ranks": ranks, "method": "kfac"}
    config = family.low_rank_config_class()(low_rank=low_rank, **carried_settings(model.config))
    torch.manual_seed(5)
    small = family.low_rank_class(type(model).__name__)(config)
    missing = small.load_state_dict(model.state_dict(), strict=False).missing_keys
    assert len(missing) == sum(2 + (encoder_of(model).module(spec.name).bias is not None) for spec in specs)
    return small.eval()


@pytest.mark.parametrize("name", HEADS)
def test_at_full_rank_the_dense_model_comes_back(name: str, make_head: Callable[..., Any], batches: Batches) -> None:
    dense = make_head(name)
    if name.endswith("ForTokenClassification"):
        batches = [{**batch, "labels": batch["input_ids"] % 2} for batch in batches]
    if name.endswith("ForMaskedLM"):
        batches = [{**batch, "labels": batch["input_ids"]} for batch in batches]
    small = at_full_rank(dense)
    assert distance(dense, small, batches) > 0.1
    reconstruct(encoder_of(dense), encoder_of(small), batches, collect_statistics(dense, batches, collect=("kfac",)))
    with torch.no_grad():
        expected, actual = (model(**inputs_only(batches)[0]).to_tuple()[0] for model in (dense, small))
    mask = batches[0]["attention_mask"]
    actual, expected = (tensor * mask[..., None] if tensor.ndim == 3 else tensor for tensor in (actual, expected))
    torch.testing.assert_close(actual, expected, rtol=0, atol=2e-3)
    for spec in encoder_of(dense).layers:
        weight = encoder_of(dense).base.get_submodule(spec.name).weight.double()  # type: ignore[union-attr,operator]
        torch.testing.assert_close(product(small, spec.name), weight, rtol=0, atol=2e-3)


CLOSER = heads_ending("Model", "ForSequenceClassification", "ForNextSentencePrediction", "ForMultipleChoice")
# What enters an ELECTRA here has 24 directions, and every weight of a ModernBERT is wide: most is left of either
LITTLE_TO_MAKE_UP = ("Electra", "ModernBert")


@pytest.mark.parametrize(
    ("name", "ratio", "seed"),
    [
        (name, ratio, seed)
        for name in CLOSER
        for ratio in (0.15, 0.3, 0.6, 0.8)
        for seed in ((0, 1, 2) if name.startswith(("Bert", "DistilBert")) else (0,))
        if ratio < 0.8 or not name.startswith(LITTLE_TO_MAKE_UP)
    ],
)
def test_reconstruction_brings_the_hidden_states_closer_to_the_dense_ones(
    name: str, seed: int, ratio: float, make_head: Callable[..., Any], make_batches: Callable[..., Batches]
) -> None:
    dense, rows = make_head(name, initializer_range=0.1), make_batches(24, 8, seed=seed)
    given = rows
    if name.endswith("ForMultipleChoice"):
        given = [
            {"labels": batch["labels"][:4], **{key: batch[key].reshape(4, 2, -1) for key in inputs_only(rows)[0]}}
            for batch in rows
        ]
    statistics = collect_statistics(dense, given, collect=("kfac",), labels="sampled")
    plain, reconstructed = (
        compress(dense, given, statistics=statistics, ratio=ratio, widths="keep", reconstruct=wanted)
        for wanted in (False, True)
    )
    # 0.71 to 0.88 over eight draws of the labels at the largest ratio, where there is least to make up for
    assert distance(dense, reconstructed, rows) < 0.9 * distance(dense, plain, rows)


@pytest.mark.parametrize("training", [True, False])
def test_only_factorised_layers_change(
    training: bool, tiny_model: Any, batches: Batches, statistics: Statistics
) -> None:
    tiny_model.train(training)
    before = weights_sha256(tiny_model)
    dense_state = {name: tensor.clone() for name, tensor in tiny_model.state_dict().items()}
    limits = RankLimits(keep_dense=("*.1.attention.*", "*.intermediate.dense"))
    small = compress(tiny_model, statistics=statistics, rank=5, limits=limits, reconstruct=False)
    closed = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    reconstruct(encoder_of(tiny_model), encoder_of(small), batches, statistics)
    for name, tensor in small.state_dict().items():
        fitted = name.rpartition(".")[0].endswith((".up", ".down"))
        assert torch.equal(tensor, closed[name]) != fitted, name
        assert fitted or torch.equal(tensor, dense_state[name]), name
    assert weights_sha256(tiny_model) == before
    for model in (tiny_model, small):
        assert all(module.training is training for module in model.modules())
        assert all(parameter.grad is None for parameter in model.parameters())


def test_dropout_stays_out_of_it(tiny_model: Any, batches: Batches, statistics: Statistics) -> None:
    digests = set()
    for training in (False, True):
        tiny_model.train(training)
        digests.add(weights_sha256(compress(tiny_model, batches, statistics=statistics, rank=6)))
    assert len(digests) == 1


def test_a_model_without_factorised_layers_stays_as_it_is(
    tiny_model: Any, batches: Batches, statistics: Statistics
) -> None:
    small = compress(tiny_model, batches, statistics=statistics, ratio=1.0, rank=None, reconstruct=True)
    assert small.config.low_rank["ranks"] == {}
    assert distance(tiny_model, small, batches) == 0


def test_batch_size_order_and_padding_do_not_matter(
    tiny_model: Any, make_batches: Callable[..., Batches], statistics: Statistics
) -> None:
    def fitted(batches: Batches) -> dict[str, Tensor]:
        state: dict[str, Tensor] = compress(tiny_model, batches, statistics=statistics, rank=6).state_dict()
        return state

    expected = fitted(make_batches(24, 8))
    wider = [
        {name: torch.nn.functional.pad(batch[name], (0, 9)) for name in ("input_ids", "attention_mask")}
        for batch in make_batches(24, 5)
    ]
    for batches in (make_batches(24, 1), wider, wider[::-1]):
        for name, tensor in fitted(batches).items():
            torch.testing.assert_close(tensor, expected[name], rtol=0, atol=3e-3)


def test_the_same_batches_give_the_same_bytes(tiny_model: Any, batches: Batches, statistics: Statistics) -> None:
    generator_state = torch.get_rng_state()
    digests = {weights_sha256(compress(tiny_model, batches, statistics=statistics, rank=6)) for _ in range(2)}
    assert len(digests) == 1
    assert digests != {weights_sha256(compress(tiny_model, statistics=statistics, rank=6, reconstruct=False))}
    assert torch.equal(torch.get_rng_state(), generator_state)


def test_labels_are_not_needed(tiny_model: Any, batches: Batches, statistics: Statistics) -> None:
    with_labels, without = (
        weights_sha256(compress(tiny_model, given, statistics=statistics, rank=6))
        for given in (batches, inputs_only(batches))
    )
    assert with_labels == without


@pytest.mark.parametrize("text", [[5, 6], [7, 12, 9], [10, 11, 12, 13, 14]])
def test_a_few_tokens_leave_the_weights_near_the_dense_ones(
    text: list[int], tiny_model: Any, batches: Batches, statistics: Statistics
) -> None:
    plain = compress(tiny_model, statistics=statistics, rank=12, reconstruct=False)
    few = compress(tiny_model, [{"input_ids": torch.tensor([text])}], statistics=statistics, rank=12)
    for spec in encoder_of(tiny_model).layers:
        weight = tiny_model.bert.get_submodule(spec.name).weight.detach().double()
        off, closed_form_off = (float((product(small, spec.name) - weight).norm()) for small in (few, plain))
        assert off < 1.2 * closed_form_off
    # States are layer-normalised: those of two models that have nothing in common differ by 2
    assert distance(tiny_model, few, batches) < 0.6


@pytest.mark.parametrize("token", range(5, 15))
def test_inputs_that_never_vary_change_no_weights(token: int, tiny_model: Any, statistics: Statistics) -> None:
    plain = compress(tiny_model, statistics=statistics, rank=6, reconstruct=False)
    small = compress(tiny_model, [{"input_ids": torch.tensor([[token]])}], statistics=statistics, rank=6)
    assert weights_sha256(small) == weights_sha256(plain)
    # Of several copies, rounding may make more than one
    copies = compress(tiny_model, [{"input_ids": torch.full((5, 1), token)}], statistics=statistics, rank=6)
    assert all(bool(parameter.isfinite().all()) for parameter in copies.parameters())


def test_a_layer_that_the_task_never_uses_is_reconstructed_all_the_same(tiny_model: Any, batches: Batches) -> None:
    with torch.no_grad():
        tiny_model.bert.encoder.layer[1].output.dense.weight.zero_()
    small = compress(tiny_model, batches, rank=6)
    assert all(bool(parameter.isfinite().all()) for parameter in small.parameters())
    assert product(small, "encoder.layer.1.intermediate.dense").norm() > 0
    plain = compress(tiny_model, batches, rank=6, reconstruct=False)
    assert distance(tiny_model, small, batches) < distance(tiny_model, plain, batches)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_models_in_half_precision_are_matched(dtype: torch.dtype, tiny_model: Any, batches: Batches) -> None:
    tiny_model.to(dtype)
    plain, reconstructed = (compress(tiny_model, batches, rank=8, reconstruct=wanted) for wanted in (False, True))
    assert {parameter.dtype for parameter in reconstructed.parameters()} == {dtype}
    assert distance(tiny_model, reconstructed, batches) < 0.85 * distance(tiny_model, plain, batches)


def test_what_was_matched_on_is_counted(tiny_model: Any, batches: Batches, statistics: Statistics) -> None:
    small = compress(tiny_model, statistics=statistics, rank=6, reconstruct=False)
    tokens = sum(int(batch["attention_mask"].sum()) for batch in batches)
    assert reconstruct(encoder_of(tiny_model), encoder_of(small), batches, statistics) == Reconstruction(24, tokens)


@pytest.mark.parametrize(
    ("nothing", "words"),
    [
        ([], "hold no examples: give at least one batch"),
        (
            [{"input_ids": torch.tensor([[5, 6]]), "attention_mask": torch.zeros(1, 2, dtype=torch.long)}],
            "no calibration data.*give at least one batch",
        ),
    ],
)
def test_batches_without_tokens_are_refused(
    nothing: Batches, words: str, tiny_model: Any, statistics: Statistics
) -> None:
    with pytest.raises(DataError, match=words):
        compress(tiny_model, nothing, statistics=statistics, rank=4)


def test_progress_is_told(tiny_model: Any, batches: Batches, statistics: Statistics) -> None:
    told: list[object] = []

    @contextmanager
    def noted(what: str, total: int) -> Iterator[Advance]:
        def advance(note: str = "") -> None:
            told.append("layer")

        told.append((what, total))
        yield advance
        told.append("end")

    small = compress(tiny_model, statistics=statistics, rank=6, reconstruct=False)
    reconstruct(encoder_of(tiny_model), encoder_of(small), batches, statistics, steps=noted)
    assert told == [("reconstructing layers", 2), "layer", "layer", "end"]
