"""Refinement: a compressed model is trained for minutes on text alone, to predict what its dense model does.

The loss is that of distillation (``objective.Distillation``), at every position that the model predicts, and no labels
are read. Everything that could make a model worse is measured on held-out text: the learning rate is the largest of
``RATES`` whose short training of its own does little harm, and the weights that are kept are those of the smallest
divergence from the dense model, the start's included.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fwsvd_export.architectures.embed import Embed, mean_pooled
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.inputs import LABEL_KEYS
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.checkpoints.record import RecordedRefinement
from fwsvd_export.errors import DataError, TrainingError, given, is_number
from fwsvd_export.fisher.divergence import divergences
from fwsvd_export.fisher.hidden_states import hidden_state_roots
from fwsvd_export.fisher.predict import predict
from fwsvd_export.runtime.progress import Advance, Steps, silent
from fwsvd_export.training.history import TrainingHistory
from fwsvd_export.training.objective import Distillation, check_teacher, has_comparable_states
from fwsvd_export.training.settings import REFINE_MINUTES, REFINE_SCOPES, TrainingSettings
from fwsvd_export.training.teacher import Teacher
from fwsvd_export.training.train import check_trainable, train
from fwsvd_export.wording import counted

RATES = (5e-4, 2e-4, 1e-4, 5e-5)  # learning rates to choose from
# A short training makes every model worse, which a long one makes up for, the sooner the larger the rate. The largest
# rate that does no more harm than this, as a share of the divergence, is the best of the long ones (docs/log.md).
HARM = 0.4
PASSES = 4  # over the text, where the time is enough
EVALUATIONS = 4
HELD_OUT = 512  # examples at most
HELD_OUT_SHARE = 0.1  # of the text, at most
_TRIAL_PART = 16  # each rate's trial has one in so many of the batches that the time is enough for
_CAUTION = 0.95  # of the time that is left is planned for: a machine is slower when it works for long
_PILOT_BATCHES = 4  # that are timed to plan the trials
_ENOUGH_STEPS = 8  # of a trial, to plan by their mean: fewer are of a few lengths, and the pilot's are of all


def check_minutes(minutes: object) -> None:
    """Refuses what is no time.

    Raises:
        TrainingError: it is not a number above 0.
    """
    if not (is_number(minutes) and 0 < float(minutes) < float("inf")):
        raise TrainingError(f"refine minutes {given(minutes)}: a number above 0 is allowed, as 5 or 0.5")


def check_text(batches: Sequence[Mapping[str, Tensor]]) -> None:
    """Refuses text of which nothing can be held out.

    Raises:
        DataError: there are fewer than two batches.
    """
    if len(batches) < 2:
        raise DataError(
            f"refinement holds text out to measure on, and there is {counted(len(batches), 'batch')}: give at least "
            "two batches of text (more rows, or a smaller batch size)"
        )


def refine(
    model: Any,
    dense: Any,
    batches: Sequence[Mapping[str, Tensor]],
    *,
    held_out: Sequence[Mapping[str, Tensor]] | None = None,
    embed: Embed = mean_pooled,
    scope: str = REFINE_SCOPES[-1],
    minutes: float = REFINE_MINUTES,
    seed: int = 0,
    steps: Steps = silent,
) -> RecordedRefinement:
    """Trains a compressed model in place to predict what its dense model does; no labels are read.

    Args:
        model: compressed; it comes back in evaluation mode.
        dense: that it was made from, moved to the device of the model.
        batches: of text, of similar length each.
        held_out: text to measure on, best none that the compression was calibrated on; None holds some of the batches
            out, of which there must be two then.
        embed: how the hidden states of bare encoders become the embeddings that are compared.
        scope: "model" lets what later layers need change earlier ones; "layers" fits every encoder layer on its own
            inputs, all at the same time, and the predictions change the last one alone.
        minutes: of wall time, about; training is planned to fit, and to be no more than ``PASSES`` passes.
        seed: of the order of the batches and of what is measured on. The result is repeated by the seed where the
            passes end before the time does.
        steps: progress.

    Raises:
        MissingExtraError: accelerate is not installed.
        TrainingError: a dense model that it was not made from, or a scope or time that is not allowed.
        DataError: fewer than two batches.

    Example:
        >>> import fwsvd_export as fe
        >>> from transformers import BertConfig, BertModel
        >>> config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
        >>> dense = BertModel(config)
        >>> small = fe.compress(dense, method="svd", rank=4)
        >>> batches = [{"input_ids": torch.randint(1000, (4, 8))} for _ in range(4)]
        >>> done = refine(small, dense, batches, minutes=0.1)
        >>> done.best <= done.start
        True
    """
    begun = time.perf_counter()
    check_minutes(minutes)
    if scope not in REFINE_SCOPES:
        raise TrainingError(f"refine {given(scope)}: one of {', '.join(REFINE_SCOPES)} is allowed")
    apart, text = _split(batches) if held_out is None else (_Unlabelled(held_out), _Unlabelled(batches))
    run = _run_of(encoder_of(model, embed), encoder_of(dense, embed), apart, text, seed, steps)
    with _apart(run.encoder) if scope == "layers" else nullcontext():
        rate, pace = run.choose_rate(60 * minutes - (time.perf_counter() - begun))
        planned = run.planned(pace.batches_in(_CAUTION * (60 * minutes - (time.perf_counter() - begun)), EVALUATIONS))
        if planned <= len(run.text):
            run.distillation.teacher.keep_no_more()
        history = run.train(model, planned, rate, EVALUATIONS, steps)
    examples, measured_on = (sum(map(_examples, part)) for part in (text, apart))
    start, best = -history.start.value, -history.best.value
    return RecordedRefinement(scope, examples, measured_on, planned, history.best.step, rate, start, best)


@dataclass(frozen=True)
class _Pace:
    """How long things take, in seconds.

    Attributes:
        batch: one that the dense model has not answered yet.
        again: one that it has, as far as there is room for its answers.
        fresh: batches of the training that are of the first kind.
        evaluation: on the text that is held out.
    """

    batch: float
    again: float
    fresh: int
    evaluation: float

    def batches_in(self, seconds: float, evaluations: int) -> float:
        """Of a training that is also evaluated at its start."""
        left = seconds - (1 + evaluations) * self.evaluation
        first = self.fresh * self.batch
        return left / self.batch if left < first else self.fresh + (left - first) / self.again


class _Watch:
    """Tells progress on, and remembers when every step ended."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._ends: list[float] = []

    @contextmanager
    def __call__(self, what: str, total: int) -> Iterator[Advance]:
        with self._steps(what, total) as advance:

            def watched(note: str = "") -> None:
                self._ends.append(time.perf_counter())
                advance(note)

            yield watched

    @property
    def seconds_per_step(self) -> float:
        """Between the first step's end and the last one's, of at least two."""
        return (self._ends[-1] - self._ends[0]) / (len(self._ends) - 1)


