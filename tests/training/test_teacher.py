"""What a teacher says of a batch is worked out once, and is the same when it is asked again."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.training import teacher as module
from fwsvd_export.training.teacher import Answer, Teacher
from tests.helpers import VOCABULARY

Batch = dict[str, torch.Tensor]


def batch_of(seed: int, masked: int = 0) -> Batch:
    ids = torch.randint(5, VOCABULARY, (4, 8), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones_like(ids)
    mask[:, 8 - masked :] = 0
    return {"input_ids": ids, "attention_mask": mask}


def same(one: Answer, other: Answer) -> bool:
    pairs = [(one.predictions[0].values, other.predictions[0].values), *zip(one.states, other.states, strict=True)]
    return all(torch.equal(*pair) for pair in pairs)


def test_a_batch_that_comes_again_is_not_worked_out_again(tiny_model: Any) -> None:
    teacher, plain = (Teacher(encoder_of(tiny_model.eval()), keeps=keeps) for keeps in (True, False))
    batches = [batch_of(0), batch_of(1), batch_of(0, masked=3)]
    for _ in range(2):
        assert all(same(teacher(batch, True), plain(batch, True)) for batch in batches)
    assert (teacher.worked_out, teacher.kept) == (3, 3), "another mask is another batch"
    assert (plain.worked_out, plain.kept) == (6, 0)
    assert teacher.seconds > 0
    assert teacher(batches[0], False).states == (), "states that were not asked for are another answer"


def test_states_are_the_outputs_of_the_encoder_layers(tiny_model: Any) -> None:
    answer = Teacher(encoder_of(tiny_model.eval()))(batch_of(0), True)
    expected = tiny_model(**batch_of(0), output_hidden_states=True)
    assert len(answer.states) == tiny_model.config.num_hidden_layers
    assert torch.equal(answer.states[-1], expected.hidden_states[-1])
    assert torch.equal(answer.predictions[0].values[:, 0], expected.logits)
    assert not answer.states[0].requires_grad


def test_answers_are_kept_as_far_as_there_is_room(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    size = Teacher(encoder_of(tiny_model.eval()))(batch_of(0), True).bytes
    monkeypatch.setattr(module, "KEPT_BYTES", 2 * size)
    teacher = Teacher(encoder_of(tiny_model))
    assert teacher.share_kept(8) == 0, "nothing tells how large they are"
    for seed in (0, 1, 2, 2):
        teacher(batch_of(seed), True)
    assert (teacher.worked_out, teacher.kept) == (4, 2)
    assert teacher.share_kept(8) == 0.25
    assert teacher.share_kept(1) == 1
