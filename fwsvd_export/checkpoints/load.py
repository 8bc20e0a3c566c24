"""Loading models: a folder or a Hub id becomes a model in float32, its files, and a digest of its weights."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fwsvd_export.architectures.embed import mean_pooled
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.registry import LOW_RANK_FAMILIES, encoder_of
from fwsvd_export.checkpoints.adapters import refuse_adapter_tensors
from fwsvd_export.checkpoints.carried import Carried
from fwsvd_export.checkpoints.fetch import folder_of
from fwsvd_export.checkpoints.keys import check_keys
from fwsvd_export.checkpoints.model_class import model_class_of
from fwsvd_export.checkpoints.module_embed import ModuleEmbed
from fwsvd_export.checkpoints.sentence_modules import SentenceModules, dropped_modules, sentence_modules_of
from fwsvd_export.checkpoints.settings import check_settings, check_weights, read_settings
from fwsvd_export.checkpoints.stored import has_weights, stored_tensors
from fwsvd_export.checkpoints.unread import check_format, without_weights
from fwsvd_export.checkpoints.weights import weights_digest, weights_files
from fwsvd_export.errors import CheckpointError, CheckpointWarning, message_of
from fwsvd_export.storage.file_names import TOKENIZER_FILES, VOCABULARY_FILES

if TYPE_CHECKING:
    import torch

_COMMIT = re.compile(r"[0-9a-f]{40}")  # the Hub's client names a snapshot's folder so
_CACHED = re.compile(r"models--(.+)")  # and the folder above all snapshots of a model so


@dataclass(frozen=True)
class Checkpoint:
    """A model that was loaded from files.

    Attributes:
        name: a Hub id, also for a folder in the Hub's cache, or a folder's name without its parents.
        folder: where its files lie.
        model: in evaluation mode, float32, on the CPU.
        declared_dtype: the dtype its configuration asks for.
        sha256: of the weights file; of several, of the list that ``sha256sum`` prints of them.
        compressed: whether it is one of ours.
        revision: the commit on the Hub that the files are of; None for a folder of any other origin.
        left_out: sentences on what the weights hold and the model does not.
        drops_modules: whether what sentence-transformers computes behind the model is left behind.
    """

    name: str
    folder: Path
    model: Any
    declared_dtype: torch.dtype
    sha256: str
    compressed: bool
    revision: str | None = None
    left_out: tuple[str, ...] = ()
    drops_modules: bool = False

    @cached_property
    def encoder(self) -> Encoder:
        """The model's adapter, which embeds texts as the modules behind the model do, where there are any."""
        modules = self.modules
        return encoder_of(self.model, mean_pooled if modules is None or not modules.behind else ModuleEmbed(modules))

    @cached_property
    def modules(self) -> SentenceModules | None:
        """What sentence-transformers has beside the model; None where it has nothing, or nothing that is to be kept.

        Raises:
            CheckpointError: as ``sentence_modules_of``.
        """
        if self.drops_modules:
            return None
        return sentence_modules_of(self.folder, self.name, int(self.model.config.hidden_size))

    @property
    def carried(self) -> Carried:
        """What a folder that is made from this one has of it beside configuration and weights."""
        return Carried(tuple(self.tokenizer_files), self.modules)

    @property
    def tokenizer_files(self) -> list[Path]:
        """The tokenizer's files that the folder has."""
        return [self.folder / name for name in TOKENIZER_FILES if (self.folder / name).is_file()]

    @property
    def has_tokenizer(self) -> bool:
        """Whether there is a tokenizer with its vocabulary among the files."""
        return not VOCABULARY_FILES.isdisjoint(file.name for file in self.tokenizer_files)


def load_checkpoint(source: str, *, trust_remote_code: bool = False, drop_modules: bool = False) -> Checkpoint:
    """Loads a dense or compressed model.

    A compressed checkpoint is loaded with this installation's own classes when the digests of its code files are
    those of this installation, or when it has none; other code runs only with ``trust_remote_code``.

    Args:
        source: a folder, or the id of a model on the Hub.
        trust_remote_code: allow code that came with the checkpoint to run.
        drop_modules: leave behind what sentence-transformers computes behind the model.

    Raises:
        CheckpointError: no such folder or model, no configuration, no safetensors, or files that cannot be read.
        UnsupportedModelError: an architecture or head outside the families table, or none that is named or recognised.

    Warns:
        CheckpointWarning: the class was recognised by the tensors, or does not take all of them.
    """
    folder = folder_of(source)
    check_format(folder, source)
    settings = read_settings(folder)
    family = check_settings(settings, source)
    if not has_weights(folder):
        raise without_weights(settings, family, folder, source)
    tensors = stored_tensors(folder)
    refuse_adapter_tensors(tensors, source)
    check_weights(settings, family, tensors, source)
    compressed = settings["model_type"] in LOW_RANK_FAMILIES
    model_class = model_class_of(settings, family, tensors, folder, source, trust_remote_code)
    model, info = _load(model_class, folder, source, trust_remote_code and compressed)
    left_out = tuple(filter(None, [check_keys(model, info, family, tensors, source)]))
    if drop_modules:
        left_out += dropped_modules(folder)
    for sentence in left_out:
        warnings.warn(f"{source}: {sentence}.", CheckpointWarning, stacklevel=2)
    name, revision = _origin(source, folder)
    return Checkpoint(
        name=name,
        folder=folder,
        model=model,
        declared_dtype=_declared_dtype(settings),
        sha256=weights_digest(weights_files(folder)),
        compressed=compressed,
        revision=revision,
        left_out=left_out,
        drops_modules=drop_modules,
    )


def _origin(source: str, folder: Path) -> tuple[str, str | None]:
    """What a model is called, and its commit on the Hub, which folders in the Hub's cache tell by their names."""
    place = folder.resolve()
    commit = place.name if _COMMIT.fullmatch(place.name) else None
    if not Path(source).exists():
        return source, commit
    if commit is not None and place.parent.name == "snapshots" and (cached := _CACHED.fullmatch(place.parts[-3])):
        return cached[1].replace("--", "/"), commit
    return place.name, None


def _load(model_class: Any, folder: Path, source: str, trust_remote_code: bool) -> tuple[Any, dict[str, Any]]:
    """The model in float32 and evaluation mode, and what transformers says of the keys of its weights."""
    try:
        model, info = model_class.from_pretrained(
            folder,
            output_loading_info=True,
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            ignore_mismatched_sizes=True,  # they are refused by ``check_keys``, which names them
        )
    except Exception as error:  # transformers, safetensors and torch raise many kinds for damaged files
        raise CheckpointError(f"the model in {source} cannot be read: {message_of(error)}") from error
    return model.float().eval(), info


def _declared_dtype(settings: dict[str, Any]) -> torch.dtype:
    """The dtype the configuration names under its older or newer key; float32 when it names none."""
    import torch  # late: who only reads which files a checkpoint has does not wait for it

    name = str(settings.get("dtype") or settings.get("torch_dtype") or "float32").removeprefix("torch.")
    dtype: torch.dtype = getattr(torch, name)
    return dtype
