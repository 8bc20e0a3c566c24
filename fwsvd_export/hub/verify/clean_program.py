"""Loads a checkpoint as anyone else does; ``clean_environment.py`` runs this text in a process of its own.

It imports nothing of ours. Arguments: the folder, the Auto class. Prints one JSON list: what is wrong, in words.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

LONGEST_PROBLEM = 300  # characters of an error's message
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json")


class Blocked:
    """Makes every import of the package that wrote the checkpoint fail."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Finds nothing, and ends the search for our package."""
        if name.partition(".")[0] == "fwsvd_export":
            raise ImportError(name)


def problems_of(folder: str, auto_class: str) -> list[str]:
    """What anyone else meets: keys, tokenizer, the outputs of one pass."""
    import torch
    import transformers

    trusted = any(Path(folder).glob("*.py"))  # a plain model has no code, and must load without trust in any
    model, info = getattr(transformers, auto_class).from_pretrained(
        folder, trust_remote_code=trusted, use_safetensors=True, output_loading_info=True
    )
    problems = []
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        keys = sorted(map(str, info[kind]))
        if keys:
            problems.append(f"the weights have {len(keys)} {kind.replace('_', ' ')}, the first is {keys[0]}")
    ids = [[1, 2, 3]]
    if any((Path(folder) / name).is_file() for name in VOCABULARIES):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=trusted)
        if len(tokenizer) > model.config.vocab_size:
            problems.append(f"the tokenizer has {len(tokenizer)} tokens, the model {model.config.vocab_size}")
            return problems
        ids = tokenizer(["a text of a few words"])["input_ids"]
    batch = torch.tensor(ids)
    if type(model).__name__.endswith("ForMultipleChoice"):
        batch = batch.unsqueeze(0)  # (examples, choices, tokens)
    with torch.no_grad():
        outputs = model.float().eval()(input_ids=batch).to_tuple()
    if not all(bool(torch.isfinite(output).all()) for output in outputs):
        problems.append("its outputs are not finite")
    return problems


def main() -> None:
    """Prints the list; an exception is one problem more."""
    sys.meta_path.insert(0, Blocked())
    try:
        problems = problems_of(sys.argv[1], sys.argv[2])
    except Exception as error:  # whatever anyone else would see
        problems = [" ".join(str(error).split())[:LONGEST_PROBLEM] or type(error).__name__]
    print(json.dumps(problems))  # noqa: T201 - the answer to the process that started this one


if __name__ == "__main__":
    main()
