from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.checkpoints.weights import weights_sha256
from fwsvd_export.errors import DataError, StatisticsError, WeightError
from fwsvd_export.fisher import collect_statistics
from fwsvd_export.fisher.sums import GramSum, LayerSums
from fwsvd_export.records import LayerSpec, LayerStatistics, Statistics, StatisticsSource

EVERYTHING = ("kfac", "row", "element")
Batches = list[dict[str, Tensor]]
MakeBatches = Callable[..., Batches]
AssertSame = Callable[[Statistics, Statistics], None]


def single_examples(batches: Batches) -> Batches:
    """The examples one by one, without their padding."""
    return [
        {
            "input_ids": batch["input_ids"][row : row + 1, : int(batch["attention_mask"][row].sum())],
            "labels": batch["labels"][row : row + 1],
        }
        for batch in batches
        for row in range(len(batch["labels"]))
    ]


def reference(model: Any, batches: Batches) -> Statistics:
    """The definition: transformers' own loss, autograd's own weight gradients, one example at a time."""
    layers = encoder_of(model).layers
    modules = {layer.name: model.base_model.get_submodule(layer.name) for layer in layers}
    flows: dict[str, tuple[Tensor, Tensor]] = {}

    def remember(name: str) -> Callable[[Any, tuple[Tensor], Tensor], None]:
        def hook(module: Any, inputs: tuple[Tensor], output: Tensor) -> None:
            flows[name] = (inputs[0].detach()[0], output)

        return hook

    handles = [module.register_forward_hook(remember(name)) for name, module in modules.items()]
    sums = {
        layer.name: LayerStatistics(
            torch.zeros(layer.in_features, layer.in_features),
            torch.zeros(layer.out_features, layer.out_features),
            torch.zeros(layer.in_features),
            torch.zeros(layer.out_features),
            torch.zeros(layer.out_features, layer.in_features),
        )
        for layer in layers
    }
    examples = single_examples(batches)
    for example in examples:
        loss = model(**example).loss
        outputs = [output for _, output in flows.values()]
        weights = [modules[name].weight for name in flows]
        gradients = torch.autograd.grad(loss, outputs + weights)
        for name, output_gradient, weight_gradient in zip(
            flows, gradients[: len(flows)], gradients[len(flows) :], strict=True
        ):
            inputs, total = flows[name][0], sums[name]
            total.input_gram.add_(inputs.T @ inputs)
            total.gradient_gram.add_(output_gradient[0].T @ output_gradient[0])
            total.row_input.add_(weight_gradient.square().sum(dim=0))
            total.row_output.add_(weight_gradient.square().sum(dim=1))
            total.element.add_(weight_gradient.square())
    for handle in handles:
        handle.remove()
    tokens = sum(example["input_ids"].numel() for example in examples)
    return Statistics(sums, len(examples), tokens, EVERYTHING, StatisticsSource(model_sha256=weights_sha256(model)))


def more_padding(batch: Mapping[str, Tensor], columns: int = 5) -> dict[str, Tensor]:
    padded = dict(batch)
    for name in ("input_ids", "attention_mask"):
        padded[name] = torch.nn.functional.pad(batch[name], (0, columns))
    return padded


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_sums_are_those_of_single_examples(
    attention: str, make_head: Callable[..., Any], make_batches: MakeBatches, assert_same: AssertSame
) -> None:
    model = make_head("BertForSequenceClassification", attn_implementation=attention)
    batches = make_batches(10, 4)
    found = collect_statistics(model, batches, collect=EVERYTHING, temperature=1)
    assert_same(found, reference(model, batches))
    assert found.source == StatisticsSource(model_sha256=weights_sha256(model), labels="data", seed=0, temperature=1)


def test_rows_are_the_same_with_and_without_elements(
    tiny_model: Any, make_batches: MakeBatches, assert_same: AssertSame
) -> None:
    batches = make_batches(6, 3)
    rows = collect_statistics(tiny_model, batches, collect=("row",))
    both = collect_statistics(tiny_model, batches, collect=("row", "element"))
    for name, layer in rows.layers.items():
        torch.testing.assert_close(layer.row_input, both.layers[name].row_input, rtol=1e-3, atol=0)
        torch.testing.assert_close(layer.row_output, both.layers[name].row_output, rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    ("collect", "there"),
    [
        (("kfac",), {"input_gram", "gradient_gram"}),
        (("row",), {"row_input", "row_output"}),
        (("element",), {"element"}),
        (("element", "row", "kfac"), {"input_gram", "gradient_gram", "row_input", "row_output", "element"}),
    ],
)
def test_only_what_is_asked_for_is_collected(
    collect: tuple[str, ...], there: set[str], tiny_model: Any, make_batches: MakeBatches
) -> None:
    statistics = collect_statistics(tiny_model, make_batches(2, 2), collect=collect)
    assert set(statistics.collected) == set(collect)
    for layer in statistics.layers.values():
        assert {name for name, tensor in vars(layer).items() if tensor is not None} == there


