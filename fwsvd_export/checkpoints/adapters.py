"""Adapters that were not merged into the model: recognised by their files and tensors, and refused."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from fwsvd_export.errors import CheckpointError
from fwsvd_export.storage.json_files import read_json
from fwsvd_export.storage.tensors import named
from fwsvd_export.wording import counted

ADAPTER_FILE = "adapter_config.json"

# Parts of names that peft gives: of the adapters' own tensors, and of what they are wrapped around
_ADAPTER_TENSOR = re.compile(
    r"(?:^base_model\.model\.)"
    r"|(?:^|\.)(?:lora_\w+|hada_\w+|lokr_\w+|ia3_\w+|oft_\w+|boft_\w+|vera_\w+|base_layer|modules_to_save|original_module)"
    r"(?:\.|$)"
)
# ``task_type`` of an adapter -> ending of peft's class that loads it on its base
_PEFT_CLASSES = {
    "SEQ_CLS": "ForSequenceClassification",
    "TOKEN_CLS": "ForTokenClassification",
    "QUESTION_ANS": "ForQuestionAnswering",
    "FEATURE_EXTRACTION": "ForFeatureExtraction",
}


def refuse_adapter_folder(folder: Path, source: str, out: str) -> None:
    """Refuses a folder that describes an adapter: transformers would read another model with it, wherever that is.

    Args:
        folder: of the model.
        source: the model, as the user calls it.
        out: a folder for the merged model, to be named in the sentence.

    Raises:
        CheckpointError: it holds an adapter; the sentence has the lines of Python that merge it.
    """
    if not (folder / ADAPTER_FILE).is_file():
        return
    task = read_json(folder / ADAPTER_FILE).get("task_type")
    ending = _PEFT_CLASSES.get(task if isinstance(task, str) else "", "Model")
    name = f"AutoPeftModel{'' if ending == 'Model' else ending}"
    raise CheckpointError(
        f"{source} holds an adapter ({ADAPTER_FILE}) and not a whole model; merge it in Python, and give the merged "
        f"folder with the tokenizer in it: from peft import {name}; {name}.from_pretrained({source!r})"
        f".merge_and_unload().save_pretrained({out!r})"
    )


def refuse_adapter_tensors(names: Iterable[str], source: str) -> None:
    """Refuses weights that hold an adapter beside the model that it changes.

    Args:
        names: of all stored tensors.
        source: the model, as the user calls it.

    Raises:
        CheckpointError: they do; the sentence names the tensors and says how to merge them.
    """
    found = [name for name in sorted(names) if _ADAPTER_TENSOR.search(name)]
    if found:
        raise CheckpointError(
            f"the weights in {source} hold {counted(len(found), 'tensor')} of an adapter that is not merged into the "
            f"model ({named(found)}); merge it where the peft model is at hand, and give that folder: "
            "model.merge_and_unload().save_pretrained('merged')"
        )
