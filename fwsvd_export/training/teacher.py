"""The dense model that a smaller one learns from: what it says of a batch is worked out once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.fisher.predict import predictions_in
from fwsvd_export.fisher.targets import Prediction

KEPT_BYTES = 2**31  # of answers at most; ten thousand short texts in a MiniLM-L6 are three quarters of it


@dataclass(frozen=True)
class Answer:
    """What a dense model says of one batch.

    Attributes:
        predictions: as ``predictions_in`` gives them.
        states: every encoder layer's output, (sequences, length, width) each; empty where they were not asked for.
    """

    predictions: list[Prediction]
    states: tuple[Tensor, ...]

    @property
    def bytes(self) -> int:
        """Size in memory."""
        tensors = (*self.states, *(prediction.values for prediction in self.predictions))
        return sum(tensor.nbytes for tensor in tensors)


class Teacher:
    """A dense model that is asked about the same batches in every pass over a text.

    On a CPU its forward pass is two fifths of a training step, so that answers are kept there as far as ``KEPT_BYTES``
    go; what is kept is what would be worked out again, bit for bit.

    Args:
        encoder: adapter of the dense model, on the device of the model that is trained, in evaluation mode.
        keeps: False for a text that is seen once.

    Attributes:
        encoder: as above.
        seconds: wall time of the answers that were worked out.
        worked_out: their number.
    """

    def __init__(self, encoder: Encoder, keeps: bool = True) -> None:
        self.encoder = encoder
        self.seconds = 0.0
        self.worked_out = 0
        self._keeps = keeps and encoder.device.type == "cpu"
        self._room = KEPT_BYTES
        self._answers: dict[tuple[object, ...], Answer] = {}

    @property
    def kept(self) -> int:
        """The number of answers that are kept."""
        return len(self._answers)

    def keep_no_more(self) -> None:
        """Keeps what is kept, and nothing else: no batch that is still to come will come again."""
        self._room = 0

    def share_kept(self, batches: int) -> float:
        """Of so many batches like those that are kept, the share whose answers there is room for."""
        size = sum(answer.bytes for answer in self._answers.values())
        return min(1.0, KEPT_BYTES * self.kept / (size * batches)) if size else 0.0

    def __call__(self, inputs: Mapping[str, Tensor], with_states: bool) -> Answer:
        """What the model says of a batch without labels; every encoder layer's output too, where asked for."""
        if not self._keeps:
            return self._work_out(inputs, with_states)
        key = (with_states, *((name, values.shape, values.numpy().tobytes()) for name, values in inputs.items()))
        if (known := self._answers.get(key)) is not None:
            return known
        answer = self._work_out(inputs, with_states)
        if answer.bytes <= self._room:
            self._room -= answer.bytes
            self._answers[key] = answer
        return answer

    @torch.no_grad()
    def _work_out(self, inputs: Mapping[str, Tensor], with_states: bool) -> Answer:
        begun = time.perf_counter()
        outputs = self.encoder.model(**inputs, output_hidden_states=with_states, return_dict=True)
        states = outputs.hidden_states[1:] if with_states else ()  # the first is that of the embeddings
        answer = Answer(predictions_in(self.encoder, outputs, inputs), states)
        self.seconds += time.perf_counter() - begun
        self.worked_out += 1
        return answer
