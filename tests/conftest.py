"""Small models made on the spot, on disk, offline."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Where transformers copies the code of checkpoints: a folder of this process's own, not the user's, nor a neighbour's.
os.environ["HF_MODULES_CACHE"] = tempfile.mkdtemp(prefix="checkpoint-code-")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import pytest
import torch
from hypothesis import settings
from transformers import BertForSequenceClassification, BertTokenizerFast

from fwsvd_export.architectures.registry import FAMILIES
from tests.environments import is_for_any_transformers
from tests.helpers import SPECIAL, WORDS, tiny_config, tiny_head

# The same cases on every run: a test that fails, fails for the change that broke it.
settings.register_profile("same-cases", derandomize=True, deadline=None)
settings.load_profile("same-cases")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what `make test` runs in one environment alone."""
    for item in items:
        if is_for_any_transformers(item.path):
            item.add_marker("any_transformers")


def pytest_unconfigure() -> None:
    shutil.rmtree(os.environ["HF_MODULES_CACHE"], ignore_errors=True)


def save_tokenizer(folder: Path) -> None:
    """A WordPiece tokenizer over WORDS."""
    vocabulary = folder.parent / f"{folder.name}-vocab.txt"
    vocabulary.write_text("\n".join([*SPECIAL, *WORDS]) + "\n")
    BertTokenizerFast(vocab=str(vocabulary), vocab_file=str(vocabulary)).save_pretrained(folder)


def sentences(count: int, seed: int = 0) -> list[str]:
    """Texts of 2 to 12 words."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, 13, (count,), generator=generator).tolist()
    return [
        " ".join(WORDS[index] for index in torch.randint(len(WORDS), (length,), generator=generator).tolist())
        for length in lengths
    ]


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-class BERT with its tokenizer, as from_pretrained reads it. Do not write into it."""
    folder = tmp_path_factory.mktemp("models") / "tiny-classifier"
    torch.manual_seed(0)
    BertForSequenceClassification(tiny_config()).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


@pytest.fixture(scope="session", params=FAMILIES)
def family_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-class classifier of every family in turn with its tokenizer. Do not write into it."""
    folder = tmp_path_factory.mktemp("models") / f"tiny-{request.param}"
    tiny_head(f"{FAMILIES[request.param].prefix}ForSequenceClassification").save_pretrained(folder)
    save_tokenizer(folder)
    return folder


@pytest.fixture(scope="session")
def regression_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A one-output BERT with its tokenizer. Do not write into it."""
    folder = tmp_path_factory.mktemp("models") / "tiny-regression"
    torch.manual_seed(1)
    BertForSequenceClassification(tiny_config(num_labels=1, problem_type="regression")).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


@pytest.fixture
def tiny_model(tiny_folder: Path) -> Any:
    """The two-class BERT in memory, in evaluation mode."""
    return BertForSequenceClassification.from_pretrained(tiny_folder).eval()


@pytest.fixture(scope="session")
def make_head() -> Callable[..., Any]:
    """A function that makes a dense model of any class: make_head("BertForMaskedLM", **configuration)."""
    return tiny_head


@pytest.fixture(scope="session")
def head_inputs() -> Callable[[str], dict[str, torch.Tensor]]:
    """A function that makes a padded batch for a class: head_inputs("BertForMultipleChoice")."""

    def make(class_name: str) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        mask = torch.tensor([[1] * 9, [1] * 5 + [0] * 4, [1] * 7 + [0] * 2])
        ids = torch.randint(5, 25, (3, 9), generator=generator) * mask
        batch = {"input_ids": ids, "attention_mask": mask}
        if class_name.endswith("ForMultipleChoice"):
            return {name: value.unsqueeze(0).contiguous() for name, value in batch.items()}
        return batch

    return make


@pytest.fixture(scope="session")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 rows with sst2's columns."""
    rows = [{"sentence": text, "label": index % 2} for index, text in enumerate(sentences(48))]
    return write_jsonl(tmp_path_factory.mktemp("data") / "train.jsonl", rows)


@pytest.fixture(scope="session")
def make_sentences() -> Callable[..., list[str]]:
    """A function that makes texts: make_sentences(count, seed=0)."""
    return sentences


@pytest.fixture
def write_rows(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[dict[str, Any]]], Path]:
    """A function that writes rows to a new rows.jsonl, outside the test's own tmp_path."""
    return lambda rows: write_jsonl(tmp_path_factory.mktemp("rows") / "rows.jsonl", rows)


@pytest.fixture
def make_batches() -> Callable[..., list[dict[str, torch.Tensor]]]:
    """A function that makes padded batches with labels: make_batches(examples, batch_size, seed=0)."""

    def make(examples: int, batch_size: int, seed: int = 0, vocabulary: int = 25) -> list[dict[str, torch.Tensor]]:
        generator = torch.Generator().manual_seed(seed)
        lengths = torch.randint(3, 13, (examples,), generator=generator)
        ids = torch.randint(5, vocabulary, (examples, 12), generator=generator)
        mask = torch.arange(12)[None, :] < lengths[:, None]
        labels = torch.randint(0, 2, (examples,), generator=generator)
        return [
            {
                "input_ids": ids[start : start + batch_size] * mask[start : start + batch_size],
                "attention_mask": mask[start : start + batch_size].long(),
                "labels": labels[start : start + batch_size],
            }
            for start in range(0, examples, batch_size)
        ]

    return make
