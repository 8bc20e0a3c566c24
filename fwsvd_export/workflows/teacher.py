"""The dense model that a model is distilled from."""

from __future__ import annotations

from fwsvd_export.checkpoints.load import Checkpoint
from fwsvd_export.checkpoints.tokenizer import load_tokenizer
from fwsvd_export.errors import TrainingError
from fwsvd_export.training.objective import check_teacher
from fwsvd_export.workflows.source import Source, load_source


def load_teacher(source: Source, pupil: Checkpoint) -> Checkpoint:
    """Loads a teacher, and compares it with the model that is to learn from it.

    Raises:
        TrainingError: it does not fit the model, or means other tokens by the same token ids.
        CheckpointError, UnsupportedModelError: it cannot be read.
    """
    teacher = load_source(source)
    check_teacher(pupil.encoder, teacher.encoder)
    ours, theirs = load_tokenizer(pupil).get_vocab(), load_tokenizer(teacher).get_vocab()
    if ours != theirs:
        word = next((word for word, number in ours.items() if theirs.get(word) != number), None)
        raise TrainingError(
            f"the teacher's tokenizer is another one than the model's (token {word!r} is {theirs.get(word)} there and "
            f"{ours.get(word)} here): both read the same token ids; give the dense model that it was compressed from"
        )
    return teacher
