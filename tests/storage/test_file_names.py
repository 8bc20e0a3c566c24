"""File names: those of the other libraries are theirs, and no two of ours are the same."""

from __future__ import annotations

import transformers.utils
from huggingface_hub import constants

from fwsvd_export.storage import file_names


def test_names_that_other_libraries_look_for_are_theirs() -> None:
    assert file_names.CONFIG_FILE == transformers.utils.CONFIG_NAME
    assert file_names.WEIGHTS_FILE == transformers.utils.SAFE_WEIGHTS_NAME
    assert file_names.SHARDS_INDEX == transformers.utils.SAFE_WEIGHTS_INDEX_NAME
    assert file_names.CARD_FILE == constants.REPOCARD_NAME


def test_files_of_a_folder_do_not_take_each_others_names() -> None:
    names = [value for name, value in vars(file_names).items() if name.endswith(("_FILE", "_INDEX")) and name.isupper()]
    copied = set(names) & set(file_names.TOKENIZER_FILES)
    assert len(names) == len(set(names)) > 8
    assert copied == {file_names.TOKENIZER_FILE, file_names.TOKENIZER_SETTINGS_FILE}
    assert set(file_names.TOKENIZER_FILES) > file_names.VOCABULARY_FILES
