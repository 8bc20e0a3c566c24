"""Limits of tokenizer files, checked before the tokenizers library reads them.

Some of what a tokenizer file may hold takes that library minutes or gigabytes: it looks at an added token of n
characters in n² steps, it replaces, pads and repeats as often as the file says, and it tries every part of a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fwsvd_export.errors import CheckpointError, shown
from fwsvd_export.storage.file_names import TOKENIZER_FILE
from fwsvd_export.storage.json_files import read_json

MOST_CHARACTERS = 1_000  # of one text; GPT-4o's vocabulary has tokens of 128, and 10,000 take 7 s
MOST_ADDED_TOKENS = 50_000  # 100,000 take 2.4 s; Gemma has 6,242
MOST_SPECIAL_TOKENS = 5_000  # transformers 4 compares each with all: 20,000 take 6 s
MOST_STEPS = 1_000  # values in the description of normalizer, pre-tokenizer, post-processor or decoder; BERT has 10
MOST_GROWTH = 1_000  # how often its own length a text may become by replacements; SentencePiece has 3
MOST_WORD_CHARACTERS = 1_000  # WordPiece tries every part of a word; BERT has 100
MOST_PADDING = 100_000  # tokens of one text
LARGEST_BYTES = 100_000_000  # Gemma's tokenizer.json has 33 MB

# These texts are long by nature
_LONGER_TEXTS = {
    "Regex": 10_000,  # DeepSeek lists its letters in 500
    "precompiled_charsmap": 4_000_000,  # XLM-RoBERTa's rules of Unicode have 316,000
    "chat_template": 1_000_000,  # not used here; several stand as "template" in a list
    "template": 1_000_000,
}
_SETTINGS_FILES = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json")
_LINE_FILES = ("vocab.txt", "merges.txt")
_PIPELINE = ("normalizer", "pre_tokenizer", "post_processor", "decoder")


def check_tokenizer_files(folder: Path) -> None:
    """Refuses tokenizer files that would take the tokenizers library too long.

    Args:
        folder: with whichever tokenizer files there are.

    Raises:
        CheckpointError: a file is no JSON or above a limit; the sentence names the file, what it holds and the limit.
    """
    for name in _SETTINGS_FILES:
        path = folder / name
        if path.is_file():
            settings = read_json(path, largest_bytes=LARGEST_BYTES)
            _check_texts(path, settings)
            _check_settings(path, settings)
    path = folder / TOKENIZER_FILE
    if path.is_file():
        description = read_json(path, largest_bytes=LARGEST_BYTES)
        _check_texts(path, description)
        _check_count(path, "added_tokens", description.get("added_tokens"), MOST_ADDED_TOKENS)
        for part in _PIPELINE:
            _check_pipeline(path, part, description.get(part))
        _check_numbers(path, description)
    for name in _LINE_FILES:
        path = folder / name
        if path.is_file():
            _check_lines(path)


def _check_texts(path: Path, document: dict[str, Any]) -> None:
    """Every text, keys included, is of a length that the library is quick with."""
    for key, text in _texts(document):
        allowed = _LONGER_TEXTS.get(key, MOST_CHARACTERS)
        if len(text) > allowed:
            where = f" under {shown(key)}" if key and key != text else ""
            raise _above(path, f"a text of {len(text):,} characters{where} ({shown(text[:20])}…)", f"{allowed:,}")


def _texts(document: Any) -> Iterator[tuple[str, str]]:
    """Every text of a document with the key that it stands under; a key stands under itself."""
    waiting = [("", document)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, list):
            waiting += [(key, inner) for inner in value]
        elif isinstance(value, dict):
            for name, inner in value.items():
                yield name, name
                waiting.append((name, inner))


def _check_settings(path: Path, settings: dict[str, Any]) -> None:
    """The lists of tokens, and that no second tokenizer.json is named, which nobody would check or copy."""
    if path.name == "vocab.json":
        return
    if path.name == "added_tokens.json":
        _check_count(path, "added tokens", settings, MOST_ADDED_TOKENS)
        return
    for name, value in settings.items():
        most = MOST_ADDED_TOKENS if name == "added_tokens_decoder" else MOST_SPECIAL_TOKENS
        _check_count(path, name, value, most)
    files = settings.get("fast_tokenizer_files") or [TOKENIZER_FILE]
    if files != [TOKENIZER_FILE]:
        raise CheckpointError(
            f"{path} names {shown(files)} as its fast_tokenizer_files, and only {TOKENIZER_FILE} is read; take it out"
        )


def _check_count(path: Path, name: str, value: Any, most: int) -> None:
    if isinstance(value, list | dict) and len(value) > most:
        raise _above(path, f"{len(value):,} values in {shown(name)}", f"{most:,}")


def _check_pipeline(path: Path, part: str, description: Any) -> None:
    """A step of the way from text to tokens: how much is done to every text, and how long it becomes."""
    values, growth = 0, 1
    waiting = [description]
    while waiting:
        value = waiting.pop()
        values += 1
        if isinstance(value, list | dict):
            waiting += value if isinstance(value, list) else value.values()
        if isinstance(value, dict):
            for text in (value.get("content"), value.get("prepend")):  # of Replace and of Prepend
                growth *= max(1, len(text)) if isinstance(text, str) else 1
    if values > MOST_STEPS:
        raise _above(path, f"{values:,} values in its {part}", f"{MOST_STEPS:,}")
    if growth > MOST_GROWTH:
        times = f"{growth:,}" if growth < MOST_GROWTH**3 else f"more than {MOST_GROWTH**3:,}"
        raise _above(path, f"replacements in its {part} that make a text {times} times as long", f"{MOST_GROWTH:,}")


def _check_numbers(path: Path, description: dict[str, Any]) -> None:
    """The longest word that WordPiece takes apart, and the length to which texts are padded."""
    model, padding = description.get("model"), description.get("padding")
    limits = []
    if isinstance(model, dict):
        limits.append(("max_input_chars_per_word", model.get("max_input_chars_per_word"), MOST_WORD_CHARACTERS))
    if isinstance(padding, dict):
        strategy = padding.get("strategy")
        fixed = strategy.get("Fixed") if isinstance(strategy, dict) else None
        limits += [("padding", fixed, MOST_PADDING)]
        limits += [("pad_to_multiple_of", padding.get("pad_to_multiple_of"), MOST_PADDING)]
    for name, value, most in limits:
        if isinstance(value, int) and value > most:
            raise _above(path, f"{name} {shown(value)}", f"{most:,}")


def _check_lines(path: Path) -> None:
    """The lines of a vocabulary, and of merges, which have two tokens in each."""
    size = path.stat().st_size
    if size > LARGEST_BYTES:
        raise _above(path, f"{size / 1e6:,.1f} MB", f"{LARGEST_BYTES / 1e6:.0f}")
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if len(line.rstrip("\n")) > 2 * MOST_CHARACTERS + 1:
                length = f"{len(line):,} characters in line {number:,}"
                raise _above(path, f"{length} ({shown(line[:20])}…)", f"{2 * MOST_CHARACTERS + 1:,}")


def _above(path: Path, found: str, allowed: str) -> CheckpointError:
    return CheckpointError(
        f"{path} has {found}, and at most {allowed} are read; save the tokenizer again, or take that out of the file"
    )
