"""The tokenizer of a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fwsvd_export.checkpoints.tokenizer_limits import check_tokenizer_files
from fwsvd_export.errors import CheckpointError, first_line, is_failure, shown
from fwsvd_export.storage.json_files import read_json

if TYPE_CHECKING:
    from fwsvd_export.checkpoints.load import Checkpoint

_NEEDED_INPUTS = {"input_ids", "attention_mask"}
_VOCABULARY_SETTINGS = ("tokenizer_file", "vocab_file", "merges_file")  # transformers 4 reads any file they name


def load_tokenizer(checkpoint: Checkpoint) -> Any:
    """The checkpoint's tokenizer.

    Raises:
        CheckpointError: the folder has none, it cannot be read, or a file of it is above the limits of size.
    """
    from transformers import AutoTokenizer

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
        check_tokenizer_files(checkpoint.folder)
        # A plain configuration keeps AutoTokenizer from asking about the checkpoint's own code.
        plain = checkpoint.encoder.family.dense_config_class()()
        tokenizer = AutoTokenizer.from_pretrained(checkpoint.folder, config=plain, trust_remote_code=False)
        inputs, padding = set(tokenizer.model_input_names), tokenizer.pad_token_id
    except BaseException as error:  # the tokenizers library raises plain exceptions and panics
        if not is_failure(error):
            raise
        reason = error if isinstance(error, CheckpointError) else first_line(error)
        raise CheckpointError(f"the tokenizer of {checkpoint.name} cannot be read: {reason}") from error
    if not inputs >= _NEEDED_INPUTS:
        raise CheckpointError(
            f"the tokenizer of {checkpoint.name} does not make {' and '.join(sorted(_NEEDED_INPUTS - inputs))}; "
            "correct model_input_names in its tokenizer_config.json"
        )
    if padding is None or not 0 <= padding < checkpoint.encoder.embedding.out_features:
        raise CheckpointError(f"the tokenizer of {checkpoint.name} has no padding token that the model knows")
    return tokenizer
