"""Loading models: a folder or a Hub id becomes a model in float32, its files, and a digest of its weights."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fwsvd_export.errors import CheckpointError, UnsupportedModelError, first_line, is_failure, shown
from fwsvd_export.families import LOW_RANK_FAMILIES, Family, base_of, compressible_layers
from fwsvd_export.settings import check_settings, check_weights, read_settings
from fwsvd_export.storage import StoredTensor, file_sha256, read_header, read_json

if TYPE_CHECKING:
    import torch

WEIGHTS_FILE = "model.safetensors"
SHARDS_INDEX = "model.safetensors.index.json"
# Copied into an output byte for byte; whichever of them a checkpoint has.
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)
# One of these holds the vocabulary; without it transformers 5 makes an empty tokenizer and says nothing.
VOCABULARY_FILES = {"tokenizer.json", "vocab.txt", "vocab.json"}
CARD_FILE = "README.md"
_COMMIT = re.compile(r"[0-9a-f]{40}")  # the Hub's client names a snapshot's folder so
_DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64"}  # safetensors' names
_OWN_REFERENCE = re.compile(r"\w+\.\w+", re.ASCII)  # a file in the folder and a class in it
_NEEDED_INPUTS = {"input_ids", "attention_mask"}
_VOCABULARY_SETTINGS = ("tokenizer_file", "vocab_file", "merges_file")  # transformers 4 reads any file they name


@dataclass(frozen=True)
class Checkpoint:
    """A model that was loaded from files.

    Attributes:
        name: what the user called it: a folder's name without its parents, or a Hub id.
        folder: where its files lie.
        model: in evaluation mode, float32, on the CPU.
        declared_dtype: the dtype its configuration asks for.
        sha256: of the weights file; None when the weights are sharded.
        compressed: whether it is one of ours.
        revision: the commit on the Hub that the files are of; None for a folder.
    """

    name: str
    folder: Path
    model: Any
    declared_dtype: torch.dtype
    sha256: str | None
    compressed: bool
    revision: str | None = None

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

    A compressed checkpoint is loaded with this installation's own classes when the digests of its two code files are
    those of this installation; other code runs only with ``trust_remote_code``.

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
        model_class = family.dense_class(_architecture(settings, family.heads[0].dense))
    elif is_own_code(folder, family):
        model_class = family.low_rank_class(_architecture(settings, family.heads[0].low_rank))
    elif trust_remote_code:
        model_class = _remote_class(settings, folder)
    else:
        raise CheckpointError(
            f"the code files in {source} are not those of this installation, so they are not run; "
            "read them and give --trust-remote-code if you trust them"
        )
    model = _load(model_class, folder, source, trust_remote_code and compressed)
    weights = folder / WEIGHTS_FILE
    return Checkpoint(
        name=source if not Path(source).exists() else folder.resolve().name,
        folder=folder,
        model=model,
        declared_dtype=_declared_dtype(settings),
        sha256=file_sha256(weights) if weights.is_file() else None,
        compressed=compressed,
        revision=None if Path(source).exists() or not _COMMIT.fullmatch(folder.name) else folder.name,
    )


@dataclass(frozen=True)
class StoredWeights:
    """What the weights take on disk: bytes of all files, and the type that most of their numbers are stored in."""

    bytes: int
    dtype: str


def stored_weights(folder: Path) -> StoredWeights:
    """Size and type of the weights in a folder; raises as ``read_header``."""
    files, numbers = sorted(folder.glob("*.safetensors")), Counter[str]()
    for file in files:
        for tensor in read_header(file).values():
            numbers[tensor.dtype] += math.prod(tensor.shape)
    kind = numbers.most_common(1)[0][0] if numbers else "F32"
    return StoredWeights(sum(file.stat().st_size for file in files), _DTYPES.get(kind, kind))


def load_tokenizer(checkpoint: Checkpoint) -> Any:
    """The checkpoint's tokenizer.

    Raises:
        CheckpointError: the folder has none, or it cannot be read.
    """
    from transformers import AutoTokenizer, BertConfig

    if not checkpoint.has_tokenizer:
        raise CheckpointError(
            f"{checkpoint.name} has no tokenizer with a vocabulary; save the tokenizer into the same folder"
        )
    described = checkpoint.folder / "tokenizer_config.json"
    named = read_json(described) if described.is_file() else {}
    for setting in _VOCABULARY_SETTINGS:
        if named.get(setting) is not None:
            raise CheckpointError(
                f"{described} names {shown(named[setting])} as its {setting}, and only the "
                "folder's own files are read; take it out"
            )
    try:
        # A plain configuration keeps AutoTokenizer from asking about the checkpoint's own code.
        tokenizer = AutoTokenizer.from_pretrained(checkpoint.folder, config=BertConfig(), trust_remote_code=False)
        inputs, padding = set(tokenizer.model_input_names), tokenizer.pad_token_id
    except BaseException as error:  # the tokenizers library raises plain exceptions and panics
        if not is_failure(error):
            raise
        raise CheckpointError(f"the tokenizer of {checkpoint.name} cannot be read: {first_line(error)}") from error
    if not inputs >= _NEEDED_INPUTS:
        raise CheckpointError(
            f"the tokenizer of {checkpoint.name} does not make {' and '.join(sorted(_NEEDED_INPUTS - inputs))}; "
            "mend model_input_names in its tokenizer_config.json"
        )
    if padding is None or not 0 <= padding < checkpoint.model.config.vocab_size:
        raise CheckpointError(f"the tokenizer of {checkpoint.name} has no padding token that the model knows")
    return tokenizer


def weights_sha256(model: Any) -> str:
    """SHA-256 over names, shapes and float32 values of all parameters: the same for any file format or stored dtype."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        digest.update(f"{name}{tuple(parameter.shape)}".encode())
        digest.update(parameter.detach().float().cpu().contiguous().numpy())
    return digest.hexdigest()


def linear_weights(model: Any) -> int:
    """Weights of the compressible layers as they are now (factors where a layer is factorised; biases not counted)."""
    modules = dict(base_of(model).named_modules())
    return sum(
        parameter.numel()
        for layer in compressible_layers(model)
        for name, parameter in modules[layer.name].named_parameters()
        if name.endswith("weight")
    )


def total_parameters(model: Any) -> int:
    """All parameters, tied ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def is_own_code(folder: Path, family: Family) -> bool:
    """Whether both code files in a folder are, byte for byte, those of this installation."""
    return all(
        (folder / name).is_file() and file_sha256(folder / name) == file_sha256(family.shipped(name))
        for name in family.modeling_files
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
    if (folder / WEIGHTS_FILE).is_file():
        return read_header(folder / WEIGHTS_FILE)
    index = folder / SHARDS_INDEX
    places = read_json(index).get("weight_map")
    files = set(map(str, places.values())) if isinstance(places, dict) else set()
    for name in sorted(files):
        if Path(name).name != name or not name.endswith(".safetensors") or not (folder / name).is_file():
            raise CheckpointError(f"{index} names {shown(name)}, which is no safetensors file in the same folder")
    if not files:
        raise CheckpointError(f"{index} names no files; save the model again")
    stored: dict[str, StoredTensor] = {}
    for name in sorted(files):
        stored |= read_header(folder / name)
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
