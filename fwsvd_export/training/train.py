"""Training a model with transformers' Trainer: the best weights are kept, those of the start included."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from fwsvd_export.architectures.embed import Embed, mean_pooled
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.errors import MissingExtraError
from fwsvd_export.fisher.hidden_states import hidden_state_roots
from fwsvd_export.runtime.modes import usual_modes
from fwsvd_export.runtime.progress import Steps, silent
from fwsvd_export.storage.temporary import scratch_folder
from fwsvd_export.training.balance import balance_factors
from fwsvd_export.training.history import TrainingHistory
from fwsvd_export.training.objective import Distillation, check_teacher, has_comparable_states
from fwsvd_export.training.precision import (
    check_device,
    only_precision,
    precision_of,
    restore_forward,
    settings_on,
)
from fwsvd_export.training.settings import TrainingSettings
from fwsvd_export.training.state import TrainingState, trainer_log
from fwsvd_export.training.teacher import Teacher
from fwsvd_export.training.trainer import METRIC, Rhythm, ScoredTrainer, arguments_of, steps_of

Score = Callable[[Any], float]
"""The metric of a model on held-out rows, larger is better."""
WARMUP_SHARE = 0.1  # of all steps; the learning rate then falls linearly to zero


def train(
    model: Any,
    batches: Sequence[Mapping[str, Any]],
    settings: TrainingSettings,
    *,
    score: Score,
    teacher: Any = None,
    distillation: Distillation | None = None,
    embed: Embed = mean_pooled,
    state: TrainingState | None = None,
    steps: Steps = silent,
) -> TrainingHistory:
    """Trains a model in place with AdamW on the device it is on; it comes back in evaluation mode.

    With a teacher it learns the teacher's predictions and hidden states (``Distillation``), without one the batches'
    labels. Factors are balanced first. The weights that come back are those with the largest score, first the start's.

    Args:
        model: of a supported family, dense or compressed, with a head that computes a loss from the batches' labels.
        batches: of similar length each; their order is shuffled by the seed.
        settings: how.
        score: called with the model in evaluation mode, at the start and ``settings.evaluations`` times.
        teacher: the dense model; it is moved to the device of the model.
        distillation: of an earlier training on the same batches, in the place of a teacher: nothing is made anew.
        embed: how the hidden states of bare encoders become the embeddings that are learned.
        state: where a killed run leaves what the same call goes on from, to the same weights; None for no continuing.
        steps: progress.

    Raises:
        MissingExtraError: accelerate is not installed.
        TrainingError: a teacher that does not fit, or a precision that the device does not have.

    Example:
        >>> import torch, fwsvd_export as fe
        >>> from transformers import BertConfig, BertModel
        >>> dense = BertModel(BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2))
        >>> small = fe.compress(dense, method="svd", rank=4)
        >>> ids = torch.arange(8).reshape(2, 4)
        >>> close = lambda model: -float((model(ids).pooler_output - dense(ids).pooler_output).square().mean())
        >>> settings = TrainingSettings(epochs=8, learning_rate=1e-2, evaluations=4)
        >>> history = train(small, [{"input_ids": ids}], settings, score=close, teacher=dense)
        >>> history.best.value >= history.start.value
        True
    """
    encoder, learned = encoder_of(model, embed), distillation if teacher is None else encoder_of(teacher, embed)
    settings = settings_on(encoder.device, settings.resolved(learned is not None))
    check_trainable(encoder, settings)
    if isinstance(learned, Encoder):
        check_teacher(encoder, learned)
    before = {name: values.clone() for name, values in model.state_dict().items()}
    balance_factors(encoder)
    with ExitStack() as stack:
        state = state or TrainingState(stack.enter_context(scratch_folder("train")))
        stack.enter_context(_surroundings(encoder, settings))
        trainer = _trainer(encoder, batches, settings, score, learned, state.folder)
        history, kept = _trained(trainer, settings, state, steps)
    if kept is None:
        model.load_state_dict(before)
    model.eval()
    return history


def check_trainable(encoder: Encoder, settings: TrainingSettings) -> None:
    """Refuses before the long work what cannot be trained here.

    Raises:
        MissingExtraError: accelerate is not installed.
        TrainingError: a precision that the model's device does not have, or a GPU that training cannot be on.
    """
    try:
        import accelerate  # noqa: F401 - Trainer needs it, and says so less plainly
    except ModuleNotFoundError as error:
        raise MissingExtraError("accelerate", "train") from error
    precision_of(settings.precision, encoder.device)
    check_device(encoder.device)


def distillation_from(
    teacher: Encoder,
    encoder: Encoder,
    batches: Sequence[Mapping[str, Any]],
    settings: TrainingSettings,
    device: torch.device,
) -> Distillation:
    """The distance from a teacher that fits; hidden states count where their shapes are the same.

    Args:
        teacher: moved to the device.
        encoder: of the model.
        batches: what the hidden states' Fisher information is measured on.
        settings: weights of the parts.
        device: where this process trains, which of several processes on one machine is not where the model was loaded.
    """
    teacher.model.to(device).eval()
    compared = settings.hidden_weight > 0 and has_comparable_states(encoder, teacher)
    roots = hidden_state_roots(teacher, batches, settings.seed) if compared else ()
    assert settings.epochs is not None, "they are resolved"
    taught = Teacher(teacher, keeps=settings.epochs > 1)
    return Distillation(taught, roots, settings.hidden_weight, settings.label_weight)


def _trainer(
    encoder: Encoder,
    batches: Sequence[Mapping[str, Any]],
    settings: TrainingSettings,
    score: Score,
    learned: Distillation | Encoder | None,
    place: Path,
) -> ScoredTrainer:
    """The Trainer, with all steps counted; which checkpoints are kept is for the state to say."""
    assert settings.epochs is not None, "they are resolved"
    arguments = arguments_of(
        output_dir=str(place),
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        seed=settings.seed,
        use_cpu=encoder.device.type == "cpu",
        bf16=settings.precision == "bfloat16",
        fp16=settings.precision == "float16",
        save_strategy="steps",
        logging_strategy="steps",
        metric_for_best_model=METRIC,
        greater_is_better=True,
    )
    total = max(1, math.ceil(settings.epochs * math.ceil(len(batches) / arguments.world_size)))
    every = math.ceil(total / settings.evaluations)
    arguments.max_steps, arguments.warmup_steps = total, int(WARMUP_SHARE * total)
    arguments.eval_steps = arguments.save_steps = arguments.logging_steps = every  # Rhythm asks at these steps
    if isinstance(learned, Encoder):
        learned = distillation_from(learned, encoder, batches, settings, arguments.device)
    return ScoredTrainer(encoder, arguments, batches, score, learned)


def _trained(
    trainer: Any, settings: TrainingSettings, state: TrainingState, steps: Steps
) -> tuple[TrainingHistory, Path | None]:
    """Trains; what happened, and the folder of the best weights, which are in the model; None when the start's are."""
    arguments = trainer.args
    newest = state.newest
    start = trainer.measure()
    log = [] if newest is None else trainer_log(newest)
    done = 0 if newest is None else int(newest.name.rpartition("-")[2])
    with warnings.catch_warnings(), steps("training", arguments.max_steps) as advance:
        for _ in range(done):
            advance()
        rhythm = Rhythm(start, int(arguments.eval_steps or 1), settings.patience, state, advance)
        if done < arguments.max_steps and not rhythm.has_stopped(log):
            trainer.add_callback(rhythm)
            warnings.filterwarnings("ignore", message="mtime may not be reliable")  # steps order checkpoints as well
            trainer.train(resume_from_checkpoint=None if newest is None else str(newest))
            log = trainer.state.log_history
    history = TrainingHistory(steps_of(start, log), arguments.max_steps)
    if history.best.step == 0:
        return history, None
    best = Path(str(arguments.output_dir)) / f"checkpoint-{history.best.step}"
    model: Any = trainer.model
    loaded = type(model).from_pretrained(best).to(device=model.device, dtype=model.dtype)
    model.load_state_dict(loaded.state_dict())
    return history, best


@contextmanager
def _surroundings(encoder: Encoder, settings: TrainingSettings) -> Iterator[None]:
    """What a training needs around it; the model is as it was after the block but for its weights."""
    with ExitStack() as stack:
        stack.enter_context(_frozen(encoder, settings.embeddings))
        stack.enter_context(usual_modes(encoder.device))
        stack.enter_context(only_precision(settings.precision))
        stack.callback(restore_forward, encoder.model)
        yield


@contextmanager
def _frozen(encoder: Encoder, embeddings: str) -> Iterator[None]:
    """The word embeddings get no gradients inside the block where they are to be frozen."""
    parameters = list(encoder.module(encoder.embedding.name).parameters()) if embeddings == "freeze" else []
    had = [parameter.requires_grad for parameter in parameters]
    try:
        for parameter in parameters:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter, gradient in zip(parameters, had, strict=True):
            parameter.requires_grad_(gradient)
