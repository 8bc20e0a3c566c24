"""Tokenizer files that would keep the tokenizers library busy are refused before it sees them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fwsvd_export.checkpoints import tokenizer_limits
from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.checkpoints.tokenizer import load_tokenizer
from fwsvd_export.checkpoints.tokenizer_limits import check_tokenizer_files
from fwsvd_export.errors import CheckpointError

Change = Callable[[dict[str, Any]], object]

LONGEST = "x" * tokenizer_limits.MOST_CHARACTERS
DESCRIPTION = "tokenizer.json"
SETTINGS = "tokenizer_config.json"


def replacement(content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": "o"}, "content": content}


def in_sequence(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "normalizers": list(steps)}


def change(folder: Path, name: str, how: Change) -> None:
    path = folder / name
    document = json.loads(path.read_text()) if path.exists() else {}
    how(document)
    path.write_text(json.dumps(document))


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the two-class model with its tokenizer."""
    return shutil.copytree(tiny_folder, tmp_path / "model")


# What is done to which file; what the sentence must say came and is allowed
ABOVE: dict[str, tuple[str, Change, tuple[str, ...]]] = {
    "an added token": (
        DESCRIPTION,
        lambda it: it["added_tokens"][0].update(content="x" * 100_000),
        ("100,000 characters", "'content'", "1,000 are read"),
    ),
    "one character too many": (
        DESCRIPTION,
        lambda it: it["added_tokens"][0].update(content=f"{LONGEST}x"),
        ("1,001 characters", "1,000 are read"),
    ),
    "a token of the vocabulary": (
        DESCRIPTION,
        lambda it: it["model"]["vocab"].update({"y" * 50_000: 1}),
        ("50,000 characters", "'yyyy", "1,000 are read"),
    ),
    "the unknown token": (
        DESCRIPTION,
        lambda it: it["model"].update(unk_token="x" * 2_000),
        ("2,000 characters", "'unk_token'"),
    ),
    "an expression": (
        DESCRIPTION,
        lambda it: it.update(normalizer={"type": "Replace", "pattern": {"Regex": "(a|b)" * 3_000}, "content": ""}),
        ("15,000 characters", "'Regex'", "10,000 are read"),
    ),
    "a replacement": (DESCRIPTION, lambda it: it.update(normalizer=replacement("y" * 10_000)), ("10,000 characters",)),
    "replacements of replacements": (
        DESCRIPTION,
        lambda it: it.update(normalizer=in_sequence(*[replacement("oo")] * 10)),
        ("normalizer", "1,024 times", "1,000 are read"),
    ),
    "replacements without end": (
        DESCRIPTION,
        lambda it: it.update(normalizer=in_sequence(*[replacement(LONGEST)] * 100)),
        ("normalizer", "more than 1,000,000,000 times"),
    ),
    "what is put in front": (
        DESCRIPTION,
        lambda it: it.update(normalizer=in_sequence(*[{"type": "Prepend", "prepend": "x" * 100}] * 2)),
        ("normalizer", "10,000 times"),
    ),
    "steps": (
        DESCRIPTION,
        lambda it: it.update(normalizer=in_sequence(*[{"type": "Lowercase"}] * 2_000)),
        ("4,003 values in its normalizer", "1,000 are read"),
    ),
    "a template": (
        DESCRIPTION,
        lambda it: it["post_processor"]["special_tokens"]["[CLS]"].update(ids=[2] * 5_000),
        ("values in its post_processor",),
    ),
    "added tokens": (
        DESCRIPTION,
        lambda it: it.update(added_tokens=it["added_tokens"] * 20_000),
        ("100,000 values", "'added_tokens'", "50,000 are read"),
    ),
    "the length of a word": (
        DESCRIPTION,
        lambda it: it["model"].update(max_input_chars_per_word=10**9),
        ("max_input_chars_per_word 1000000000", "1,000 are read"),
    ),
    "padding to a length": (
        DESCRIPTION,
        lambda it: it.update(padding={"strategy": {"Fixed": 10**9}}),
        ("padding 1000000000", "100,000 are read"),
    ),
    "padding to a multiple": (
        DESCRIPTION,
        lambda it: it.update(padding={"strategy": "BatchLongest", "pad_to_multiple_of": 10**9}),
        ("pad_to_multiple_of 1000000000",),
    ),
    "a special token": (SETTINGS, lambda it: it.update(pad_token="x" * 10_000), ("10,000 characters", "'pad_token'")),
    "special tokens": (
        SETTINGS,
        lambda it: it.update(additional_special_tokens=[f"a{number}" for number in range(20_000)]),
        ("20,000 values", "'additional_special_tokens'", "5,000 are read"),
    ),
    "tokens by number": (
        SETTINGS,
        lambda it: it.update(added_tokens_decoder={str(number): {} for number in range(60_000)}),
        ("60,000 values", "'added_tokens_decoder'", "50,000 are read"),
    ),
    "another description": (
        SETTINGS,
        lambda it: it.update(fast_tokenizer_files=["tokenizer.json", "tokenizer.4.0.0.json"]),
        ("'tokenizer.4.0.0.json'", "fast_tokenizer_files", "take it out"),
    ),
    "a token of the map": (
        "special_tokens_map.json",
        lambda it: it.update(pad_token={"content": "x" * 10_000}),
        ("10,000 characters", "'content'"),
    ),
    "an added token by name": (
        "added_tokens.json",
        lambda it: it.update({"z" * 10_000: 25}),
        ("10,000 characters", "'zzzz"),
    ),
    "added tokens by name": (
        "added_tokens.json",
        lambda it: it.update({f"a{number}": number for number in range(60_000)}),
        ("60,000 values", "50,000 are read"),
    ),
    "a token of vocab.json": ("vocab.json", lambda it: it.update({"z" * 10_000: 25}), ("10,000 characters", "'zzzz")),
}


