"""Fine-tuning a model on labelled batches with transformers' Trainer."""

from __future__ import annotations

from typing import Any

from fwsvd_export.data.batches import Batches
from fwsvd_export.errors import MissingExtraError
from fwsvd_export.runtime.progress import Steps, silent
from fwsvd_export.storage.temporary import scratch_folder

# A batch of ours is one item for the Trainer, so that examples of one length stay together.
_QUIETLY: dict[str, Any] = {
    "per_device_train_batch_size": 1,
    "save_strategy": "no",
    "logging_strategy": "no",
    "report_to": [],
    "disable_tqdm": True,
    "remove_unused_columns": False,
}
WARMUP_SHARE = 0.1  # of all steps; the learning rate then falls linearly to zero


def finetune(
    model: Any,
    batches: Batches,
    *,
    epochs: int = 1,
    learning_rate: float = 1e-4,
    seed: int = 0,
    steps: Steps = silent,
) -> None:
    """Trains all parameters of a model in place (AdamW) on the device it is on; it comes back in evaluation mode.

    Args:
        model: with a head that computes a loss from the batches' labels.
        batches: of similar length each; their order is shuffled by the seed.
        epochs: passes over the batches.
        learning_rate: highest value, reached after the warm-up.
        seed: of order and dropout.
        steps: progress.

    Raises:
        MissingExtraError: accelerate is not installed.
    """
    try:
        import accelerate  # noqa: F401 - Trainer needs it, and says so less plainly
    except ModuleNotFoundError as error:
        raise MissingExtraError("accelerate", "train") from error
    from transformers import Trainer, TrainerCallback, TrainingArguments
    from transformers.trainer_callback import PrinterCallback

    total = epochs * len(batches)
    with scratch_folder("train") as scratch, steps("fine-tuning", total) as advance:

        class Advance(TrainerCallback):
            def on_step_end(self, *unused: Any, **also_unused: Any) -> None:
                advance()

        arguments = TrainingArguments(
            output_dir=str(scratch),
            num_train_epochs=epochs,
            learning_rate=learning_rate,
            warmup_steps=int(WARMUP_SHARE * total),
            seed=seed,
            use_cpu=next(model.parameters()).device.type == "cpu",
            **_QUIETLY,
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=batches,
            data_collator=lambda items: items[0],
            callbacks=[Advance()],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    model.eval()
