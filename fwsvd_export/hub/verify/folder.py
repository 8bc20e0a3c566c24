"""Whether a checkpoint's folder is fit for the Hub."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fwsvd_export.architectures.family import Family
from fwsvd_export.architectures.registry import FAMILIES, LOW_RANK_FAMILIES
from fwsvd_export.checkpoints.folder import read_compression
from fwsvd_export.checkpoints.tokenizer_limits import check_tokenizer_files
from fwsvd_export.checkpoints.weights import weights_digest, weights_files
from fwsvd_export.errors import CardError, CheckpointError, message_of, shown
from fwsvd_export.hub.card.blocks import WEIGHTS_BLOCK, block_of
from fwsvd_export.hub.verify.card import check_card
from fwsvd_export.hub.verify.clean_environment import auto_class_of, check_loading
from fwsvd_export.hub.verify.contents import list_contents
from fwsvd_export.hub.verify.digests import check_code, check_onnx, check_weights
from fwsvd_export.hub.verify.findings import Finding
from fwsvd_export.hub.verify.secrets import find_secrets, redacted
from fwsvd_export.runtime.progress import Steps, silent
from fwsvd_export.storage.file_names import CARD_FILE, COMPRESSION_FILE, CONFIG_FILE
from fwsvd_export.storage.json_files import read_json


@dataclass(frozen=True)
class Verified:
    """What was found in a folder.

    Attributes:
        family: of the model.
        code_files: that must be in it; none for a plain model that ``densify`` wrote.
        auto_class: that loads it; None when the configuration names none.
        files: what would be sent, path -> bytes.
        training: what the Trainer left there, which is not sent.
        findings: what must be corrected first; none for a folder that is fit.
    """

    family: Family
    code_files: tuple[str, ...]
    auto_class: str | None
    files: dict[str, int]
    training: tuple[str, ...]
    findings: tuple[Finding, ...]


def verify_folder(folder: Path, own_token: str | None = None, steps: Steps = silent) -> Verified:
    """Checks contents, secrets, digests and card, and loads the model in a clean environment.

    Code that is not this installation's own is never run.

    Args:
        folder: of a checkpoint that ``compress`` or ``densify`` wrote.
        own_token: that a push would use; it must be in no file.
        steps: progress.

    Raises:
        CheckpointError: no such folder, or it holds no compressed checkpoint.
    """
    settings = _settings_of(folder)
    model_type = settings["model_type"]
    plain = model_type not in LOW_RANK_FAMILIES
    family = FAMILIES[model_type] if plain else LOW_RANK_FAMILIES[model_type]
    code_files = () if plain else tuple(family.code_files)
    auto_class = auto_class_of(settings, family)
    with steps("verifying", 5) as advance:
        contents = list_contents(folder, code_files)
        files, findings = contents.files, list(contents.findings)
        advance("searching for secrets")
        for path in files:
            findings += find_secrets(folder, path, own_token)
        advance("digests")
        foreign_code = list(check_code(folder, files, family, code_files))
        refused = {finding.file for finding in contents.findings}  # lies there, so it is not missing
        recorded = list(_check_record(folder, files))
        digests = [*foreign_code, *recorded, *check_onnx(folder, files)]
        findings += [finding for finding in digests if finding.file not in refused]
        above_limits = list(_check_tokenizer(folder))
        findings += above_limits
        advance("card")
        findings += _check_card(folder, files, known=not recorded)
        advance("loading in a clean environment")
        if auto_class is None:
            findings.append(Finding(CONFIG_FILE, "names no class that its code has", "correct its architectures"))
        elif not foreign_code and not above_limits and all(name in files for name in code_files):
            findings += check_loading(folder, auto_class)
        advance()
    # What a library says may hold anything
    shown = (Finding(finding.file, redacted(finding.problem), finding.advice) for finding in findings)
    return Verified(family, code_files, auto_class, files, contents.training, tuple(shown))


def _settings_of(folder: Path) -> dict[str, Any]:
    """The configuration of a compressed checkpoint, or of a plain one whose record says how it was made."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is not a folder; give the folder that fwsvd-export compress wrote")
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no model: it has no {CONFIG_FILE}")
    settings = read_json(path)
    model_type = settings.get("model_type")
    plain = str(model_type) in FAMILIES and (folder / COMPRESSION_FILE).is_file()
    if not plain and str(model_type) not in LOW_RANK_FAMILIES:
        raise CheckpointError(
            f"{folder} holds no compressed checkpoint (model_type {shown(model_type)}); only what fwsvd-export "
            "compress or densify wrote is pushed"
        )
    return settings


def _check_record(folder: Path, files: dict[str, int]) -> Iterator[Finding]:
    if COMPRESSION_FILE not in files:
        return
    try:
        record = read_compression(folder)
    except CheckpointError as error:
        problem, _, advice = message_of(error).rpartition("; ")
        yield Finding(COMPRESSION_FILE, problem or advice, advice)
        return
    yield from check_weights(folder, files, record)


def _check_tokenizer(folder: Path) -> Iterator[Finding]:
    """A tokenizer that would keep whoever loads it busy."""
    try:
        check_tokenizer_files(folder)
    except CheckpointError as error:
        problem, _, advice = str(error).removeprefix(f"{folder}/").rpartition("; ")
        name, _, problem = problem.partition(" ")
        yield Finding(name, problem, advice)


def _check_card(folder: Path, files: dict[str, int], *, known: bool) -> Iterator[Finding]:
    """The card, and whether it is about the folder's weights where these are ``known``: those of the record."""
    if CARD_FILE not in files:
        return
    try:
        text = (folder / CARD_FILE).read_text(encoding="utf-8")
        check_card(text)
        block = block_of(text, WEIGHTS_BLOCK)
    except UnicodeDecodeError:
        yield Finding(CARD_FILE, "is not UTF-8", "save it as UTF-8")
        return
    except CardError as error:
        problem, _, advice = str(error).rpartition("; ")
        yield Finding(CARD_FILE, problem or advice, advice)
        return
    if known and block is not None and weights_digest(weights_files(folder)) not in block:
        yield Finding(CARD_FILE, "is about other weights than this folder's", "write it anew with fwsvd-export card")
