"""Rerankers through the commands: no label for the statistics, a ranking for the metric."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from safetensors import safe_open
from sentence_transformers import CrossEncoder

from fwsvd_export.evaluation.trec import ranking_scorer
from tests.conftest import save_tokenizer, sentences, write_jsonl
from tests.helpers import tiny_head

Run = Callable[..., Result]
Refused = Callable[..., str]
Succeed = Callable[..., str]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reranker, and twelve queries with eight texts each."""
    room = tmp_path_factory.mktemp("room")
    tiny_head("BertForSequenceClassification", num_labels=1).save_pretrained(room / "bare")
    save_tokenizer(room / "bare")
    CrossEncoder(str(room / "bare"), device="cpu").save_pretrained(str(room / "model"))
    texts = sentences(96, seed=5)
    rows = [
        {"query": texts[8 * query], "text": texts[8 * query + place], "label": (place == 3) + 2 * (place == 5)}
        for query in range(12)
        for place in range(8)
    ]
    assert len({row["query"] for row in rows}) == 12
    write_jsonl(room / "pairs.jsonl", rows)
    write_jsonl(room / "unlabelled.jsonl", [{"query": row["query"], "text": row["text"]} for row in rows])
    return room


def pairs_of(room: Path, name: str = "pairs") -> tuple[object, ...]:
    return "--task", "rerank", "--data", room / f"{name}.jsonl"


def test_texts_are_ranked_by_what_the_cross_encoder_says(room: Path, succeed: Succeed) -> None:
    found = json.loads(succeed("evaluate", room / "model", *pairs_of(room), "--json"))
    rows = [json.loads(line) for line in (room / "pairs.jsonl").read_text().splitlines()]
    scores = CrossEncoder(str(room / "model"), device="cpu").predict([(row["query"], row["text"]) for row in rows])
    grades: dict[str, dict[str, int]] = {}
    ranked: dict[str, dict[str, float]] = {}
    for place, (row, score) in enumerate(zip(rows, scores.tolist(), strict=True)):
        grades.setdefault(row["query"], {})[str(place)] = row["label"]
        ranked.setdefault(row["query"], {})[str(place)] = score
    expected = ranking_scorer()(grades, ranked).values()
    assert (found["metric"], found["examples"]) == ("ndcg_at_10", 12)
    assert found["value"] == pytest.approx(sum(row[0] for row in expected) / 12, abs=1e-4)
    assert found["beside"] == {"mrr_at_10": pytest.approx(sum(row[2] for row in expected) / 12, abs=1e-4)}


def test_no_label_is_read_for_the_statistics(room: Path, tmp_path: Path, succeed: Succeed) -> None:
    digests = []
    for name in ("pairs", "unlabelled"):
        succeed("fisher", room / "model", "-o", tmp_path / f"{name}.safetensors", *pairs_of(room, name))
        with safe_open(tmp_path / f"{name}.safetensors", framework="pt") as file:
            (described,) = (json.loads(value) for value in file.metadata().values())
            digests.append({key: file.get_tensor(key).double().sum().item() for key in tuple(file.keys())})
        assert (described["source"]["labels"], described["examples"]) == ("sampled", 96)
    assert digests[0] == digests[1]


def test_a_target_is_about_the_ranking_of_queries_held_out(room: Path, tmp_path: Path, run: Run) -> None:
    result = run(
        "compress",
        room / "model",
        tmp_path / "out",
        *pairs_of(room),
        "--max-drop",
        "0.95",
        "--confidence",
        "0.6",
        "--json",
    )
    assert result.exit_code == 0, result.output
    gate = json.loads(result.stdout)["gate"]
    assert (gate["metric"], gate["validation_examples"]) == ("ndcg_at_10", 2), "one query in five of twelve"
    assert CrossEncoder(str(tmp_path / "out"), device="cpu", trust_remote_code=True).predict([("a film", "good")]).size


def test_a_dense_model_teaches_a_small_one_to_rank(room: Path, tmp_path: Path, succeed: Succeed) -> None:
    succeed("compress", room / "model", tmp_path / "small", *pairs_of(room, "unlabelled"), "--ratio", "0.3")
    words = (
        "finetune",
        tmp_path / "small",
        tmp_path / "out",
        *pairs_of(room),
        "--teacher",
        room / "model",
        "--epochs",
        2,
    )
    record = json.loads(succeed(*words, "--json"))
    assert record["metric"] == "ndcg_at_10"
    assert record["data"] == "pairs.jsonl"
    found = json.loads(succeed("evaluate", tmp_path / "out", *pairs_of(room), "--against", room / "model", "--json"))
    assert (found["difference"]["examples"], found["metric"]) == (12, "ndcg_at_10")


