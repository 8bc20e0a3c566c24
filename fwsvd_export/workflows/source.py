"""The model that comes in, on its device, and the output that must not be its folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from fwsvd_export.checkpoints.folder import read_compression
from fwsvd_export.checkpoints.load import Checkpoint, load_checkpoint
from fwsvd_export.errors import CheckpointError, OutputError, UnsupportedModelError, quoted
from fwsvd_export.runtime.device import device_named
from fwsvd_export.storage.file_names import COMPRESSION_FILE
from fwsvd_export.storage.output import check_output


@dataclass(frozen=True)
class Source:
    """The model that comes in and how to treat it."""

    model: str
    trust_remote_code: bool = False
    device: str = "auto"
    drop_modules: bool = False

    @property
    def place(self) -> str:
        """The whole path of a folder, however it is spelt; else the id on the Hub."""
        return str(Path(self.model).resolve()) if Path(self.model).is_dir() else self.model


@dataclass
class Stopwatch:
    """Wall seconds by phase."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Times the block under a name; times under one name add up."""
        start = time.perf_counter()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0) + time.perf_counter() - start, 3)


def check_folder(source: Source, out: Path, overwrite: bool) -> None:
    """Refuses an output folder that exists, and the folder of the model that comes in even with ``overwrite``."""
    if out.is_dir() and Path(source.model).is_dir() and out.samefile(source.model):
        raise OutputError(f"{out} is the model that comes in, which is never replaced; give the output another name")
    check_output(out, overwrite)


def checkpoint_of(source: Source) -> Checkpoint:
    """Loads the model that comes in, with what is listed behind it.

    Raises:
        CheckpointError, UnsupportedModelError: as ``load_checkpoint`` and ``sentence_modules_of``.
    """
    checkpoint = load_checkpoint(
        source.model, trust_remote_code=source.trust_remote_code, drop_modules=source.drop_modules
    )
    checkpoint.carried  # noqa: B018, read here: modules that cannot be carried over fail before the long work
    return checkpoint


def load_source(source: Source) -> Checkpoint:
    """Loads the model that comes in, on its device.

    Raises:
        CheckpointError, UnsupportedModelError: as ``load_checkpoint``, or weights that are not finite.
    """
    device = device_named(source.device)
    checkpoint = checkpoint_of(source)
    for name, parameter in checkpoint.model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise CheckpointError(
                f"the weights of {name} in {source.model} hold NaN or infinite values; save a sound model again"
            )
    checkpoint.model.to(device)
    return checkpoint


def load_dense(source: Source) -> Checkpoint:
    """As ``load_source``; refuses a compressed checkpoint by naming the dense one its record says it was made from."""
    checkpoint = load_source(source)
    if checkpoint.compressed:
        recorded = (checkpoint.folder / COMPRESSION_FILE).is_file()
        base = quoted(read_compression(checkpoint.folder).base_model) if recorded else "the dense model"
        raise UnsupportedModelError(
            f"{source.model} is already compressed: compress its base, {base}, again with the size you want; or, to "
            "keep what it learned since, compress what fwsvd-export densify makes of it"
        )
    return checkpoint
