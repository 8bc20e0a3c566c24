from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from fwsvd_export.architectures.registry import family_of_class
from fwsvd_export.errors import DataError, UnsupportedModelError
from fwsvd_export.fisher import collect_statistics
from fwsvd_export.fisher.targets import Prediction, example_losses, predictions_of
from fwsvd_export.records import Statistics

EXAMPLES, TOKENS, VOCABULARY = 5, 9, 25
LENGTHS = torch.tensor([9, 5, 7, 3, 8])
NO_DRAWS: dict[str, Any] = {"seed": 0, "indices": ()}  # labels that come from the data draw nothing
Batch = dict[str, Tensor]
MakeHead = Callable[..., Any]


def random(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def word_labels(classes: int) -> Tensor:
    """Labels at some positions: none on padding, everywhere at least at the first."""
    labels = torch.randint(0, classes, (EXAMPLES, TOKENS), generator=random())
    unlabelled = torch.rand(EXAMPLES, TOKENS, generator=random(4)) < 0.4
    unlabelled[:, 0] = False
    return labels.masked_fill(unlabelled | (torch.arange(TOKENS) >= LENGTHS[:, None]), -100)


def classes(count: int, seed: int = 3) -> Tensor:
    return torch.randint(0, count, (EXAMPLES,), generator=random(seed))


HEADS: dict[str, tuple[str, dict[str, Any], Batch]] = {
    "single label": ("BertForSequenceClassification", {"num_labels": 3}, {"labels": classes(3)}),
    "regression": ("BertForSequenceClassification", {"num_labels": 1}, {"labels": torch.linspace(-2, 3, EXAMPLES)}),
    "regression of several": (
        "BertForSequenceClassification",
        {"num_labels": 3, "problem_type": "regression"},
        {"labels": torch.randn(EXAMPLES, 3, generator=random())},
    ),
    "multi label": (
        "BertForSequenceClassification",
        {"num_labels": 3},
        {"labels": torch.randint(0, 2, (EXAMPLES, 3), generator=random()).float()},
    ),
    "token classes": ("BertForTokenClassification", {"num_labels": 4}, {"labels": word_labels(4)}),
    "masked words": ("BertForMaskedLM", {}, {"labels": word_labels(VOCABULARY)}),
    "span": (
        "BertForQuestionAnswering",
        {},
        {"start_positions": torch.tensor([0, 2, 1, 2, 6]), "end_positions": torch.tensor([8, 3, 1, 2, 7])},
    ),
    "multiple choice": ("BertForMultipleChoice", {}, {"labels": classes(3)}),
    "next sentence": ("BertForNextSentencePrediction", {}, {"labels": classes(2)}),
    "detection": (
        "ElectraForPreTraining",
        {},
        {"labels": torch.randint(0, 2, (EXAMPLES, TOKENS), generator=random())},
    ),
    "pretraining": (
        "BertForPreTraining",
        {},
        {"labels": word_labels(VOCABULARY), "next_sentence_label": classes(2, 5)},
    ),
}
NO_LABELS = {"embedding": ("BertModel", {}, {})}
every_head = pytest.mark.parametrize("head", HEADS)


def inputs_for(class_name: str) -> Batch:
    """Padded inputs; three choices per example where the class takes choices."""
    mask = (torch.arange(TOKENS) < LENGTHS[:, None]).long()
    if class_name == "BertForMultipleChoice":
        mask = torch.stack([mask, mask.roll(1, 0), mask.roll(2, 0)], dim=1)
    return {"input_ids": torch.randint(5, VOCABULARY, mask.shape, generator=random()) * mask, "attention_mask": mask}


def made(head: str, make_head: MakeHead) -> tuple[Any, Batch, Batch]:
    """Model, inputs, labels."""
    class_name, changes, labels = {**HEADS, **NO_LABELS}[head]
    return make_head(class_name, **changes), inputs_for(class_name), labels


def rows(batch: Batch) -> list[Batch]:
    """Every example as a batch of its own, which needs no padding."""
    found = [{name: tensor[row : row + 1] for name, tensor in batch.items()} for row in range(EXAMPLES)]
    if batch["attention_mask"].ndim > 2:  # choices of one example are as long as each other
        return found
    return [
        {name: tensor[:, :length] if tensor.shape[1:] == (TOKENS,) else tensor for name, tensor in row.items()}
        for row, length in zip(found, LENGTHS.tolist(), strict=True)
    ]


def predictions(model: Any, inputs: Batch, labels: Batch) -> list[Prediction]:
    kind = family_of_class(type(model).__name__).head(type(model).__name__).predicts
    return predictions_of(kind, model.config, model(**inputs), {**inputs, **labels})


@every_head
@torch.no_grad()
def test_losses_are_those_of_transformers_for_single_examples(head: str, make_head: MakeHead) -> None:
    model, inputs, labels = made(head, make_head)
    found = example_losses(predictions(model, inputs, labels), "data", **NO_DRAWS)
    expected = torch.stack([model(**row).loss for row in rows({**inputs, **labels})])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("source", ["data", "sampled"])
@pytest.mark.parametrize("head", [*HEADS, *NO_LABELS])
def test_statistics_of_every_head_do_not_depend_on_the_batch_size(
    head: str, source: str, make_head: MakeHead, assert_same: Callable[[Statistics, Statistics], None]
) -> None:
    model, inputs, labels = made(head, make_head)
    batch = inputs if source == "sampled" else {**inputs, **labels}
    whole = collect_statistics(model, [batch], labels=source)
    assert_same(collect_statistics(model, rows(batch), labels=source), whole)
    assert whole.tokens == int(inputs["attention_mask"].sum())
    assert all(bool(layer.row_input.any()) for layer in whole.layers.values())


@pytest.mark.parametrize("head", [*HEADS, *NO_LABELS])
def test_sampled_labels_follow_the_seed_and_nothing_else(head: str, make_head: MakeHead) -> None:
    model, inputs, labels = made(head, make_head)
    name = "encoder.layer.0.output.dense"

    def collected(batch: Batch, seed: int) -> Tensor:
        return collect_statistics(model, [batch], collect=("row",), labels="sampled", seed=seed).layers[name].row_input

    assert torch.equal(collected(inputs, 1), collected(inputs, 1))
    if labels and not labels.get("labels", torch.zeros(1, dtype=torch.long)).is_floating_point():
        assert torch.equal(collected({**inputs, **labels}, 1), collected(inputs, 1))
    seeds = [collected(inputs, seed) for seed in range(4)]
    assert any(not torch.equal(other, seeds[0]) for other in seeds[1:])


@every_head
def test_data_without_labels_is_refused(head: str, make_head: MakeHead) -> None:
    model, inputs, _ = made(head, make_head)
    with pytest.raises(DataError, match="no labels; name the label column, or draw labels from the model"):
        collect_statistics(model, [inputs], labels="data")


@pytest.mark.parametrize("missing", ["labels", "next_sentence_label"])
def test_pretraining_needs_both_labels(missing: str, make_head: MakeHead) -> None:
    model, inputs, labels = made("pretraining", make_head)
    with pytest.raises(DataError, match="no labels"):
        collect_statistics(model, [{**inputs, **{name: labels[name] for name in labels if name != missing}}])


def test_sampled_words_are_drawn_at_unmasked_positions_only(make_head: MakeHead) -> None:
    model, inputs, _ = made("masked words", make_head)
    longer = {name: torch.nn.functional.pad(tensor, (0, 4)) for name, tensor in inputs.items()}
    plain, padded = (
        collect_statistics(model, [batch], collect=("row",), labels="sampled").layers["encoder.layer.0.output.dense"]
        for batch in (inputs, longer)
    )
    torch.testing.assert_close(plain.row_input, padded.row_input, rtol=1e-3, atol=1e-6)


@torch.no_grad()
def test_the_embedding_is_the_mean_of_unmasked_tokens(make_head: MakeHead) -> None:
    model, inputs, _ = made("embedding", make_head)
    (pooled,) = predictions(model, inputs, {})
    for row, length in enumerate(LENGTHS.tolist()):
        alone = model(inputs["input_ids"][row : row + 1, :length]).last_hidden_state.mean(dim=1)
        torch.testing.assert_close(pooled.values[row], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "logits", "expected"),
    [
        (
            "categorical",
            [2.0, 0.0, -1.0],
            torch.distributions.Categorical(torch.tensor([2.0, 0, -1]).softmax(0)).entropy(),
        ),
        ("bernoulli", [1.5], torch.distributions.Bernoulli(logits=torch.tensor(1.5)).entropy()),
        ("gaussian", [0.7], torch.tensor(0.5)),
    ],
)
def test_sampled_labels_are_drawn_from_the_prediction(kind: str, logits: list[float], expected: Tensor) -> None:
    values = torch.tensor(logits).expand(20_000, 1, -1)
    mean_loss = example_losses([Prediction(kind, values, None)], "sampled", seed=3, indices=range(20_000)).mean()
    torch.testing.assert_close(mean_loss, expected, rtol=0.03, atol=0)


