"""The tokenizer of a checkpoint: read with care, and carried over so that whoever could read it still can."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fwsvd_export.architectures.registry import any_family_of
from fwsvd_export.checkpoints.tokenizer_limits import check_tokenizer_files
from fwsvd_export.errors import CheckpointError, CheckpointWarning, is_failure, message_of, shown
from fwsvd_export.storage.file_names import TOKENIZER_SETTINGS_FILE, VOCABULARY_FILES
from fwsvd_export.storage.json_files import read_json, write_json

if TYPE_CHECKING:
    from fwsvd_export.checkpoints.load import Checkpoint

_NEEDED_INPUTS = {"input_ids", "attention_mask"}
_VOCABULARY_SETTINGS = ("tokenizer_file", "vocab_file", "merges_file")  # transformers 4 reads any file they name
# Letters of several scripts, numbers, and signs: what one tokenizer cuts otherwise than another
_PROBE = "It's 12,5 °C – ÉTÉ naïve 東京 Привет [MASK] @user #tag\tend"


def load_tokenizer(checkpoint: Checkpoint) -> Any:
    """The checkpoint's tokenizer, for texts that the model is run on.

    Raises:
        CheckpointError: the folder has none, it cannot be read, a file of it is above the limits of size, or it does
            not make what the model takes.
    """
    if not checkpoint.has_tokenizer:
        raise CheckpointError(
            f"{checkpoint.name} has no tokenizer with a vocabulary; save the tokenizer into the same folder"
        )
    tokenizer = read_tokenizer(checkpoint.folder, checkpoint.model.config)
    tokenizer.padding_side = "right"  # labels and the places of answers are counted from the first token
    inputs, padding = set(tokenizer.model_input_names), tokenizer.pad_token_id
    if not inputs >= _NEEDED_INPUTS:
        raise CheckpointError(
            f"the tokenizer of {checkpoint.name} does not make {' and '.join(sorted(_NEEDED_INPUTS - inputs))}; "
            f"correct model_input_names in its {TOKENIZER_SETTINGS_FILE}"
        )
    if padding is None or not 0 <= padding < checkpoint.encoder.embedding.out_features:
        raise CheckpointError(f"the tokenizer of {checkpoint.name} has no padding token that the model knows")
    return tokenizer


def read_tokenizer(folder: Path, config: Any) -> Any:
    """The tokenizer in a folder, as transformers reads it for a plain model of the architecture; no code of it runs.

    Args:
        folder: with a vocabulary.
        config: of the model, dense or compressed.

    Raises:
        CheckpointError: it cannot be read, or a file of it is above the limits of size.
    """
    from transformers import AutoTokenizer

    described = folder / TOKENIZER_SETTINGS_FILE
    named = read_json(described) if described.is_file() else {}
    for setting in _VOCABULARY_SETTINGS:
        if named.get(setting) is not None:
            raise CheckpointError(
                f"{described} names {shown(named[setting])} as its {setting}, and only the "
                "folder's own files are read; take it out"
            )
    try:
        check_tokenizer_files(folder)
        # A plain configuration keeps AutoTokenizer from asking about the checkpoint's own code.
        plain = any_family_of(config).dense_config_class()(tokenizer_class=getattr(config, "tokenizer_class", None))
        return AutoTokenizer.from_pretrained(folder, config=plain, trust_remote_code=False)
    except BaseException as error:  # the tokenizers library raises plain exceptions and panics
        if not is_failure(error):
            raise
        reason = error if isinstance(error, CheckpointError) else message_of(error)
        raise CheckpointError(f"the tokenizer of {folder.name} cannot be read: {reason}") from error


def write_tokenizer(files: Sequence[Path], folder: Path, config: Any) -> None:
    """Copies a tokenizer's files into a model's folder, and makes sure that it is read there as it was.

    AutoTokenizer takes the class from ``tokenizer_config.json`` and, where that does not say it, from the model's
    architecture; it does not know a compressed one's. So the class is written down where it was not, and what
    the tokenizer makes where its own class would make something else.

    Args:
        files: of the tokenizer, all of one folder; none for a model without.
        folder: has the model's ``config.json``.
        config: of the model.

    Raises:
        CheckpointError: it cannot be read where it is, or not alike from the copied files alone.

    Warns:
        CheckpointWarning: there are settings of a tokenizer without a vocabulary, and nothing is copied: transformers 5
            would make an empty tokenizer of them and say nothing.
    """
    if not files:
        return
    source = files[0].parent
    if VOCABULARY_FILES.isdisjoint(file.name for file in files):
        warnings.warn(
            f"{source.name} has settings of a tokenizer and none of {', '.join(sorted(VOCABULARY_FILES))}, so no "
            "tokenizer is carried over; save it into the new folder.",
            CheckpointWarning,
            stacklevel=2,
        )
        return
    before = read_tokenizer(source, config)
    for file in files:
        shutil.copyfile(file, folder / file.name)
    path = folder / TOKENIZER_SETTINGS_FILE
    settings = read_json(path) if path.is_file() else {}
    if not settings.get("tokenizer_class"):
        named = getattr(config, "tokenizer_class", None) or any_family_of(config).tokenizer_class
        settings = {**settings, "tokenizer_class": named}
        write_json(path, settings)
    after = _checked_copy(before, folder, source)
    if set(after.model_input_names) != set(before.model_input_names):
        # Transformers 5 reads it by the model's architecture where it is, and by its own class here
        write_json(path, {**settings, "model_input_names": before.model_input_names})


def _checked_copy(before: Any, folder: Path, source: Path) -> Any:
    """Reads the copied tokenizer as anyone does who knows no compressed model, without trust in its code."""
    from transformers import AutoTokenizer

    try:
        after = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        alike = len(after) == len(before) and after(_PROBE)["input_ids"] == before(_PROBE)["input_ids"]
    except BaseException as error:
        if not is_failure(error):
            raise
        raise CheckpointError(
            f"the tokenizer of {source.name} cannot be used from its copy: {message_of(error)}; save it again with "
            "save_pretrained, which writes all that it needs"
        ) from error
    if not alike:
        raise CheckpointError(
            f"the tokenizer of {source.name} cuts texts otherwise when only the files that are carried over are there; "
            "save it again with save_pretrained, which writes all that it needs"
        )
    return after
