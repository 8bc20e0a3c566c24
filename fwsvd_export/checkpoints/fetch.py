"""Where a model's files are: the folder itself, or the copy of a model on the Hub."""

from __future__ import annotations

from pathlib import Path

from fwsvd_export.checkpoints.adapters import ADAPTER_FILE
from fwsvd_export.errors import CheckpointError, message_of
from fwsvd_export.storage.file_names import (
    CARD_FILE,
    COMPRESSION_FILE,
    ONNX_FOLDER,
    SENTENCE_FILES,
    SHARDS_INDEX,
    TOKENIZER_FILES,
)

_PATTERNS = [
    "config.json",
    "*/config.json",  # of sentence-transformers' modules
    "*.safetensors",
    SHARDS_INDEX,
    "*.py",
    ADAPTER_FILE,
    *SENTENCE_FILES,
    COMPRESSION_FILE,
    CARD_FILE,
    *TOKENIZER_FILES,
]


def folder_of(source: str) -> Path:
    """The folder itself, or the Hub snapshot of an id.

    Raises:
        CheckpointError: neither is there, or the Hub cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    path = Path(source)
    if path.is_dir():
        return path
    if path.exists() or source.count("/") > 1 or source.startswith((".", "/", "~")):
        raise CheckpointError(f"{source} is not a folder; give a folder with a model, or the id of a model on the Hub")
    try:
        return Path(snapshot_download(source, allow_patterns=_PATTERNS))
    except HFValidationError as error:
        raise CheckpointError(f"{source} is neither a folder nor the id of a model on the Hub") from error
    except Exception as error:  # the Hub's client raises its own, the HTTP library's and OS errors alike
        raise CheckpointError(
            f"{source} is no folder here and could not be fetched from the Hub: {message_of(error)}"
        ) from error


def files_of(source: str, folder: Path) -> list[str]:
    """The paths of all files at the top of a model and in its ``onnx/``, on the Hub also those that are not fetched.

    Args:
        source: a folder, or the id of a model on the Hub.
        folder: of the model, as ``folder_of`` gives it.
    """
    here = [path.relative_to(folder).as_posix() for path in (*folder.glob("*"), *folder.glob(f"{ONNX_FOLDER}/*"))]
    return here if Path(source).is_dir() else [*here, *_files_on_the_hub(source)]


def _files_on_the_hub(source: str) -> list[str]:
    from huggingface_hub import HfApi

    try:
        paths = HfApi().list_repo_files(source)
    except Exception:  # it is only asked to say more in an error that comes anyway
        return []
    return [path for path in paths if "/" not in path.removeprefix(f"{ONNX_FOLDER}/")]
