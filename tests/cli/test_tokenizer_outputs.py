"""Whatever tokenizer a model comes with, AutoTokenizer reads it from every output as it did before."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from transformers import AutoTokenizer

import fwsvd_export as fe
from fwsvd_export.architectures.registry import FAMILIES

Run = Callable[..., Result]
Refused = Callable[..., str]
Succeed = Callable[..., str]
Change = Callable[[Path], object]

SVD = ("--method", "svd", "--rank", 4)
TEXT = "The film is GREAT, not dull"


def edit(file: Path, **values: Any) -> None:
    """Sets values in a JSON file; None takes one out."""
    document = {**json.loads(file.read_text()), **values}
    file.write_text(json.dumps({name: value for name, value in document.items() if value is not None}))


def only_vocabulary(folder: Path) -> None:
    """As the first BERTs were published: a list of words, and nothing that says which class reads it."""
    words = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in sorted(words, key=words.__getitem__)))
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink(missing_ok=True)


def without_settings(folder: Path) -> None:
    (folder / "tokenizer_config.json").unlink()


def without_class(folder: Path) -> None:
    edit(folder / "tokenizer_config.json", tokenizer_class=None)


def class_in_the_models_settings(folder: Path) -> None:
    without_class(folder)
    edit(folder / "config.json", tokenizer_class="PreTrainedTokenizerFast")


def cased(folder: Path) -> None:
    only_vocabulary(folder)
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')


SAYS_ITS_CLASS = "as transformers saves it"
TOKENIZERS: dict[str, Change] = {
    SAYS_ITS_CLASS: lambda folder: None,
    "only vocab.txt": only_vocabulary,
    "no settings": without_settings,
    "no class": without_class,
    "class in config.json": class_in_the_models_settings,
    "cased": cased,
}


# Families whose own tokenizer class reads a list of word pieces; the classes of the others read other files, so that a
# tokenizer of word pieces has to say there which class it is of
WORD_PIECE = ("bert", "distilbert", "electra")
every_base = pytest.mark.parametrize(
    ("family_folder", "base"),
    [(name, kind) for name in FAMILIES for kind in TOKENIZERS if name in WORD_PIECE or kind == SAYS_ITS_CLASS],
    indirect=True,
)
of_word_pieces = pytest.mark.parametrize("family_folder", WORD_PIECE, indirect=True)


@pytest.fixture
def base(request: pytest.FixtureRequest, family_folder: Path, tmp_path: Path) -> Path:
    """A classifier of a family with a tokenizer of a kind."""
    folder = shutil.copytree(family_folder, tmp_path / "base")
    TOKENIZERS[request.param](folder)
    return folder


def outputs(base: Path, place: Path, succeed: Succeed) -> Iterator[Path]:
    succeed("compress", base, place / "small", *SVD)
    yield place / "small"
    succeed("densify", place / "small", place / "plain")
    yield place / "plain"
    succeed("onnx", place / "small")
    yield place / "small" / "onnx"


@every_base
def test_every_output_has_the_tokenizer_of_its_base(base: Path, tmp_path: Path, succeed: Succeed) -> None:
    expected = AutoTokenizer.from_pretrained(base)
    ids = expected(TEXT, "a cast")["input_ids"]
    assert len(ids) > 9
    for folder in outputs(base, tmp_path, succeed):
        found = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        assert found(TEXT, "a cast")["input_ids"] == ids, folder
        assert (len(found), found.pad_token_id) == (len(expected), expected.pad_token_id)
        assert set(found.model_input_names) <= set(expected.model_input_names)


@every_base
def test_a_model_saved_from_python_has_it_when_its_tokenizer_is_saved_beside_it(base: Path, tmp_path: Path) -> None:
    expected, small = AutoTokenizer.from_pretrained(base), tmp_path / "small"
    model = fe.compress(fe.load(base), method="svd", rank=4)
    model.save_pretrained(small)
    fe.export_onnx(model, small / "onnx", tokenizer=expected)
    expected.save_pretrained(small)
    for folder in (small, small / "onnx"):
        found = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        assert found(TEXT)["input_ids"] == expected(TEXT)["input_ids"]


@of_word_pieces
def test_files_that_say_all_are_copied_as_they_came(family_folder: Path, tmp_path: Path, succeed: Succeed) -> None:
    succeed("compress", family_folder, tmp_path / "small", *SVD)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "small" / name).read_bytes() == (family_folder / name).read_bytes()


@of_word_pieces
def test_settings_keep_what_they_had(family_folder: Path, tmp_path: Path, succeed: Succeed) -> None:
    base = shutil.copytree(family_folder, tmp_path / "base")
    edit(base / "tokenizer_config.json", tokenizer_class=None, model_max_length=17, padding_side="left")
    succeed("compress", base, tmp_path / "small", *SVD)
    found = AutoTokenizer.from_pretrained(tmp_path / "small")
    assert (found.model_max_length, found.padding_side) == (17, "left")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "tokenizer.json is not readable JSON"),
        (lambda folder: edit(folder / "tokenizer.json", model={"type": "Other"}), "cannot be read: "),
        (lambda folder: edit(folder / "tokenizer_config.json", tokenizer_file="/etc/passwd"), "take it out"),
    ],
    ids=["damaged", "unknown", "elsewhere"],
)
def test_a_tokenizer_that_is_not_read_is_refused_before_the_work(
    change: Change, said: str, tiny_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    base = shutil.copytree(tiny_folder, tmp_path / "base")
    change(base)
    assert said in refused("compress", base, tmp_path / "small", *SVD)


def test_a_vocabulary_that_is_not_carried_over_is_told(tiny_folder: Path, tmp_path: Path, run: Run) -> None:
    base = shutil.copytree(tiny_folder, tmp_path / "base")
    for name in ("tokenizer.json", "vocab.txt"):
        (base / name).unlink(missing_ok=True)
    (base / "spiece.model").touch()
    result = run("compress", base, tmp_path / "small", *SVD)
    assert result.exit_code == 0, result.output
    assert (
        "base has settings of a tokenizer and none of sentencepiece.bpe.model, spm.model, tokenizer.json, "
        "vocab.json, vocab.txt, so no tokenizer is "
        "carried over; save it into the new folder.\n"
    ) in result.stderr
    assert not (tmp_path / "small" / "tokenizer_config.json").exists()


def test_a_tokenizer_that_needs_a_file_that_is_not_carried_over(
    tiny_folder: Path, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = AutoTokenizer.from_pretrained

    def needs_more(folder: Path, **options: Any) -> Any:
        if not (Path(folder) / "more.model").is_file():
            raise OSError("there is\nno more.model")
        return real(folder, **options)

    base = shutil.copytree(tiny_folder, tmp_path / "base")
    (base / "more.model").touch()
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", needs_more)
    assert refused("compress", base, tmp_path / "small", *SVD) == (
        "Error: the tokenizer of base cannot be used from its copy: there is no more.model; save it again with "
        "save_pretrained, which writes all that it needs"
    )


LONG = "x" * 100_000


def long_line(folder: Path) -> None:
    only_vocabulary(folder)
    with (folder / "vocab.txt").open("a") as file:
        file.write(f"{LONG}\n")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (long_line, "vocab.txt has 100,001 characters in line 26"),
        (
            lambda folder: edit(
                folder / "tokenizer.json",
                added_tokens=[{"id": 25, "content": LONG, "special": False, "normalized": False}],
            ),
            "tokenizer.json has a text of 100,000 characters under 'content'",
        ),
        (
            lambda folder: edit(folder / "tokenizer_config.json", pad_token=LONG),
            "tokenizer_config.json has a text of 100,000 characters under 'pad_token'",
        ),
        (
            lambda folder: (folder / "added_tokens.json").write_text(json.dumps({LONG: 25})),
            "added_tokens.json has a text of 100,000 characters",
        ),
    ],
    ids=["vocab.txt", "tokenizer.json", "tokenizer_config.json", "added_tokens.json"],
)
def test_a_token_of_100_000_characters_never_reaches_the_tokenizers_library(
    change: Change,
    named: str,
    tiny_folder: Path,
    data_file: Path,
    tmp_path: Path,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = shutil.copytree(tiny_folder, tmp_path / "base")
    change(base)

    def read(*arguments: object, **options: object) -> None:
        raise AssertionError("the library was called")

    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", read)
    data = ["--task", "sst2", "--data", data_file]
    for command in (
        ["compress", base, tmp_path / "out", *SVD],
        ["compress", base, tmp_path / "out", *data, "--rank", 4],
        ["evaluate", base, *data],
        ["fisher", base, "-o", tmp_path / "out", *data],
        ["onnx", base, "-o", tmp_path / "out"],
    ):
        sentence = refused(*command)
        assert named in sentence
        assert "save the tokenizer again" in sentence
        assert len(sentence) < 600