def test_batching_padding_and_splitting_change_nothing(
    tiny_model: Any, make_batches: MakeBatches, assert_same: AssertSame, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = collect_statistics(tiny_model, make_batches(10, 10), collect=EVERYTHING)
    for batches in (
        make_batches(10, 1),
        make_batches(10, 3),
        [more_padding(batch) for batch in make_batches(10, 4)],
        single_examples(make_batches(10, 10)),
        list(reversed(make_batches(10, 3))),
    ):
        assert_same(collect_statistics(tiny_model, batches, collect=EVERYTHING), whole)
    for tokens in (1, 30):
        monkeypatch.setattr("fwsvd_export.fisher.collect.TOKENS_PER_PASS", tokens)
        assert_same(collect_statistics(tiny_model, make_batches(10, 10), collect=EVERYTHING), whole)


def test_the_square_of_a_batch_mean_is_something_else(tiny_model: Any, make_batches: MakeBatches) -> None:
    (batch,) = make_batches(8, 8)
    statistics = collect_statistics(tiny_model, [batch], collect=("element",))
    name, layer = next(iter(statistics.layers.items()))
    weight = tiny_model.base_model.get_submodule(name).weight
    (mean_gradient,) = torch.autograd.grad(tiny_model(**batch).loss, weight)
    per_example = layer.element / 8
    assert float((mean_gradient.square() - per_example).norm()) > 0.3 * float(per_example.norm())


def test_padding_counts_when_it_is_not_masked(tiny_model: Any, make_batches: MakeBatches) -> None:
    (batch,) = make_batches(4, 4)
    masked = collect_statistics(tiny_model, [batch])
    unmasked = collect_statistics(tiny_model, [{**batch, "attention_mask": torch.ones_like(batch["input_ids"])}])
    absent = collect_statistics(tiny_model, [{name: batch[name] for name in ("input_ids", "labels")}])
    name = next(iter(masked.layers))
    assert masked.tokens == int(batch["attention_mask"].sum()) < unmasked.tokens == absent.tokens == 48
    grams = [statistics.layers[name].input_gram for statistics in (masked, unmasked, absent)]
    torch.testing.assert_close(grams[1], grams[2])
    assert float((grams[0] - grams[1]).norm()) > 0.1 * float(grams[0].norm())


def test_query_key_and_value_share_one_input_gram(tiny_model: Any, make_batches: MakeBatches) -> None:
    layers = collect_statistics(tiny_model, make_batches(3, 3)).layers
    attention = "encoder.layer.1.attention.self"
    query, key, value = (layers[f"{attention}.{part}"].input_gram for part in ("query", "key", "value"))
    assert query is key is value
    assert len({id(layer.input_gram) for layer in layers.values()}) == 2 * 4
    assert all(torch.equal(layer.input_gram, layer.input_gram.T) for layer in layers.values())


@settings(max_examples=20, deadline=None)
@given(
    examples=st.integers(1, 4),
    tokens=st.integers(1, 5),
    out_features=st.integers(1, 6),
    in_features=st.integers(1, 6),
    seed=st.integers(0, 2**31),
)
def test_sums_of_one_layer_follow_the_formula(
    examples: int, tokens: int, out_features: int, in_features: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(examples, tokens, in_features, generator=generator)
    gradients = torch.randn(examples, tokens, out_features, generator=generator)
    mask = torch.rand(examples, tokens, generator=generator) < 0.7
    device = inputs.device
    layer = LayerSpec("a", out_features, in_features, "query", "a")
    input_sum = GramSum(in_features, device)
    alone = LayerSums(layer, ("kfac", "row"), input_sum, device)
    full = LayerSums(layer, EVERYTHING, None, device)
    for sums in (alone, full):
        sums.add(inputs, gradients, mask)
    found, elements = alone.finished(input_sum.finished()), full.finished(None)
    x, d = inputs * mask[..., None], gradients * mask[..., None]
    squares = torch.einsum("nto,nti->noi", d, x).square()
    for tensor, expected in (
        (found.input_gram, torch.einsum("nti,ntj->ij", x, x)),
        (found.gradient_gram, torch.einsum("nto,ntp->op", d, d)),
        (found.row_input, squares.sum(dim=(0, 1))),
        (found.row_output, squares.sum(dim=(0, 2))),
        (elements.row_input, squares.sum(dim=(0, 1))),
        (elements.row_output, squares.sum(dim=(0, 2))),
        (elements.element, squares.sum(dim=0)),
    ):
        torch.testing.assert_close(tensor, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("block", [1, 5, 100])
def test_the_block_size_of_grams_does_not_change_them(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fwsvd_export.fisher.sums.GRAM_BLOCK", block)
    rows = torch.randn(9, 7, generator=torch.Generator().manual_seed(0))
    total = GramSum(7, rows.device)
    total.add(rows[:4])
    total.add(rows[4:])
    torch.testing.assert_close(total.finished(), rows.T @ rows)


def test_half_precision_models_give_float32_sums(make_head: Callable[..., Any], make_batches: MakeBatches) -> None:
    model = make_head("BertForSequenceClassification")
    exact = collect_statistics(model, make_batches(4, 2))
    rough = collect_statistics(model.to(torch.bfloat16), make_batches(4, 2))
    for name, layer in rough.layers.items():
        assert layer.input_gram.dtype == layer.row_input.dtype == torch.float32
        expected = exact.layers[name].input_gram
        torch.testing.assert_close(layer.input_gram, expected, rtol=0, atol=0.1 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("collect", "message"),
    [(("kfac", "hessian"), "collect hessian: choose from kfac, row, element"), ((), "collect nothing: choose from")],
)
def test_unknown_collections_are_refused(
    collect: tuple[str, ...], message: str, tiny_model: Any, make_batches: MakeBatches
) -> None:
    with pytest.raises(StatisticsError, match=message):
        collect_statistics(tiny_model, make_batches(2, 2), collect=collect)


def test_an_unknown_label_source_is_refused(tiny_model: Any, make_batches: MakeBatches) -> None:
    with pytest.raises(StatisticsError, match="labels 'guessed': one of data, sampled"):
        collect_statistics(tiny_model, make_batches(2, 2), labels="guessed")


def test_no_batches_are_refused(tiny_model: Any) -> None:
    with pytest.raises(DataError, match="hold no examples: give at least one batch"):
        collect_statistics(tiny_model, [])


def test_a_batch_without_input_ids_is_refused(tiny_model: Any) -> None:
    with pytest.raises(DataError, match="a batch has labels: input_ids are needed"):
        collect_statistics(tiny_model, [{"labels": torch.tensor([1])}])


def test_a_loss_that_is_not_finite_is_refused(tiny_model: Any, make_batches: MakeBatches) -> None:
    with torch.no_grad():
        tiny_model.classifier.weight[0, 0] = float("nan")
    with pytest.raises(WeightError, match="loss is NaN or infinite"):
        collect_statistics(tiny_model, make_batches(2, 2))


def test_a_batch_that_is_no_mapping_is_refused(tiny_model: Any) -> None:
    with pytest.raises(DataError, match="a batch is a list; a mapping"):
        collect_statistics(tiny_model, [[torch.ones(1, 3)]])


@pytest.mark.parametrize("labels", ["data", "sampled"])
@pytest.mark.parametrize("name", ["BertForSequenceClassification", "BertForTokenClassification"])
def test_at_a_temperature_they_are_those_of_a_model_with_smaller_logits(
    name: str, labels: str, make_head: Callable[..., Any], make_batches: MakeBatches, assert_same: AssertSame
) -> None:
    model = make_head(name)
    batches = [{name: values for name, values in batch.items() if name != "labels"} for batch in make_batches(8, 4)]
    if labels == "data":
        tokens = name == "BertForTokenClassification"
        batches = [
            {**batch, "labels": batch["input_ids"] % 2 if tokens else batch["input_ids"][:, 0] % 2} for batch in batches
        ]
    found = collect_statistics(model, batches, collect=EVERYTHING, labels=labels, temperature=4)
    with torch.no_grad():
        for parameter in model.classifier.parameters():
            parameter.div_(4)
    assert_same(found, collect_statistics(model, batches, collect=EVERYTHING, labels=labels, temperature=1))


def test_the_mean_of_a_number_has_no_temperature(
    make_head: Callable[..., Any], make_batches: MakeBatches, assert_same: AssertSame
) -> None:
    model = make_head("BertForSequenceClassification", num_labels=1)
    batches = [{**batch, "labels": batch["labels"].float()} for batch in make_batches(8, 4)]
    assert_same(*(collect_statistics(model, batches, temperature=temperature) for temperature in (1, 3)))


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan"), float("inf"), "2", True])
def test_a_temperature_that_is_none_is_refused(temperature: Any, tiny_model: Any, make_batches: MakeBatches) -> None:
    with pytest.raises(StatisticsError, match=r"temperature .*: a number above 0 is allowed"):
        collect_statistics(tiny_model, make_batches(2, 2), temperature=temperature)
