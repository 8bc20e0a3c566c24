"""Embedding models through the commands: statistics, metrics with and without judgements, targets, training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from safetensors import safe_open
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.errors import CheckpointError
from tests.conftest import save_tokenizer, sentences, write_jsonl
from tests.helpers import tiny_head

Run = Callable[..., Result]
Refused = Callable[..., str]
Succeed = Callable[..., str]

PROMPTS = {"query": "the ", "document": "a good "}


def save(folder: Path, pooling: str = "cls", include_prompt: bool = True, **settings: Any) -> Path:
    """A model as sentence-transformers saves it."""
    bare = folder.with_name(f"{folder.name}-bare")
    tiny_head("BertModel").save_pretrained(bare)
    save_tokenizer(bare)
    modules = [Transformer(str(bare)), Pooling(32, pooling, include_prompt=include_prompt), Normalize()]
    SentenceTransformer(modules=modules, device="cpu", prompts=PROMPTS, **settings).save(str(folder))
    return folder


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, a smaller one, and data of every kind."""
    room = tmp_path_factory.mktemp("room")
    save(room / "model")
    texts = sentences(96, seed=5)
    pairs = zip(texts[::2], texts[1::2], strict=True)
    rows = [{"sentence1": one, "sentence2": other, "label": place % 6} for place, (one, other) in enumerate(pairs)]
    write_jsonl(room / "pairs.jsonl", rows)
    write_jsonl(room / "texts.jsonl", [{"text": text} for text in texts])
    write_jsonl(room / "corpus.jsonl", [{"_id": f"d{place}", "text": text} for place, text in enumerate(texts)])
    write_jsonl(room / "queries.jsonl", [{"_id": f"q{place}", "text": texts[place]} for place in range(12)])
    judged = [f"q{place}\td{place + place % 2}\t1" for place in range(12)]
    (room / "qrels.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]) + "\n")
    return room


@pytest.fixture(scope="module")
def small(room: Path, run: Run) -> Path:
    texts = ("--task", "embedding", "--data", room / "texts.jsonl")
    result = run("compress", room / "model", room / "small", *texts, "--ratio", "0.5")
    assert result.exit_code == 0, result.output
    return room / "small"


def pairs_of(room: Path) -> tuple[Any, ...]:
    return "--task", "sts", "--data", room / "pairs.jsonl"


def searched(room: Path) -> tuple[Any, ...]:
    files = (word for name in ("queries", "corpus") for word in (f"--{name}", room / f"{name}.jsonl"))
    return "--task", "retrieval", *files, "--qrels", room / "qrels.tsv"


def encoded(folder: Path, texts: list[str], what: str = "encode") -> torch.Tensor:
    """What sentence-transformers makes of texts."""
    return torch.as_tensor(getattr(SentenceTransformer(str(folder), device="cpu"), what)(texts))


def test_pairs_are_scored_as_sentence_transformers_would(room: Path, succeed: Succeed) -> None:
    found = json.loads(succeed("evaluate", room / "model", *pairs_of(room), "--json"))
    rows = [json.loads(line) for line in (room / "pairs.jsonl").read_text().splitlines()]
    first, second = (encoded(room / "model", [row[f"sentence{side}"] for row in rows]) for side in (1, 2))
    from scipy.stats import spearmanr

    expected = spearmanr((first * second).sum(dim=1), [row["label"] for row in rows]).statistic
    assert (found["metric"], found["examples"]) == ("cosine_spearman", 48)
    assert found["value"] == pytest.approx(expected, abs=1e-4)


def test_a_collection_is_searched_as_sentence_transformers_would_with_its_prompts(room: Path, succeed: Succeed) -> None:
    found = json.loads(succeed("evaluate", room / "model", *searched(room), "--json"))
    texts = [json.loads(line)["text"] for line in (room / "corpus.jsonl").read_text().splitlines()]
    documents = encoded(room / "model", texts, "encode_document")
    queries = encoded(room / "model", texts[:12], "encode_query")
    places = (queries @ documents.T).sort(dim=1, descending=True).indices
    ranks = [places[place].tolist().index(place + place % 2) for place in range(12)]
    assert found["metric"] == "ndcg_at_10"
    assert found["beside"]["mrr_at_10"] == pytest.approx(sum(1 / (rank + 1) for rank in ranks if rank < 10) / 12)
    assert found["beside"]["recall_at_100"] == 1.0


def test_a_model_is_compared_with_the_dense_one_on_texts_alone(room: Path, small: Path, succeed: Succeed) -> None:
    words = ("evaluate", small, "--task", "embedding", "--data", room / "texts.jsonl", "--against", room / "model")
    found = json.loads(succeed(*words, "--json"))
    texts = [json.loads(line)["text"] for line in (room / "texts.jsonl").read_text().splitlines()]
    ours = torch.as_tensor(SentenceTransformer(str(small), device="cpu", trust_remote_code=True).encode(texts))
    cosines = (ours * encoded(room / "model", texts)).sum(dim=1)
    assert (found["metric"], found["examples"]) == ("mean_cosine", 96)
    assert found["value"] == pytest.approx(float(cosines.mean()), abs=1e-5)
    assert set(found["beside"]) == {"neighbours_at_10", "similarity_spearman"}
    assert found["difference"]["dense"] == pytest.approx(1.0)
    assert found["difference"]["value"] == pytest.approx(found["value"] - 1, abs=1e-6)


def test_texts_longer_than_the_embedding_are_compared(
    room: Path, small: Path, tmp_path: Path, succeed: Succeed
) -> None:
    long = [{"text": " ".join(sentences(8, seed=seed))} for seed in range(6)]  # more tokens than the 32 numbers
    write_jsonl(tmp_path / "long.jsonl", long)
    words = ("evaluate", small, "--task", "embedding", "--data", tmp_path / "long.jsonl", "--against", room / "model")
    found = json.loads(succeed(*words, "--max-length", 60, "--batch-size", 2, "--json"))
    assert found["examples"] == 6
    assert 0 < found["value"] < 1


def test_every_text_of_a_row_is_an_example_of_the_statistics(room: Path, tmp_path: Path, succeed: Succeed) -> None:
    for name, words in (("pairs", pairs_of(room)), ("collection", searched(room))):
        succeed("fisher", room / "model", "-o", tmp_path / f"{name}.safetensors", *words)
        with safe_open(tmp_path / f"{name}.safetensors", framework="pt") as file:
            (found,) = (json.loads(value) for value in file.metadata().values())
        assert found["examples"] == {"pairs": 96, "collection": 108}[name]


def test_statistics_of_other_embeddings_are_refused(
    room: Path, tmp_path: Path, succeed: Succeed, refused: Refused
) -> None:
    words = ("--task", "embedding", "--data", room / "texts.jsonl", "-o")
    succeed("fisher", room / "model", *words, tmp_path / "cls.safetensors")
    succeed("fisher", room / "model", "--drop-modules", *words, tmp_path / "mean.safetensors")
    files = (tmp_path / "cls.safetensors", tmp_path / "mean.safetensors")
    size = ("--ratio", "0.5", "--fisher")
    succeed("compress", room / "model", tmp_path / "small", *size, files[0])
    said = refused("compress", room / "model", tmp_path / "other", *size, files[1])
    assert (
        "the statistics are of embeddings made by the mean of the tokens, and this model makes them by Pooling ("
        in said
    )
    assert "collect them for this model with fwsvd-export fisher" in said
    said = refused("compress", room / "model", tmp_path / "other", "--drop-modules", *size, files[0])
    assert "made by Pooling (cls), Normalize (" in said
    assert "this model makes them by the mean of the tokens" in said
    assert not (tmp_path / "other").exists()
    said = refused("fisher", "--merge", *files, "-o", tmp_path / "merged.safetensors")
    assert "statistics of different embeddings cannot be merged" in said


@pytest.mark.parametrize("kind", ["pairs", "texts", "collection"])
def test_an_accuracy_target_holds_for_every_metric(kind: str, room: Path, tmp_path: Path, run: Run) -> None:
    texts = ("--task", "embedding", "--data", room / "texts.jsonl")
    words = {"pairs": pairs_of(room), "texts": texts, "collection": searched(room)}[kind]
    result = run("compress", room / "model", tmp_path / "out", *words, "--max-drop", "0.9", "--json")
    assert result.exit_code == 0, result.output
    gate = json.loads(result.stdout)["gate"]
    assert gate["metric"] == {"pairs": "cosine_spearman", "texts": "mean_cosine", "collection": "ndcg_at_10"}[kind]
    assert gate["kept"]


def test_bench_and_onnx_measure_embeddings_under_every_runtime(room: Path, small: Path, succeed: Succeed) -> None:
    pytest.importorskip("onnxruntime")
    words = ("bench", room / "model", small, "--task", "embedding", "--data", room / "texts.jsonl", "--rounds", 1)
    shapes = ("--batch-sizes", "1", "--lengths", "8", "--runtime", "torch,onnxruntime", "--json")
    dense, ours = json.loads(succeed(*words, *shapes))["models"]
    assert (dense["metric"], dense["value"]) == ("mean_cosine", pytest.approx(1.0))
    assert 0 < ours["value"] < 1
    assert ours["runtimes"]["onnxruntime"]["value"] == pytest.approx(ours["value"], abs=1e-4)


def test_distillation_on_texts_alone_comes_nearer(room: Path, small: Path, tmp_path: Path, succeed: Succeed) -> None:
    data = ("--task", "embedding", "--data", room / "texts.jsonl", "--validation", room / "texts.jsonl")
    words = ("finetune", small, tmp_path / "out", *data[:4], "--teacher", room / "model", "--epochs", 8, "--lr", "1e-3")
    record = json.loads(succeed(*words, "--json"))
    assert record["metric"] == "mean_cosine"
    assert record["best"] > record["start"]
    assert (tmp_path / "out" / "1_Pooling" / "config.json").is_file()


def test_refinement_compares_the_embeddings_of_the_modules(room: Path, tmp_path: Path, succeed: Succeed) -> None:
    words = ("--task", "embedding", "--data", room / "texts.jsonl", "--ratio", "0.2", "--refine", "model", "--json")
    record = json.loads(succeed("compress", room / "model", tmp_path / "out", *words, "--refine-minutes", "0.1"))
    assert record["refinement"]["best"] <= record["refinement"]["start"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--task", "embedding", "--data", "texts.jsonl"), "these texts have no scores, and without them a model's"),
        (("--task", "sst2", "--data", "pairs.jsonl"), "does not predict that; choose one of sts"),
        (
            ("--task", "embedding", "--data", "pairs.jsonl", "--text-column", "sentence1", "--label-column", "label"),
            "how similar two texts are needs two of them; name the column of the second one with --text-pair-column",
        ),
        (("--task", "retrieval", "--queries", "queries.jsonl"), "needs three files: --queries, --corpus and --qrels"),
        (("--task", "sts", "--data", "pairs.jsonl", "--label-names", "a,b"), "and no classes that names could be"),
    ],
)
def test_what_cannot_be_measured(
    words: tuple[str, ...], said: str, room: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(room)
    assert said in refused("evaluate", room / "model", *words)


def test_queries_are_the_data_of_a_search(room: Path, refused: Refused) -> None:
    said = refused("evaluate", room / "model", *searched(room), "--data", room / "texts.jsonl", code=2)
    assert "--queries is the data of tasks retrieval and rerank; leave --data out" in said


def test_a_prompt_that_is_not_pooled_cannot_be_measured(tmp_path: Path, room: Path, run: Run) -> None:
    odd = save(tmp_path / "odd", include_prompt=False)
    result = run("-q", "evaluate", odd, *searched(room))
    assert result.exit_code == 1
    assert "out of its pooling (include_prompt false), which is not done here; measure it with" in result.stderr
    result = run("-q", "evaluate", odd, *pairs_of(room))
    assert result.exit_code == 0, "no prompt stands before these"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"similarity_fn_name": "euclidean"}, "compares embeddings by 'euclidean', and cosine or dot can be measured"),
        ({"prompts": ["query"]}, "has prompts ['query'], and a text per name is needed; correct it"),
    ],
)
def test_settings_that_cannot_be_followed(settings: dict[str, Any], said: str, tmp_path: Path) -> None:
    folder = save(tmp_path / "model")
    file = folder / "config_sentence_transformers.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))
    embed = load_checkpoint(str(folder)).encoder.embed  # compressing such a model needs neither
    with pytest.raises(CheckpointError) as error:
        assert embed.prompt("query") == embed.similarity == ""
    assert said in str(error.value)


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "mean_sqrt_len_tokens"])
def test_an_exported_model_can_give_the_embedding(pooling: str, tmp_path: Path, succeed: Succeed) -> None:
    runtime = pytest.importorskip("onnxruntime")
    folder = save(tmp_path / "model", pooling)
    succeed("compress", folder, tmp_path / "small", "--method", "svd", "--rank", 8)
    record = json.loads(succeed("onnx", tmp_path / "small", "--pooled", "--int8", "--json"))
    assert (record["pooled"], record["check"]["within"]) == (True, True)
    texts = sentences(5, seed=9)
    model = SentenceTransformer(str(tmp_path / "small"), device="cpu", trust_remote_code=True)
    given = model.tokenizer(texts, padding=True, return_tensors="np")
    session = runtime.InferenceSession(tmp_path / "small" / "onnx" / "model.onnx")
    inputs = {wanted.name: given[wanted.name] for wanted in session.get_inputs()}
    (found,) = session.run(["sentence_embedding"], inputs)
    torch.testing.assert_close(torch.as_tensor(found), torch.as_tensor(model.encode(texts)), rtol=0, atol=1e-5)


def test_a_head_has_no_embedding_to_export(tiny_folder: Path, tmp_path: Path, refused: Refused) -> None:
    pytest.importorskip("onnxruntime")
    said = refused("onnx", tiny_folder, "-o", tmp_path / "out", "--pooled")
    assert "--pooled writes the embedding of a text, and this is a BertForSequenceClassification; leave it out" in said


def test_sentence_transformers_reads_the_onnx_folder(room: Path, tmp_path: Path, succeed: Succeed) -> None:
    pytest.importorskip("optimum.onnxruntime")  # its reader of ONNX files
    small = tmp_path / "small"
    succeed("compress", room / "model", small, "--method", "svd", "--rank", 8)
    succeed("onnx", small)
    options = {"trust_remote_code": True, "device": "cpu"}
    model = SentenceTransformer(str(small), backend="onnx", model_kwargs={"file_name": "model.onnx"}, **options)
    texts = sentences(5, seed=9)
    expected = SentenceTransformer(str(small), **options).encode(texts)
    torch.testing.assert_close(torch.as_tensor(model.encode(texts)), torch.as_tensor(expected), rtol=0, atol=1e-5)