@pytest.mark.parametrize(("name", "how", "said"), ABOVE.values(), ids=ABOVE)
def test_what_is_above_a_limit_is_refused(name: str, how: Change, said: tuple[str, ...], folder: Path) -> None:
    change(folder, name, how)
    with pytest.raises(CheckpointError) as caught:
        check_tokenizer_files(folder)
    sentence = str(caught.value)
    assert str(folder / name) in sentence
    assert all(part in sentence for part in said), sentence
    assert re.search("save the tokenizer again|take it out", sentence)
    assert len(sentence) < 500


@pytest.mark.parametrize("name", ["vocab.txt", "merges.txt"])
def test_a_long_line_is_refused(name: str, folder: Path) -> None:
    (folder / name).write_text(f"short\n{'x' * 2001}\n")
    check_tokenizer_files(folder)
    (folder / name).write_text(f"short\n{'x' * 2002}\nshort\n")
    with pytest.raises(CheckpointError, match=rf"{name} has 2,00\d characters in line 2 .* at most 2,001 are read"):
        check_tokenizer_files(folder)


def test_a_large_file_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer_limits, "LARGEST_BYTES", 1_500_000)
    (folder / "vocab.txt").write_text("word\n" * 400_000)
    with pytest.raises(CheckpointError, match=r"vocab.txt has 2.0 MB, and at most 2 are read"):
        check_tokenizer_files(folder)
    (folder / "vocab.txt").unlink()
    (folder / DESCRIPTION).write_text(" " * 1_600_000)
    with pytest.raises(CheckpointError, match=r"tokenizer.json is not readable JSON: it has 1.6 MB"):
        check_tokenizer_files(folder)


def test_what_real_tokenizers_have_is_accepted(folder: Path) -> None:
    """Each limit from below: SentencePiece's rules of Unicode, byte-level words, thousands of added tokens."""
    rules = {"type": "Precompiled", "precompiled_charsmap": "A" * 400_000}
    change(folder, DESCRIPTION, lambda it: it.update(normalizer=in_sequence(rules, replacement("▁"))))
    change(folder, DESCRIPTION, lambda it: it.update(padding={"strategy": {"Fixed": 512}, "pad_to_multiple_of": 8}))
    change(folder, DESCRIPTION, lambda it: it["model"]["vocab"].update({LONGEST: 25, "Ġ" * 128: 26}))
    change(folder, DESCRIPTION, lambda it: it["added_tokens"].extend(it["added_tokens"][:1] * 6_242))
    change(folder, SETTINGS, lambda it: it.update(chat_template="{{ messages }}" * 1_000, model_max_length=10**30))
    change(folder, SETTINGS, lambda it: it.update(fast_tokenizer_files=[DESCRIPTION]))
    check_tokenizer_files(folder)


def test_a_folder_without_tokenizer_files_is_none_of_its_business(tmp_path: Path) -> None:
    check_tokenizer_files(tmp_path)


@pytest.mark.parametrize(
    "description",
    [
        "{}",
        '{"model": 1, "padding": [], "normalizer": 7, "added_tokens": "x"}',
        '{"padding": {"strategy": {"Fixed": "x"}}}',
    ],
)
def test_other_shapes_are_left_to_the_library(description: str, folder: Path) -> None:
    (folder / DESCRIPTION).write_text(description)
    check_tokenizer_files(folder)


def test_a_tokenizer_is_checked_before_the_library_reads_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = load_checkpoint(str(folder))
    change(folder, DESCRIPTION, lambda it: it["added_tokens"][0].update(content="x" * 100_000))

    def read(*arguments: object, **options: object) -> None:
        raise AssertionError("the library was called")

    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", read)
    with pytest.raises(CheckpointError, match=r"the tokenizer of model cannot be read: .*100,000 characters"):
        load_tokenizer(checkpoint)


def test_a_token_of_the_longest_length_is_read(folder: Path) -> None:
    """Negative control: what is just within the limits is quick and works."""
    token = {"id": 25, "content": LONGEST, "special": False, "normalized": False}
    token |= {"single_word": False, "lstrip": False, "rstrip": False}
    change(folder, DESCRIPTION, lambda it: it["added_tokens"].append(token))
    tokenizer = load_tokenizer(load_checkpoint(str(folder)))
    assert 25 in tokenizer(f"good {LONGEST} film")["input_ids"]
