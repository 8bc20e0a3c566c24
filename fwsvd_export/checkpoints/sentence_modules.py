"""What a sentence-transformers folder computes behind its transformer: read, checked, and carried over file by file."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fwsvd_export.errors import CheckpointError, quoted, shown
from fwsvd_export.storage.digest import file_sha256
from fwsvd_export.storage.file_names import CONFIG_FILE, MODULE_FOLDER, MODULES_FILE, SENTENCE_FILES, WEIGHTS_FILE
from fwsvd_export.storage.json_files import read_json, read_json_list

SETTINGS_FILE = "config_sentence_transformers.json"
SIMILARITIES = ("cosine", "dot")
EMBEDDER, RERANKER = "SentenceTransformer", "CrossEncoder"  # the library's classes
KNOWN = ("Pooling", "Dense", "LayerNorm", "Normalize", "Dropout")  # modules that read an embedding and give one back
_LIBRARY = "sentence_transformers."
_WITH_WEIGHTS = ("Dense", "LayerNorm")
_DROP = "give --drop-modules to carry over the transformer alone"
_MODE = "pooling_mode_"  # settings of older versions, one per kind of pooling


@dataclass(frozen=True)
class SentenceModule:
    """One module behind the transformer.

    Attributes:
        kind: class name, one of ``KNOWN`` but in a folder whose modules are dropped.
        place: name of its folder; empty for one that has none.
        settings: of its ``config.json``.
    """

    kind: str
    place: str
    settings: dict[str, Any]

    @property
    def described(self) -> str:
        """In a few words: its class, and how it pools."""
        modes = _pooling_modes(self.settings)
        return f"{self.kind} ({', '.join(modes)})" if modes else self.kind


@dataclass(frozen=True)
class SentenceModules:
    """What sentence-transformers has beside a transformer in its folder.

    Attributes:
        folder: of the model.
        behind: the modules that follow the transformer, in order; none for a reranker.
        files: of the folder, relative to it.
    """

    folder: Path
    behind: tuple[SentenceModule, ...]
    files: tuple[str, ...]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Of the whole: prompts, similarity function."""
        file = self.folder / SETTINGS_FILE
        return read_json(file) if file.is_file() else {}

    @property
    def similarity(self) -> str:
        """How embeddings are compared: "cosine" or "dot".

        Raises:
            CheckpointError: in another way.
        """
        named = self.settings.get("similarity_fn_name") or SIMILARITIES[0]
        if named not in SIMILARITIES:
            raise CheckpointError(
                f"{self.folder / SETTINGS_FILE} compares embeddings by {shown(named)}, and {' or '.join(SIMILARITIES)} "
                f"can be measured; {_DROP}"
            )
        return str(named)

    @cached_property
    def described(self) -> str:
        """The modules behind the transformer in a few words, and a digest of their settings and weights."""
        digest = hashlib.sha256()
        for module in self.behind:
            digest.update(json.dumps([module.kind, module.settings], sort_keys=True).encode())
            weights = self.folder / module.place / WEIGHTS_FILE
            if module.kind in _WITH_WEIGHTS:
                digest.update(file_sha256(weights).encode())
        return f"{', '.join(module.described for module in self.behind) or 'nothing'} ({digest.hexdigest()[:12]})"

    @property
    def prompts(self) -> dict[str, str]:
        """Name of a kind of text -> what is put before it.

        Raises:
            CheckpointError: something else stands there.
        """
        prompts = self.settings.get("prompts") or {}
        if not isinstance(prompts, dict) or not all(isinstance(text, str) for text in prompts.values()):
            raise CheckpointError(
                f"{self.folder / SETTINGS_FILE} has prompts {shown(prompts)}, and a text per name is needed; correct it"
            )
        return prompts

    def write(self, folder: Path) -> None:
        """Copies the files into the folder of another transformer."""
        for name in self.files:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(self.folder / name, folder / name)


def sentence_modules_of(folder: Path, source: str, width: int) -> SentenceModules | None:
    """What a folder lists behind its transformer; None for a folder that sentence-transformers did not write.

    Args:
        folder: of the model.
        source: the model, as the user calls it.
        width: of the transformer's hidden states.

    Raises:
        CheckpointError: a ``modules.json`` that is not a list of modules, that begins with something other than this
            folder's transformer, or that lists what is not known here, has code of its own, does not fit what stands
            before it, or has weights only in a format that can run code.
    """
    own = [name for name in SENTENCE_FILES if (folder / name).is_file()]
    if MODULES_FILE not in own:
        return SentenceModules(folder, (), tuple(own)) if own else None
    first, *others = [_checked_entry(entry, folder) for entry in read_json_list(folder / MODULES_FILE)] or [("", "")]
    if not first[0].endswith("Transformer") or first[1] != "":
        raise CheckpointError(
            f"{folder / MODULES_FILE} begins with {shown(first)}, and the transformer has to come first and lie in the "
            f"folder itself; save the model again with sentence-transformers, or {_DROP}"
        )
    unknown = [name for name, _ in others if not name.startswith(_LIBRARY) or _kind(name) not in KNOWN]
    if unknown:
        raise CheckpointError(
            f"{source} lists {quoted(', '.join(unknown))} in {MODULES_FILE}: modules of sentence-transformers of the "
            f"kinds {', '.join(KNOWN)} can be carried over, and code of other modules is never run; {_DROP}"
        )
    behind = tuple(SentenceModule(_kind(name), place, _settings_of(folder, place)) for name, place in others)
    files = [name for module in behind for name in _files_of(module, folder, source)]
    _check_widths(behind, width, source)
    return SentenceModules(folder, behind, (*own, *files))