@dataclass(frozen=True)
class _Run:
    """What every training of a refinement shares; make it with ``_run_of``."""

    encoder: Encoder
    text: Sequence[Mapping[str, Tensor]]
    distillation: Distillation
    score: Callable[[Any], float]
    seed: int
    steps: Steps

    def planned(self, batches: float) -> int:
        """Batches of a training that as many fit into: at least one, at most ``PASSES`` passes."""
        return max(1, min(int(batches), PASSES * len(self.text)))

    def train(self, model: Any, batches: int, rate: float, evaluations: int, steps: Steps) -> TrainingHistory:
        """Trains so many batches; the history, whose values are divergences upside down."""
        settings = TrainingSettings(
            epochs=(batches - 0.5) / len(self.text),  # training rounds up, and never one too far
            learning_rate=rate,
            evaluations=evaluations,
            seed=self.seed,
        )
        return train(
            model,
            self.text,
            settings,
            score=self.score,
            distillation=self.distillation,
            embed=self.encoder.embed,
            steps=steps,
        )

    def choose_rate(self, seconds: float) -> tuple[float, _Pace]:
        """The first rate whose short training does no more harm than ``HARM``, and the pace of the first training."""
        begun = time.perf_counter()
        self.score(self.encoder.model.eval())
        evaluation = time.perf_counter() - begun
        batch = self._seconds_per_batch()
        trial = max(1, self.planned(seconds / batch) // _TRIAL_PART)
        for rate in RATES:
            watch = _Watch(self.steps)
            history = self.train(copy.deepcopy(self.encoder.model), trial, rate, 1, watch)
            if rate == RATES[0]:  # later ones see the same batches again
                pace = self._pace(watch.seconds_per_step if trial >= _ENOUGH_STEPS else batch, evaluation)
            if -history.steps[-1].value <= (1 + HARM) * -history.start.value:
                break
        return rate, pace

    def _pace(self, batch: float, evaluation: float) -> _Pace:
        """Of a long training, from what a batch took that the dense model had not answered."""
        teacher, total = self.distillation.teacher, len(self.text)
        saved = teacher.share_kept(total) * teacher.seconds / teacher.worked_out
        return _Pace(batch, max(batch - saved, batch / 4), total - teacher.kept, evaluation)

    def _seconds_per_batch(self) -> float:
        """What one batch takes, with its gradients: of a few that are spread over all lengths."""
        model = self.encoder.model.eval()
        places = [place * (len(self.text) - 1) // max(1, _PILOT_BATCHES - 1) for place in range(_PILOT_BATCHES)]
        begun = time.perf_counter()
        for place in places:
            batch = {name: values.to(self.encoder.device) for name, values in self.text[place].items()}
            self.distillation(model, self.encoder, batch).backward()
        model.zero_grad(set_to_none=True)
        return (time.perf_counter() - begun) / len(places)


def _run_of(
    encoder: Encoder,
    teacher: Encoder,
    held_out: Sequence[Mapping[str, Tensor]],
    text: Sequence[Mapping[str, Tensor]],
    seed: int,
    steps: Steps,
) -> _Run:
    """What is worked out once, when the two models fit each other; the dense one comes to the device of the other."""
    check_trainable(encoder, TrainingSettings())
    check_teacher(encoder, teacher)
    teacher.model.to(encoder.device).eval()
    roots = hidden_state_roots(teacher, text, seed) if has_comparable_states(encoder, teacher) else ()
    return _Run(encoder, text, Distillation(Teacher(teacher), roots), _score(teacher, held_out), seed, steps)


def _split(
    batches: Sequence[Mapping[str, Tensor]],
) -> tuple[Sequence[Mapping[str, Tensor]], Sequence[Mapping[str, Tensor]]]:
    """Batches that are held out, spread over all lengths, and the rest, none with labels."""
    check_text(batches)
    most = max(1, min(HELD_OUT // _examples(batches[0]), int(HELD_OUT_SHARE * len(batches))))
    distance = len(batches) / most
    places = {int((number + 0.5) * distance) for number in range(most)}
    rest = [place for place in range(len(batches)) if place not in places]
    return _Unlabelled(batches, sorted(places)), _Unlabelled(batches, rest)


class _Unlabelled(Sequence[Mapping[str, Tensor]]):
    """Some of the batches, all by default, padded when they are taken, without their labels."""

    def __init__(self, batches: Sequence[Mapping[str, Tensor]], places: Sequence[int] | None = None) -> None:
        self._batches = batches
        self._places = range(len(batches)) if places is None else places

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Mapping[str, Tensor]]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        batch = self._batches[self._places[index]]
        return {name: values for name, values in batch.items() if name not in LABEL_KEYS}


def _examples(batch: Mapping[str, Tensor]) -> int:
    return len(batch["input_ids"])


def _score(teacher: Encoder, batches: Sequence[Mapping[str, Tensor]]) -> Callable[[Any], float]:
    """The mean divergence of a model from the dense one, upside down; what the dense one predicts is kept."""
    with torch.no_grad():
        right = [predict(teacher, batch) for batch in batches]

    @torch.no_grad()
    def score(model: Any) -> float:
        pairs = zip(right, batches, strict=True)
        moved = [divergences(before, predict(teacher, batch, model=model)) for before, batch in pairs]
        return -float(torch.cat(moved).mean())

    return score


@contextmanager
def _apart(encoder: Encoder) -> Iterator[None]:
    """No gradient flows from one encoder layer into the one before, inside the block."""

    def cut(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (inputs[0].detach(), *inputs[1:])

    layers = [encoder.module(encoder.family.layer.format(index)) for index in range(len(encoder.blocks))]
    hooks = [layer.register_forward_pre_hook(cut) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