def test_an_example_without_a_labelled_position_loses_nothing() -> None:
    values = torch.randn(2, 3, 4, generator=random())
    labels = torch.tensor([[-100, -100, -100], [1, -100, 2]])
    losses = example_losses([Prediction("categorical", values, labels)], "data", **NO_DRAWS)
    assert losses[0] == 0
    assert losses[1] > 0


def test_an_unknown_kind_of_head_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="head that predicts 'pictures'"):
        predictions_of("pictures", None, None, {})


@torch.no_grad()
def test_an_answer_that_was_cut_off_counts_nothing(make_head: MakeHead) -> None:
    model, inputs, labels = made("span", make_head)
    whole = example_losses(predictions(model, inputs, labels), "data", **NO_DRAWS)
    cut_off = {name: positions.index_fill(0, torch.tensor([0]), TOKENS) for name, positions in labels.items()}
    found = example_losses(predictions(model, inputs, cut_off), "data", **NO_DRAWS)
    assert found[0] == 0
    torch.testing.assert_close(found[1:], whole[1:])


def test_a_bare_encoder_records_that_its_labels_were_sampled(make_head: MakeHead) -> None:
    model, inputs, _ = made("embedding", make_head)
    assert collect_statistics(model, [inputs], labels="data").source.labels == "sampled"


@pytest.mark.parametrize("head", [*HEADS, *NO_LABELS])
def test_what_an_example_draws_follows_its_index_and_not_its_company(
    head: str, make_head: MakeHead, assert_same: Callable[[Statistics, Statistics], None]
) -> None:
    model, inputs, _ = made(head, make_head)
    whole = collect_statistics(model, [inputs], labels="sampled", example_indices=range(40, 45))
    turned, indices = list(reversed(rows(inputs))), range(44, 39, -1)
    assert_same(collect_statistics(model, turned, labels="sampled", example_indices=indices), whole)


def test_too_few_indices_are_refused(make_head: MakeHead) -> None:
    model, inputs, _ = made("single label", make_head)
    with pytest.raises(DataError, match="more examples than example_indices; give one index per example"):
        collect_statistics(model, [inputs], labels="sampled", example_indices=range(EXAMPLES - 1))
