"""Folders of sentence-transformers go in and come out whole; what cannot be carried over is refused by name."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer

from tests.conftest import save_tokenizer, sentences
from tests.helpers import tiny_head

Run = Callable[..., Result]
Refused = Callable[..., str]
Succeed = Callable[..., str]

WHOLE = ("--method", "svd", "--ratio", "1.0")
PROMPTS = {"query": "the ", "passage": ""}
TEXTS = sentences(6, seed=3)
PAIRS = [[TEXTS[0], TEXTS[1]], [TEXTS[2], TEXTS[3]]]
KEPT = ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json", "1_Pooling/config.json")

READER = '''
import json, sys

class Blocked:
    """Makes every import of the package fail, wherever it is installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "fwsvd_export":
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())
import sentence_transformers

def answer(kind, folder, trusted, texts):
    model = getattr(sentence_transformers, kind)(folder, device="cpu", trust_remote_code=trusted)
    if kind == "CrossEncoder":
        return {"found": model.predict(texts).tolist(), "length": model.max_length}
    found = [model.encode(texts, prompt_name=name).tolist() for name in (None, "query")]
    return {"found": found, "length": model.max_seq_length, "similarity": model.similarity_fn_name}

print(json.dumps([answer(*job) for job in json.loads(sys.argv[1])]))
'''


def read_elsewhere(*jobs: tuple[str, Path, bool]) -> list[dict[str, Any]]:
    """What models answer in a process that cannot import the package: class, folder, whether its code is trusted."""
    asked = [(kind, str(folder), trusted, PAIRS if kind == "CrossEncoder" else TEXTS) for kind, folder, trusted in jobs]
    command = [sys.executable, "-c", READER, json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout.splitlines()[-1]))


def change(path: Path, **settings: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def save_embedder(folder: Path, class_name: str = "BertModel", pooling: str = "cls", width: int = 32) -> Path:
    """A model as sentence-transformers saves it: pooling, a layer to another size, and normalisation."""
    bare = folder.with_name(f"{folder.name}-bare")
    tiny_head(class_name).save_pretrained(bare)
    save_tokenizer(bare)
    change(bare / "tokenizer_config.json", model_input_names=["input_ids", "attention_mask"])  # DistilBERT's
    torch.manual_seed(0)
    modules = [Transformer(str(bare), max_seq_length=24), Pooling(width, pooling), Dense(width, 16), Normalize()]
    SentenceTransformer(modules=modules, device="cpu", prompts=PROMPTS, similarity_fn_name="dot").save(str(folder))
    return folder


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_embedder(tmp_path_factory.mktemp("embedder") / "model")


@pytest.fixture
def copied(embedder: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(embedder, tmp_path / "embedder"))


def test_a_whole_rank_answers_as_the_base_does_with_all_of_its_modules(tmp_path: Path, succeed: Succeed) -> None:
    kinds = [("BertModel", "cls"), ("BertModel", "max"), ("DistilBertModel", "mean")]
    bases = [save_embedder(tmp_path / f"{name}-{pooling}", name, pooling) for name, pooling in kinds]
    tiny_head("BertForSequenceClassification", num_labels=1).save_pretrained(tmp_path / "bare")
    save_tokenizer(tmp_path / "bare")
    reranker = tmp_path / "reranker"
    CrossEncoder(str(tmp_path / "bare"), device="cpu", max_length=20).save_pretrained(str(reranker))
    jobs = []
    for base in (*bases, reranker):
        kind = "CrossEncoder" if base == reranker else "SentenceTransformer"
        small, plain = (base.with_name(f"{base.name}-{what}") for what in ("small", "plain"))
        succeed("compress", base, small, *WHOLE)
        succeed("densify", small, plain)
        jobs += [(kind, base, False), (kind, small, True), (kind, plain, False)]
    answers = read_elsewhere(*jobs)
    assert [answer["length"] for answer in answers] == [24] * 9 + [20] * 3
    assert [answer.get("similarity") for answer in answers] == ["dot"] * 9 + [None] * 3
    for place in range(0, len(jobs), 3):
        expected, *found = (torch.tensor(answer["found"]) for answer in answers[place : place + 3])
        assert expected.std() > 0.01
        for embeddings in found:
            torch.testing.assert_close(embeddings, expected)


def test_every_command_that_writes_a_model_writes_the_modules(
    embedder: Path, tmp_path: Path, run: Run, data_file: Path
) -> None:
    data = ("--task", "text", "--data", data_file, "--text-column", "sentence")
    for words in (
        ("compress", embedder, tmp_path / "small", *data, "--ratio", "0.5"),
        ("densify", tmp_path / "small", tmp_path / "plain"),
        ("compress", tmp_path / "plain", tmp_path / "again", *data, "--ratio", "0.5"),
    ):
        result = run(*words)
        assert result.exit_code == 0, result.output
        assert "carried over" not in result.stderr
        for name in (*KEPT, "2_Dense/config.json", "2_Dense/model.safetensors"):
            assert (Path(str(words[2])) / name).read_bytes() == (embedder / name).read_bytes()
        assert json.loads((Path(str(words[2])) / "compression.json").read_text())["left_out"] == []


def test_statistics_are_those_of_the_embedding_that_the_modules_make(
    tmp_path: Path, succeed: Succeed, data_file: Path
) -> None:
    data = ("--task", "text", "--data", data_file, "--text-column", "sentence")
    embedders = {pooling: save_embedder(tmp_path / pooling, pooling=pooling) for pooling in ("cls", "mean")}
    for pooling, folder in embedders.items():
        succeed("fisher", folder, "-o", tmp_path / f"{pooling}.safetensors", *data)
    succeed("fisher", embedders["cls"], "-o", tmp_path / "bare.safetensors", *data, "--drop-modules")
    read = [(tmp_path / f"{name}.safetensors").read_bytes() for name in ("cls", "mean", "bare")]
    assert len(set(read)) == 3


def test_modules_are_dropped_when_it_is_asked_for_and_it_is_said(copied: Path, tmp_path: Path, run: Run) -> None:
    modules = json.loads((copied / "modules.json").read_text())
    modules[2]["type"] = "my_company.Whitening"
    (copied / "modules.json").write_text(json.dumps(modules))
    small = tmp_path / "small"
    result = run("compress", copied, small, *WHOLE, "--drop-modules")
    assert result.exit_code == 0, result.output
    (sentence,) = json.loads((small / "compression.json").read_text())["left_out"]
    assert sentence == (
        "only the transformer of this sentence-transformers model is carried over; what modules.json lists behind it "
        "is for you to apply to the outputs: Pooling (cls), Whitening, Normalize"
    )
    assert f"{sentence}." in result.stderr.replace("\n", "")
    assert "Whitening" in (small / "README.md").read_text()
    assert not any((small / name).exists() for name in KEPT)


def _unknown(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    modules[2]["type"] = "sentence_transformers.models.LSTM"
    (folder / "modules.json").write_text(json.dumps(modules))


def _own_code(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    modules[2]["type"] = "custom_st.Dense"
    (folder / "modules.json").write_text(json.dumps(modules))


def _elsewhere(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))


def _above(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["path"] = ".."
    (folder / "modules.json").write_text(json.dumps(modules))


def _pickled(folder: Path) -> None:
    (folder / "2_Dense" / "model.safetensors").rename(folder / "2_Dense" / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("ruin", "said"),
    [
        (lambda it: (it / "modules.json").write_text("{}"), "modules.json does not hold a JSON list; write it again"),
        (lambda it: (it / "modules.json").write_text("["), "modules.json is not readable JSON"),
        (lambda it: (it / "modules.json").write_text("[1]"), "lists 1, and a module has a type and a path; correct"),
        (lambda it: (it / "modules.json").write_text("[]"), "begins with ('', ''), and the transformer has to come"),
        (_unknown, "lists sentence_transformers.models.LSTM in modules.json: modules of sentence-transformers of the"),
        (_own_code, "lists custom_st.Dense in modules.json: modules of sentence-transformers of the kinds Pooling, "),
        (_elsewhere, "the transformer has to come first and lie in the folder itself; save the model again with"),
        (_above, "has its Pooling in '..', and a folder named as 1_Pooling is needed; save the model again with"),
        (_pickled, "has no 2_Dense/model.safetensors, and the weights of a Dense are read from safetensors alone"),
        (lambda it: (it / "1_Pooling" / "config.json").unlink(), "no 1_Pooling/config.json, so it is not known how it"),
        (
            lambda it: change(it / "2_Dense" / "config.json", in_features=48),
            "a Dense in 2_Dense for 48 values, and what stands before it gives 32; correct 2_Dense/config.json",
        ),
        (
            lambda it: change(it / "2_Dense" / "config.json", in_features="many"),
            "in_features of the Dense in embedder is 'many', and a whole number is needed; correct 2_Dense/config.json",
        ),
    ],
)
def test_modules_that_cannot_be_carried_over(
    ruin: Callable[[Path], None], said: str, copied: Path, tmp_path: Path, refused: Refused
) -> None:
    ruin(copied)
    assert said in refused("compress", copied, tmp_path / "small", *WHOLE)


def test_inspect_reads_a_model_whatever_stands_behind_it(copied: Path, run: Run) -> None:
    _own_code(copied)
    result = run("inspect", copied)
    assert (result.exit_code, result.stderr) == (0, "")


def test_the_card_of_a_reranker(tmp_path: Path, succeed: Succeed) -> None:
    tiny_head("BertForSequenceClassification", num_labels=1).save_pretrained(tmp_path / "bare")
    save_tokenizer(tmp_path / "bare")
    CrossEncoder(str(tmp_path / "bare"), device="cpu").save_pretrained(str(tmp_path / "base"))
    succeed("compress", tmp_path / "base", tmp_path / "small", *WHOLE)
    card = (tmp_path / "small" / "README.md").read_text()
    assert "library_name: sentence-transformers" in card
    assert "pipeline_tag: text-ranking" in card
    assert 'CrossEncoder(name, revision="main", trust_remote_code=True)' in card
    assert 'model.predict([("What is a sentence?", "This is a sentence.")])' in card


def test_the_card_loads_it_through_sentence_transformers(embedder: Path, tmp_path: Path, succeed: Succeed) -> None:
    small = tmp_path / "this-model"
    succeed("compress", embedder, small, *WHOLE)
    card = (small / "README.md").read_text()
    assert "library_name: sentence-transformers" in card
    assert "pipeline_tag: sentence-similarity" in card
    (block,) = (text for text in card.split("```python\n")[1:] if "SentenceTransformer" in text)
    lines = block.partition("```")[0].replace(', revision="main"', "")  # which a folder does not have
    done = subprocess.run([sys.executable, "-c", lines], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[[")


def test_push_takes_the_modules_but_no_pickle(embedder: Path, tmp_path: Path, succeed: Succeed, run: Run) -> None:
    small = tmp_path / "small"
    succeed("compress", embedder, small, *WHOLE)
    (small / "2_Dense" / "pytorch_model.bin").write_bytes(b"\x80\x02")
    result = run("push", small, "me/small", "--dry-run", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert {*KEPT, "2_Dense/model.safetensors"} <= {entry["path"] for entry in found["files"]}
    assert [finding["file"] for finding in found["findings"]] == ["2_Dense/pytorch_model.bin"]
