"""Weights in another format than safetensors: what they are, and the lines of Python that convert them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from fwsvd_export.errors import CheckpointError, shown
from fwsvd_export.storage.file_names import WEIGHTS_FILE

# What training leaves beside the weights, in files that are named like weights
_NO_WEIGHTS = {
    "training_args.bin",
    "optimizer.bin",
    "optimizer.pt",
    "rng_state.pth",
    "scaler.pt",
    "scheduler.bin",
    "scheduler.pt",
}
_PICKLE = "a pickle, which is never read"
_WITH_TENSORFLOW = " with transformers 4 and tensorflow"
_READ = "from transformers import {model}; {model}.from_pretrained({source}).save_pretrained({out})"
_READ_OTHERS = (
    "from transformers import {model}; {model}.from_pretrained({source}, from_%s=True).save_pretrained({out})"
)
# No line of ours opens a pickle: which names its tensors have, only the program knows that saved it
_SAVE_THERE = (
    "load it in the program that saved it, and give the folder that model.save_pretrained('converted') writes there"
)


@dataclass(frozen=True)
class Format:
    """Weights that are not read.

    Attributes:
        pattern: of the file's name.
        reason: what such a file is, as the end of a sentence.
        remedy: what to do where no lines convert it.
        lines: of Python that convert it, with names in braces.
        needed: what the lines need, as a part of a sentence.
    """

    pattern: str
    reason: str
    remedy: str = ""
    lines: str = ""
    needed: str = ""


# Of several that a folder has, the first is the one to convert
FORMATS = (
    Format("pytorch_model*.bin", _PICKLE, lines=_READ),
    Format("pytorch_model.bin.index.json", f"the index of {_PICKLE}", lines=_READ),
    Format("tf_model*.h5", "a file of Keras", lines=_READ_OTHERS % "tf", needed=_WITH_TENSORFLOW),
    Format(
        "flax_model*.msgpack",
        "a file of Flax",
        lines=_READ_OTHERS % "flax",
        needed=" with transformers 4 and flax",
    ),
    Format(
        "*.ckpt.index",
        "the index of a TensorFlow 1 checkpoint",
        lines="from transformers import {config}, {model}; {model}.from_pretrained({path}, from_tf=True, "
        "config={config}.from_pretrained({source})).save_pretrained({out})",
        needed=_WITH_TENSORFLOW,
    ),
    *(Format(pattern, _PICKLE, _SAVE_THERE) for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt")),
    Format(
        "*.gguf", "quantised for other programs, which cannot be undone", "give the checkpoint that it was made from"
    ),
    Format("*.onnx", "a graph to run, not a model to change", "give the checkpoint that it was exported from"),
    Format("*.safetensors", f"not called {WEIGHTS_FILE}", f"rename it to {WEIGHTS_FILE} if it holds the whole model"),
)


@dataclass(frozen=True)
class Names:
    """What the lines of Python name.

    Attributes:
        source: the model, as the user calls it.
        model: transformers' class of it.
        config: the class of its configuration.
        out: the folder for the converted model; ``source`` where that is a folder.
    """

    source: str
    model: str
    config: str
    out: str


def unread_format(files: Iterable[str]) -> tuple[str, Format] | None:
    """The first of the formats above among a model's files, and the name of the file; None for none.

    Args:
        files: paths relative to the model's folder.
    """
    names = sorted(set(files) - _NO_WEIGHTS)
    return next(((name, row) for row in FORMATS for name in names if fnmatchcase(name, row.pattern)), None)


def refuse_format(name: str, row: Format, source: str, names: Names | None = None) -> CheckpointError:
    """The error for weights of a format that is not read.

    Args:
        name: of the file.
        row: its format.
        source: the model, as the user calls it.
        names: for the lines of Python, where the format has any.
    """
    said = f"{source} has no {WEIGHTS_FILE}, and its {shown(name)[1:-1]} is {row.reason}"
    if names is None or not row.lines:
        return CheckpointError(f"{said}; {row.remedy or 'save the model as safetensors first'}")
    lines = row.lines.format(
        model=names.model,
        config=names.config,
        source=repr(source),
        path=repr(f"{source}/{name}"),
        out=repr(names.out),
    )
    if names.out != source:  # where the tokenizer is not yet
        tokenizer = f"T.from_pretrained({source!r}).save_pretrained({names.out!r})"
        lines += f"; from transformers import AutoTokenizer as T; {tokenizer}"
    return CheckpointError(f"{said}; if you trust it, convert it in Python{row.needed}: {lines}")