def sentence_class_of(folder: Path) -> str | None:
    """The class of sentence-transformers that loads a folder: SentenceTransformer or CrossEncoder; None for neither."""
    if not (folder / MODULES_FILE).is_file():
        return None
    file = folder / SETTINGS_FILE
    named = read_json(file).get("model_type") if file.is_file() else None
    return RERANKER if named == RERANKER else EMBEDDER


def dropped_modules(folder: Path) -> tuple[str, ...]:
    """The sentence on the modules that are not carried over; nothing for a folder without any.

    Raises:
        CheckpointError: a ``modules.json`` that is not a list of modules.
    """
    if not (folder / MODULES_FILE).is_file():
        return ()
    entries = [_checked_entry(entry, folder) for entry in read_json_list(folder / MODULES_FILE)]
    behind = [
        SentenceModule(_kind(name), place, _settings_of(folder, place)).described
        for name, place in entries
        if not name.endswith("Transformer")
    ]
    if not behind:
        return ()
    return (
        f"only the transformer of this sentence-transformers model is carried over; what {MODULES_FILE} lists behind "
        f"it is for you to apply to the outputs: {quoted(', '.join(behind))}",
    )


def _kind(name: str) -> str:
    return name.rpartition(".")[2]


def _checked_entry(entry: Any, folder: Path) -> tuple[str, str]:
    """Class and folder of a module that is listed."""
    kind, place = (entry.get(name) if isinstance(entry, dict) else None for name in ("type", "path"))
    if not isinstance(kind, str) or not isinstance(place, str):
        raise CheckpointError(
            f"{folder / MODULES_FILE} lists {shown(entry)}, and a module has a type and a path; correct it, or take "
            "the file out to have only the transformer"
        )
    return kind, place


def _settings_of(folder: Path, place: str) -> dict[str, Any]:
    """What a module's ``config.json`` says; what lies elsewhere than in a folder of the model is not looked at."""
    file = folder / place / CONFIG_FILE
    return read_json(file) if re.fullmatch(MODULE_FOLDER, place) and file.is_file() else {}


def _files_of(module: SentenceModule, folder: Path, source: str) -> list[str]:
    """The files of a module, relative to the model's folder."""
    if module.place and not re.fullmatch(MODULE_FOLDER, module.place):
        raise CheckpointError(
            f"{source} has its {module.kind} in {shown(module.place)}, and a folder named as 1_Pooling is needed; save "
            f"the model again with sentence-transformers, or {_DROP}"
        )
    found = [f"{module.place}/{name}" for name in (CONFIG_FILE, WEIGHTS_FILE)]
    there = [name for name in found if module.place and (folder / name).is_file()]
    if module.kind in _WITH_WEIGHTS and found[-1] not in there:
        raise CheckpointError(
            f"{source} has no {found[-1]}, and the weights of a {module.kind} are read from safetensors alone; save "
            f"the model again with a newer sentence-transformers, or {_DROP}"
        )
    if module.kind == "Pooling" and not module.settings:
        raise CheckpointError(f"{source} has no {found[0]}, so it is not known how it pools; restore it, or {_DROP}")
    return there


def _check_widths(modules: tuple[SentenceModule, ...], width: int, source: str) -> None:
    """Refuses a module that takes another number of values than stands before it."""
    for module in modules:
        taken, given_on = width, width
        if module.kind == "Pooling":
            taken = _number(module, ("embedding_dimension", "word_embedding_dimension"), width, source)
            given_on = width * max(1, len(_pooling_modes(module.settings)))
        elif module.kind == "Dense":
            taken = _number(module, ("in_features",), width, source)
            given_on = _number(module, ("out_features",), width, source)
        elif module.kind == "LayerNorm":
            taken = _number(module, ("dimension",), width, source)
        if taken != width:
            raise CheckpointError(
                f"{source} has a {module.kind} in {module.place} for {taken} values, and what stands before it gives "
                f"{width}; correct {module.place}/{CONFIG_FILE}, or {_DROP}"
            )
        width = given_on


def _number(module: SentenceModule, names: tuple[str, ...], default: int, source: str) -> int:
    value = next((module.settings[name] for name in names if name in module.settings), default)
    if not isinstance(value, int):
        raise CheckpointError(
            f"{names[0]} of the {module.kind} in {source} is {shown(value)}, and a whole number is needed; correct "
            f"{module.place}/{CONFIG_FILE}"
        )
    return value


def _pooling_modes(settings: dict[str, Any]) -> list[str]:
    modes = settings.get("pooling_mode", [])
    older = [name.removeprefix(_MODE) for name, value in settings.items() if name.startswith(_MODE) and value is True]
    return [str(mode) for mode in (modes if isinstance(modes, list) else [modes])] + older