def test_a_sweep_and_a_benchmark_rank_too(room: Path, tmp_path: Path, succeed: Succeed) -> None:
    words = ("--methods", "svd,kfac", "--ratios", "0.3", "--training", "none,distilled", "--finetune-evaluations", 1)
    rows = json.loads(succeed("sweep", room / "model", "-o", tmp_path / "sweep", *pairs_of(room), *words, "--json"))[
        "rows"
    ]
    assert {(row["method"], row["training"], row["metric"]) for row in rows} == {
        (method, training, "ndcg_at_10") for method in ("svd", "kfac") for training in ("none", "distilled")
    }
    pytest.importorskip("onnxruntime")
    shapes = ("--batch-sizes", "1", "--lengths", "8", "--rounds", 1, "--runtime", "torch,onnxruntime", "--json")
    succeed("compress", room / "model", tmp_path / "small", "--method", "svd", "--rank", 4)
    model, small = json.loads(succeed("bench", room / "model", tmp_path / "small", *pairs_of(room), *shapes))["models"]
    assert model["runtimes"]["onnxruntime"]["value"] == pytest.approx(model["value"], abs=1e-4)
    assert small["difference"]["value"] == pytest.approx(small["value"] - model["value"])


def test_candidates_of_a_first_search_are_the_pairs_that_they_are(
    room: Path, tmp_path: Path, succeed: Succeed, refused: Refused
) -> None:
    rows = [json.loads(line) for line in (room / "pairs.jsonl").read_text().splitlines()]
    queries = list(dict.fromkeys(row["query"] for row in rows))
    write_jsonl(tmp_path / "queries.jsonl", [{"_id": place, "text": text} for place, text in enumerate(queries)])
    write_jsonl(
        tmp_path / "corpus.jsonl", [{"_id": f"d{place}", "text": row["text"]} for place, row in enumerate(rows)]
    )
    numbered = [(queries.index(row["query"]), f"d{place}", row["label"]) for place, row in enumerate(rows)]
    judged = [f"{query}\t{document}\t{grade}" for query, document, grade in numbered if grade]
    (tmp_path / "qrels.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]) + "\n")
    (tmp_path / "run.trec").write_text("".join(f"{query} Q0 {document} 1 0 x\n" for query, document, _ in numbered))
    names = {"queries": "queries.jsonl", "corpus": "corpus.jsonl", "qrels": "qrels.tsv", "candidates": "run.trec"}
    files = [word for name, file in names.items() for word in (f"--{name}", tmp_path / file)]
    found = json.loads(succeed("evaluate", room / "model", "--task", "rerank", *files, "--json"))
    given = json.loads(succeed("evaluate", room / "model", *pairs_of(room), "--json"))
    assert {name: found[name] for name in ("value", "beside", "examples")} == {
        name: given[name] for name in ("value", "beside", "examples")
    }
    words = ("compress", room / "model", tmp_path / "out", "--task", "rerank", *files, "--max-drop", "0.95")
    gate = json.loads(succeed(*words, "--confidence", "0.6", "--json"))["gate"]
    assert gate["validation_examples"] == 2, "one query in five is held out"
    chosen = ("--validation", room / "pairs.jsonl", "--confidence", "0.6", "--json")
    assert "calibration examples" in refused(*words[:2], tmp_path / "other", *words[3:], *chosen)
    assert found["data"] == "run.trec"
    refined = ("--ratio", "0.3", "--refine", "model", "--refine-minutes", "0.05", "--refine-data", room / "pairs.jsonl")
    record = json.loads(succeed(*words[:2], tmp_path / "refined", *words[3:-2], *refined, "--json"))
    assert record["refinement"]["examples"] > 0
    said = refused("evaluate", room / "model", "--task", "rerank", *files[2:], code=2)
    assert "--corpus, --qrels and --candidates go with --queries, which is not given" in said


@pytest.mark.parametrize("command", ["finetune", "sweep"])
def test_grades_are_no_scores_to_learn(command: str, room: Path, tmp_path: Path, refused: Refused) -> None:
    trained = ("--methods", "svd", "--training", "finetuned")
    words = {
        "finetune": ("finetune", room / "model", tmp_path / "out"),
        "sweep": ("sweep", room / "model", "-o", tmp_path / "out", "--ratios", "0.5", *trained),
    }[command]
    said = refused(*words, *pairs_of(room))
    assert "task rerank has grades, which tell how a query's texts are to be ordered" in said
    assert "finetune: --teacher DENSE; sweep: --training distilled" in said
    assert not (tmp_path / "out").exists()


def test_a_model_with_classes_is_no_reranker(tiny_folder: Path, room: Path, refused: Refused) -> None:
    said = refused("evaluate", tiny_folder, *pairs_of(room))
    assert "task rerank has a grade, how well a text answers a query, and this model" in said
