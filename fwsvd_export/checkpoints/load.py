"""Loading models: a folder or a Hub id becomes a model in float32, its files, and a digest of its weights."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.family import Family
from fwsvd_export.architectures.registry import LOW_RANK_FAMILIES, encoder_of
from fwsvd_export.checkpoints.settings import check_settings, check_weights, read_settings
from fwsvd_export.checkpoints.weights import weights_digest, weights_files
from fwsvd_export.errors import CheckpointError, UnsupportedModelError, first_line, shown
from fwsvd_export.storage.digest import file_sha256
from fwsvd_export.storage.tensors import StoredTensor, read_header

if TYPE_CHECKING:
    import torch
from fwsvd_export.storage.file_names import CARD_FILE, SHARDS_INDEX, TOKENIZER_FILES, VOCABULARY_FILES, WEIGHTS_FILE

_COMMIT = re.compile(r"[0-9a-f]{40}")  # the Hub's client names a snapshot's folder so
_CACHED = re.compile(r"models--(.+)")  # and the folder above all snapshots of a model so
_OWN_REFERENCE = re.compile(r"\w+\.\w+", re.ASCII)  # a file in the folder and a class in it


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
    """

    name: str
    folder: Path
    model: Any
    declared_dtype: torch.dtype
    sha256: str
    compressed: bool
    revision: str | None = None

    @cached_property
    def encoder(self) -> Encoder:
        """The model's adapter."""
        return encoder_of(self.model)

    @property
    def tokenizer_files(self) -> list[Path]:
        """The tokenizer's files that the folder has."""
        return [self.folder / name for name in TOKENIZER_FILES if (self.folder / name).is_file()]

    @property
    def has_tokenizer(self) -> bool:
        """Whether there is a tokenizer with its vocabulary among the files."""
        return not VOCABULARY_FILES.isdisjoint(file.name for file in self.tokenizer_files)


def load_checkpoint(source: str, *, trust_remote_code: bool = False) -> Checkpoint:
    """Loads a dense or compressed model.

    A compressed checkpoint is loaded with this installation's own classes when the digests of its code files are
    those of this installation, or when it has none; other code runs only with ``trust_remote_code``.

    Args:
        source: a folder, or the id of a model on the Hub.
        trust_remote_code: allow code that came with the checkpoint to run.

    Raises:
        CheckpointError: no such folder or model, no configuration, no safetensors, or files that cannot be read.
        UnsupportedModelError: an architecture or head outside the families table.
    """
    folder = _folder_of(source)
    settings = read_settings(folder)
    family = check_settings(settings, source)
    compressed = settings["model_type"] in LOW_RANK_FAMILIES
    if not (folder / WEIGHTS_FILE).is_file() and not (folder / SHARDS_INDEX).is_file():
        pickled = " (its pytorch_model.bin is a pickle, which is never read)" if any(folder.glob("*.bin")) else ""
        raise CheckpointError(f"{source} has no {WEIGHTS_FILE}{pickled}; save the model as safetensors first")
    check_weights(settings, family, _stored_tensors(folder), source)
    if not compressed:
        model_class = family.dense_class(_architecture(settings, family.dense_name(family.heads[0])))
    elif is_own_code(folder, family):
        model_class = family.low_rank_class(_architecture(settings, family.low_rank_name(family.heads[0])))
    elif trust_remote_code:
        model_class = _remote_class(settings, folder)
    else:
        raise CheckpointError(
            f"the code files in {source} are not those of this installation, so they are not run; "
            "read them and give --trust-remote-code if you trust them"
        )
    model = _load(model_class, folder, source, trust_remote_code and compressed)
    name, revision = _origin(source, folder)
    return Checkpoint(
        name=name,
        folder=folder,
        model=model,
        declared_dtype=_declared_dtype(settings),
        sha256=weights_digest(weights_files(folder)),
        compressed=compressed,
        revision=revision,
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


def is_own_code(folder: Path, family: Family) -> bool:
    """Whether every code file that a folder has is, byte for byte, this installation's; a missing one cannot run."""
    return all(
        file_sha256(folder / name) == file_sha256(family.shipped(name))
        for name in family.code_files
        if (folder / name).is_file()
    )


def _folder_of(source: str) -> Path:
    """The folder itself, or the Hub snapshot of an id."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    path = Path(source)
    if path.is_dir():
        return path
    if path.exists() or source.count("/") > 1 or source.startswith((".", "/", "~")):
        raise CheckpointError(f"{source} is not a folder; give a folder with a model, or the id of a model on the Hub")
    try:
        patterns = [
            "config.json",
            "*.safetensors",
            SHARDS_INDEX,
            "*.py",
            "compression.json",
            CARD_FILE,
            *TOKENIZER_FILES,
        ]
        return Path(snapshot_download(source, allow_patterns=patterns))
    except HFValidationError as error:
        raise CheckpointError(f"{source} is neither a folder nor the id of a model on the Hub") from error
    except Exception as error:  # the Hub's client raises its own, the HTTP library's and OS errors alike
        raise CheckpointError(
            f"{source} is no folder here and could not be fetched from the Hub: {first_line(error)}"
        ) from error


def _stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Every tensor of a checkpoint by name, in one file or in several."""
    stored: dict[str, StoredTensor] = {}
    for file in weights_files(folder):
        stored |= read_header(file)
    return stored


def _architecture(settings: dict[str, Any], default: str) -> str:
    names = settings.get("architectures") or [default]
    return str(names[0])


def _remote_class(settings: dict[str, Any], folder: Path) -> Any:
    """The class a compressed checkpoint's own code defines for its architecture."""
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    architecture = _architecture(settings, "")
    for reference in dict(settings.get("auto_map") or {}).values():
        if str(reference).endswith(f".{architecture}"):
            if not _OWN_REFERENCE.fullmatch(reference):
                raise CheckpointError(
                    f"the auto_map in {folder}/config.json names {shown(reference)}, which is outside the folder; only "
                    "code that lies in the folder is run"
                )
            try:
                return get_class_from_dynamic_module(reference, str(folder))
            except Exception as error:  # whatever the code does while it is imported
                raise CheckpointError(f"the code in {folder} cannot be imported: {first_line(error)}") from error
    raise UnsupportedModelError(
        f"the auto_map in {folder}/config.json has no class {shown(architecture)[1:-1] or '(none named)'}"
    )


def _load(model_class: Any, folder: Path, source: str, trust_remote_code: bool) -> Any:
    """The model in float32 and evaluation mode; transformers' own warnings about keys become errors."""
    try:
        model, info = model_class.from_pretrained(
            folder, output_loading_info=True, use_safetensors=True, trust_remote_code=trust_remote_code
        )
    except Exception as error:  # transformers, safetensors and torch raise many kinds for damaged files
        raise CheckpointError(f"the model in {source} cannot be read: {first_line(error)}") from error
    missing = sorted(info["missing_keys"])
    if missing:
        raise CheckpointError(
            f"the weights in {source} lack {missing[0]}"
            f"{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}; does config.json name the right class?"
        )
    return model.float().eval()


def _declared_dtype(settings: dict[str, Any]) -> torch.dtype:
    """The dtype the configuration names under its older or newer key; float32 when it names none."""
    import torch  # late: who only reads which files a checkpoint has does not wait for it

    name = str(settings.get("dtype") or settings.get("torch_dtype") or "float32").removeprefix("torch.")
    dtype: torch.dtype = getattr(torch, name)
    return dtype
