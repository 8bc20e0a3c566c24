"""Metrics against values worked out by hand."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig
from transformers.modeling_outputs import SequenceClassifierOutput

from fwsvd_export.data.tasks import TASKS
from fwsvd_export.errors import DataError, MissingExtraError, WeightError
from fwsvd_export.evaluation.metrics import evaluate_model
from fwsvd_export.records import Measurement


class Oracle(nn.Module):
    """Answers with its inputs: input_ids are the logits."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.config = BertConfig(**settings)
        self.device = torch.device("cpu")

    def forward(self, input_ids: Tensor) -> SequenceClassifierOutput:
        return SequenceClassifierOutput(logits=input_ids)


def measure(task: str, logits: Tensor, labels: list[Any], batch_size: int = 3, **settings: Any) -> Measurement:
    batches = [
        {"input_ids": logits[start : start + batch_size], "labels": torch.tensor(labels[start : start + batch_size])}
        for start in range(0, len(labels), batch_size)
    ]
    return evaluate_model(Oracle(**settings), batches, TASKS[task])


def classes(*chosen: int) -> Tensor:
    return nn.functional.one_hot(torch.tensor(chosen)).float()


def test_accuracy_is_the_share_of_right_answers() -> None:
    found = measure("sst2", classes(1, 0, 1, 1), [1, 0, 0, 1])
    assert (found.metric, found.value, found.examples, found.beside) == ("accuracy", 0.75, 4, {})


def test_f1_stands_beside_the_accuracy_of_paraphrases() -> None:
    # 2 hits, 1 false alarm, 1 miss: precision and recall are both 2/3
    found = measure("mrpc", classes(1, 1, 1, 0, 0), [1, 1, 0, 1, 0])
    assert found.value == pytest.approx(3 / 5)
    assert found.beside == {"f1": pytest.approx(2 / 3)}


def test_matthews_correlation() -> None:
    # tp 2, tn 1, fp 1, fn 1: (2*1 - 1*1) / sqrt(3*3*2*2)
    found = measure("cola", classes(1, 1, 0, 1, 0), [1, 1, 0, 0, 1])
    assert (found.metric, found.value) == ("matthews_correlation", pytest.approx(1 / 6))
    assert measure("cola", classes(1, 1, 0), [1, 1, 0]).value == pytest.approx(1)


def test_correlations_and_their_mean() -> None:
    # deviations (-3, -1, 1, 3) / 2 against (-1.5, -0.5, -1.5, 3.5); ranks (1.5, 3, 1.5, 4)
    found = measure("stsb", torch.tensor([[0.0], [1.0], [0.0], [5.0]]), [1.0, 2.0, 3.0, 4.0])
    pearson, spearman = 7.0 / (5.0 * 17.0) ** 0.5, 3.0 / (5.0 * 4.5) ** 0.5
    assert found.beside == {"pearson": pytest.approx(pearson), "spearman": pytest.approx(spearman)}
    assert found.value == pytest.approx((pearson + spearman) / 2)


def test_a_model_that_says_the_same_of_everything_has_no_correlation() -> None:
    assert measure("stsb", torch.ones(3, 1), [1.0, 2.0, 3.0]).value == 0


def test_labels_without_variety_have_no_correlation() -> None:
    with pytest.raises(DataError, match="two different labels"):
        measure("stsb", torch.rand(3, 1), [1.0, 1.0, 1.0])


def test_entities_count_only_whole_and_ignored_pieces_do_not_count() -> None:
    names = {0: "O", 1: "B-PER", 2: "I-PER"}
    logits = nn.functional.one_hot(torch.tensor([[0, 1, 2, 0], [1, 2, 0, 1]])).float()
    # sentence 1: the one entity found; sentence 2: cut short, and what stands on the ignored piece is not counted
    labels = [[-100, 1, 2, 0], [1, 2, 2, -100]]
    found = measure("ner", logits, labels, batch_size=1, id2label=names)
    assert (found.metric, found.value, found.examples) == ("entity_f1", pytest.approx(1 / 2), 2)


@pytest.mark.parametrize("names", [{0: "LABEL_0", 1: "LABEL_1"}, {0: "O", 1: "PER"}, {0: "O", 1: "B_PER"}])
def test_what_are_not_tags_of_entities_is_not_scored_as_such(names: dict[int, str]) -> None:
    with pytest.raises(DataError, match=r"'(LABEL_0|PER|B_PER)' is not one.*--label-names.*--task pos"):
        measure("ner", classes(1, 0)[None], [[1, 0]], id2label=names)


def test_given_names_are_what_entities_are_read_off() -> None:
    task = TASKS["ner"].with_labels(label_names=("O", "B-PER", "I-PER"))
    logits = nn.functional.one_hot(torch.tensor([[0, 1, 2, 0], [1, 2, 0, 1]])).float()
    batches = [{"input_ids": logits, "labels": torch.tensor([[-100, 1, 2, 0], [1, 2, 2, -100]])}]
    assert evaluate_model(Oracle(num_labels=3), batches, task).value == pytest.approx(1 / 2)


def test_accuracy_of_words_leaves_out_ignored_pieces() -> None:
    logits = nn.functional.one_hot(torch.tensor([[0, 1, 2, 0], [1, 2, 0, 1]])).float()
    found = measure("pos", logits, [[-100, 1, 2, 1], [1, 2, 2, -100]], batch_size=1, num_labels=3)
    assert (found.metric, found.value, found.examples) == ("accuracy", pytest.approx(4 / 6), 2)


def test_f1_of_several_classes_is_over_all_decisions_and_over_classes() -> None:
    logits = torch.tensor([[2.0, -1.0, -1.0], [1.0, 3.0, -2.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, -1.0]])
    labels = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    found = measure("multilabel", logits, labels, num_labels=3, problem_type="multi_label_classification")
    # class 0: tp 1, fp 1, fn 1; class 1: tp 2; class 2: fn 1
    assert (found.metric, found.value) == ("f1_micro", pytest.approx(2 * 3 / (2 * 3 + 1 + 2)))
    assert found.beside == {"f1_macro": pytest.approx((1 / 2 + 1 + 0) / 3)}


def test_no_examples_are_refused() -> None:
    with pytest.raises(DataError, match="no examples to score; give at least one batch"):
        evaluate_model(Oracle(), [], TASKS["sst2"])


def test_batching_does_not_change_the_value() -> None:
    logits, labels = torch.randn(7, 3, generator=torch.Generator().manual_seed(0)), [0, 1, 2, 0, 1, 2, 0]
    assert len({measure("mnli", logits, labels, size).value for size in (1, 2, 7)}) == 1


def test_predictions_that_are_not_finite_are_refused() -> None:
    with pytest.raises(WeightError, match="NaN or infinite"):
        measure("sst2", torch.tensor([[0.0, float("nan")]]), [1])


def test_batches_without_labels_and_tasks_without_a_metric_are_refused() -> None:
    with pytest.raises(DataError, match="no labels"):
        evaluate_model(Oracle(), [{"input_ids": classes(1, 0)}], TASKS["sst2"])
    with pytest.raises(DataError, match="task text has no labels"):
        measure("text", classes(1, 0), [1, 0])


@pytest.mark.parametrize(("task", "library"), [("sst2", "sklearn"), ("stsb", "scipy"), ("ner", "seqeval")])
def test_a_missing_library_is_named_with_the_line_that_installs_it(
    task: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError) as caught:
        measure(task, classes(1, 0), [1, 0])
    assert str(caught.value) == f'this needs {library}, which is not installed: pip install "fwsvd-export[train]"'
