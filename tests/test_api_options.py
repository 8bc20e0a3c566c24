"""Options that a caller of the Python API can get wrong: a text for a number, an unknown name, and the like."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import fwsvd_export as fe
from tests.api_calls import Call, batch, sentence_of


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ratio": "0.25"}, "ratio '0.25': a number above 0 and at most 1 is allowed"),
        ({"ratio": float("nan")}, "ratio nan: a number above 0"),
        ({"ratio": True}, "ratio True: a number above 0"),
        ({"ratio": [0.25]}, "ratio [0.25]: a number above 0"),
        ({"ratio": torch.tensor(0.25)}, "ratio tensor(0.2500): a number above 0"),
        ({"rank": "8"}, "rank '8': a whole number of at least 1 is allowed"),
        ({"rank": 8.0}, "rank 8: a whole number"),
        ({"rank": 8.5}, "rank 8.5: a whole number"),
        ({"rank": True}, "rank True: a whole number"),
        ({"params": "20M"}, "params '20M': a whole number"),
        ({"params": 2e4}, "params 20000: a whole number"),
        ({}, "no size given: give exactly one of ratio, rank and params"),
        ({"rank": 4, "ratio": 0.5}, "ratio and rank given: give exactly one"),
        ({"rank": 4, "embeddings": "0.5"}, "embeddings '0.5': a number above 0 and at most 1 is allowed"),
        ({"rank": 4, "embeddings": True}, "embeddings True: a number above 0"),
        ({"rank": 4, "limits": {"smallest": 2}}, "limits {'smallest': 2}: a RankLimits is allowed, for example"),
        ({"rank": 4, "allocate": "fairly"}, "allocate 'fairly': one of greedy, uniform is allowed"),
        ({"rank": 4, "allocate": ["greedy"]}, "allocate ['greedy']: one of greedy, uniform"),
        ({"rank": 4, "cost": "time"}, "cost 'time': one of params, flops, latency is allowed"),
        ({"rank": 4, "method": "kfax"}, "method 'kfax': one of svd, fwsvd"),
        ({"rank": 4, "method": None}, "method None: one of svd, fwsvd"),
        ({"rank": 4, "method": ["svd"]}, "method ['svd']: one of svd, fwsvd"),
        ({"rank": 4, "reconstruct": "no"}, "reconstruct 'no': True, False or None is allowed"),
        ({"rank": 4, "statistics": "fisher.safetensors"}, "'fisher.safetensors': what collect_statistics returns"),
        ({"rank": 4, "seed": "0"}, "seed '0': a whole number is allowed"),
        ({"rank": 4, "seed": 0.5}, "seed 0.5: a whole number is allowed"),
        ({"rank": 4, "labels": "guessed"}, "labels 'guessed': one of data, sampled is allowed"),
        ({"rank": 4, "labels": None}, "labels None: one of data, sampled is allowed"),
        ({"rank": 4, "solver_options": "start=row"}, "solver_options 'start=row': a dictionary is needed"),
        (
            {"rank": 4, "method": "em", "solver_options": {"max_iterations": True}},
            "max_iterations=True: a whole number",
        ),
        (
            {"rank": 4, "method": "em", "solver_options": {"max_iterations": None}},
            "max_iterations=None: a whole number",
        ),
        ({"rank": 4, "method": "em", "solver_options": {"steps": 3}}, "solver option steps: method em knows start"),
        ({"rank": 4, "method": "fwsvd", "fisher_axis": "up"}, "axis=up: input or output is allowed"),
    ],
)
def test_options_of_compress(options: dict[str, Any], words: str, tiny_model: Any) -> None:
    assert words in sentence_of(lambda: fe.compress(tiny_model, [batch()], **options))


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"multiple": "8"}, "rank multiple '8': a whole number of at least 1 is allowed"),
        ({"smallest": 2.5}, "smallest rank 2.5: a whole number"),
        ({"largest": True}, "largest rank True: a whole number"),
        ({"keep_dense": "encoder.layer.0.*"}, "keep_dense 'encoder.layer.0.*': a tuple of patterns is allowed"),
        ({"keep_dense": (3,)}, "keep_dense (3,): a tuple of patterns"),
        ({"keep_dense": None}, "keep_dense None: a tuple of patterns is allowed"),
    ],
)
def test_limits_of_ranks(limits: dict[str, Any], words: str) -> None:
    assert words in sentence_of(lambda: fe.RankLimits(**limits))


def test_a_misspelt_argument_is_a_type_error_that_names_the_function(tiny_model: Any) -> None:
    with pytest.raises(TypeError, match=r"^compress\(\) got an unexpected keyword argument 'alocate'$"):
        fe.compress(tiny_model, method="svd", rank=4, alocate="uniform")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"collect": "kfac"}, "collect is the text 'kfac': a list of kfac, row, element is needed"),
        ({"collect": ("kfac", 3)}, "collect 3: choose from kfac, row, element"),
        ({"collect": ()}, "collect nothing: choose from"),
        ({"seed": None}, "seed None: a whole number is allowed"),
        ({"example_indices": [-1, 0, 1]}, "example_indices holds -1: whole numbers from 0 are needed"),
        ({"example_indices": [0, "1", 2]}, "example_indices holds '1': whole numbers from 0"),
        ({"example_indices": [0, 1]}, "more examples than example_indices; give one index per example"),
    ],
)
def test_options_of_collect_statistics(options: dict[str, Any], words: str, tiny_model: Any) -> None:
    assert words in sentence_of(lambda: fe.collect_statistics(tiny_model, [batch()], **options))


def test_what_cannot_be_merged_or_saved(tiny_model: Any, tmp_path: Any) -> None:
    statistics = fe.collect_statistics(tiny_model, [batch()])
    assert "shards are of type Statistics: a list" in sentence_of(lambda: fe.merge_statistics(statistics))
    assert "no statistics to merge; give at least one" in sentence_of(lambda: fe.merge_statistics([]))
    sentence = sentence_of(lambda: fe.merge_statistics([statistics, "b.safetensors"]))
    assert "a shard is 'b.safetensors': what collect_statistics returns is needed; read files with load" in sentence
    sentence = sentence_of(lambda: fe.merge_statistics([statistics, statistics], names=["a"]))
    assert "1 names for 2 shards; give one name per shard" in sentence
    sentence = sentence_of(lambda: fe.save_statistics({"a": 1}, tmp_path / "file"))
    assert "statistics {'a': 1}: what collect_statistics returns is needed" in sentence
    assert fe.merge_statistics(iter([statistics, statistics])).examples == 6
    fe.save_statistics(statistics, str(tmp_path / "file"))
    assert fe.load_statistics(str(tmp_path / "file")).examples == 3
    assert "compression.json" in sentence_of(lambda: fe.read_compression(str(tmp_path)))
    assert "nowhere" in sentence_of(lambda: fe.load(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda model, out: fe.export_onnx(model, out, opset="17"), "opset '17': 17 to 20 are allowed"),
        (lambda model, out: fe.export_onnx(model, out, atol="1e-4"), "atol '1e-4': a number of at least 0 is allowed"),
        (lambda model, out: fe.export_onnx(model, out, atol=float("nan")), "atol nan: a number of at least 0"),
        (lambda model, out: fe.export_onnx(model, out, tokenizer="bert"), "tokenizer 'bert': a tokenizer of trans"),
        (lambda model, out: fe.bench(model, runtimes="torch"), "runtimes 'torch': a list is needed, also for one"),
        (lambda model, out: fe.bench(model, runtimes=["tf"]), "runtime tf: any of torch, onnxruntime"),
        (lambda model, out: fe.bench(model, runtimes=["torch"], lengths=8), "lengths 8: a list is needed"),
        (lambda model, out: fe.bench(model, runtimes=["torch"], lengths=["8"]), "lengths '8': whole numbers of at"),
        (lambda model, out: fe.bench(model, runtimes=["torch"], batch_sizes=[0]), "batch_sizes 0: whole numbers"),
        (
            lambda model, out: fe.bench(model, runtimes=["torch"], rounds="5"),
            "rounds '5': a whole number of at least 1",
        ),
        (lambda model, out: fe.bench(model, runtimes=["torch"], threads=0), "threads 0: a whole number of at least 1"),
        (lambda model, out: fe.evaluate(model, [batch()], task="sst3"), "task 'sst3': one of sst2"),
        (lambda model, out: fe.evaluate(model, [batch()], task="text"), "task text has no labels and no metric"),
    ],
)
def test_options_of_the_other_functions(call: Call, words: str, tiny_model: Any, tmp_path: Any) -> None:
    assert words in sentence_of(lambda: call(tiny_model, tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []
