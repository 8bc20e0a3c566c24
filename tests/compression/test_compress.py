from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import BertForSequenceClassification

import fwsvd_export as fe
from fwsvd_export.architectures.counts import linear_weights, total_parameters
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.checkpoints.weights import weights_sha256
from fwsvd_export.compression.checks import allocator_of
from fwsvd_export.compression.prepare import compress_model
from fwsvd_export.compression.solve import solve_layers
from fwsvd_export.errors import RankError, SolverOptionError, StatisticsError, UnsupportedModelError
from fwsvd_export.ranks import ALLOCATORS
from fwsvd_export.records import Budget, RankLimits, RankRequest, Solution, Statistics
from fwsvd_export.solvers.table import SOLVERS
from tests.helpers import inputs_of

RANKS = (1, 4, 8, 15, 22)  # at 22 every layer stays dense
Batches = list[dict[str, Tensor]]


@torch.no_grad()
def logits(model: Any, batches: Batches) -> Tensor:
    return torch.cat([model(batch["input_ids"], batch["attention_mask"]).logits for batch in batches])


def test_one_line_from_batches_is_the_same_as_collecting_first(
    tiny_model: Any, batches: Batches, statistics: Statistics
) -> None:
    at_once = fe.compress(tiny_model, batches, rank=5, method="fwsvd")
    in_two_steps = fe.compress(tiny_model, statistics=statistics, rank=5, method="fwsvd")
    assert type(at_once).__name__ == "LowRankBertForSequenceClassification"
    assert at_once.config.low_rank["method"] == "fwsvd"
    assert set(at_once.config.low_rank["ranks"].values()) == {5}
    assert len(at_once.config.low_rank["ranks"]) == 12
    assert weights_sha256(at_once) == weights_sha256(in_two_steps)


def test_svd_needs_neither_batches_nor_statistics(tiny_model: Any) -> None:
    small = fe.compress(tiny_model, method="svd", rank=3)
    name = "encoder.layer.0.intermediate.dense"
    dense, factors = tiny_model.bert.get_submodule(name), small.bert.get_submodule(name)
    squares = torch.linalg.svdvals(dense.weight.double()).square()
    error = dense.weight.double() - factors.up.weight.double() @ factors.down.weight.double()
    torch.testing.assert_close(error.square().sum(), squares[3:].sum(), rtol=1e-5, atol=0)
    assert torch.equal(factors.up.bias, dense.bias)


@pytest.mark.parametrize("method", SOLVERS)
def test_the_same_seed_gives_the_same_weights_and_leaves_everything_else_alone(
    method: str, tiny_model: Any, batches: Batches
) -> None:
    before, generator_state = weights_sha256(tiny_model), torch.get_rng_state()
    first, again = (fe.compress(tiny_model, batches, method=method, ratio=0.4, labels="sampled") for _ in range(2))
    assert weights_sha256(first) == weights_sha256(again)
    assert torch.equal(torch.get_rng_state(), generator_state)
    assert weights_sha256(tiny_model) == before
    assert all(parameter.grad is None for parameter in tiny_model.parameters())


def test_threads_started_later_use_as_many_cores_as_before(tiny_model: Any) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        fe.compress(tiny_model, method="svd", rank=2)
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def test_another_seed_of_sampled_labels_gives_other_weights(tiny_model: Any, batches: Batches) -> None:
    digests = {
        weights_sha256(fe.compress(tiny_model, batches, rank=4, labels="sampled", seed=seed)) for seed in range(2)
    }
    assert len(digests) == 2


def test_the_result_shares_no_memory_with_the_model(tiny_model: Any) -> None:
    before = weights_sha256(tiny_model)
    small = fe.compress(tiny_model, method="svd", rank=3)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.zero_()
    assert weights_sha256(tiny_model) == before


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_result_keeps_dtype_mode_and_attention(
    attention: str, training: bool, dtype: torch.dtype, tiny_folder: Path
) -> None:
    model = BertForSequenceClassification.from_pretrained(tiny_folder, attn_implementation=attention)
    model.to(dtype).train(training)
    small = fe.compress(model, method="svd", rank=4)
    assert {parameter.dtype for parameter in small.parameters()} == {dtype}
    assert all(module.training is training for module in small.modules())
    assert small.config._attn_implementation == attention


@pytest.mark.parametrize("size", [{"ratio": 0.4}, {"rank": 6}, {"params": 14_000}, {"rank": 16}, {"rank": 22}])
def test_the_reported_counts_are_those_of_the_model(size: dict[str, Any], tiny_model: Any) -> None:
    made = compress_model(inputs_of(tiny_model, "svd", RankRequest(Budget(**size)), None))
    assert made.report.parameters.linear_dense == linear_weights(encoder_of(tiny_model))
    assert made.report.parameters.linear_compressed == linear_weights(encoder_of(made.model))
    assert made.report.parameters.total_dense == total_parameters(tiny_model)
    assert made.report.parameters.total_compressed == total_parameters(made.model)
    assert made.report.parameters.linear_compressed <= size.get("ratio", 1) * made.report.parameters.linear_dense
    assert made.report.parameters.total_compressed <= size.get("params", made.report.parameters.total_dense)
    for report, layer in zip(made.report.layers, encoder_of(tiny_model).layers, strict=True):
        assert (report.name, report.shape) == (layer.name, (layer.out_features, layer.in_features))
        assert report.rank == made.model.config.low_rank["ranks"].get(layer.name)
        assert report.kept_dense == (report.rank is None) == (report.status == "dense")


def test_predicted_losses_fall_and_logits_approach_the_dense_ones_with_the_rank(
    tiny_model: Any, batches: Batches, statistics: Statistics
) -> None:
    dense = logits(tiny_model, batches)
    made = [compress_model(inputs_of(tiny_model, "kfac", RankRequest(Budget(rank=rank)), statistics)) for rank in RANKS]
    predicted = [sum(report.predicted_loss for report in one.report.layers) for one in made]
    assert predicted == sorted(predicted, reverse=True)
    assert len(set(predicted)) == len(predicted)
    errors = [float((logits(one.model, batches) - dense).norm()) for one in made]
    assert errors[0] > errors[2] > errors[3] > errors[4] == predicted[4] == 0


def predicted_loss(model: Any, statistics: Statistics, **size: Any) -> float:
    allocate = size.pop("allocate", None)
    made = compress_model(inputs_of(model, "kfac", RankRequest(Budget(**size), allocate), statistics))
    return sum(report.predicted_loss for report in made.report.layers)


@pytest.mark.parametrize("allocate", ALLOCATORS)
def test_predicted_losses_fall_with_the_ratio(allocate: str, tiny_model: Any, statistics: Statistics) -> None:
    predicted = [
        predicted_loss(tiny_model, statistics, ratio=ratio, allocate=allocate) for ratio in (0.1, 0.3, 0.6, 0.9)
    ]
    assert predicted == sorted(set(predicted), reverse=True)


@pytest.mark.parametrize("size", [{"ratio": 0.15}, {"ratio": 0.5}, {"params": 16_000}])
def test_ranks_of_one_budget_predict_a_smaller_rise_than_the_same_rank_everywhere(
    size: dict[str, Any], tiny_model: Any, statistics: Statistics
) -> None:
    greedy, uniform = (predicted_loss(tiny_model, statistics, **size, allocate=name) for name in ALLOCATORS)
    assert greedy < 0.95 * uniform
    assert predicted_loss(tiny_model, statistics, **size) == greedy


@pytest.mark.parametrize("allocate", ALLOCATORS)
def test_limits_of_the_ranks_are_kept(allocate: str, tiny_model: Any, batches: Batches) -> None:
    limits = RankLimits(multiple=3, smallest=4, largest=10, keep_dense=("*.0.attention.*",))
    ranks = fe.compress(tiny_model, batches, ratio=0.6, allocate=allocate, limits=limits).config.low_rank["ranks"]
    names = [layer.name for layer in encoder_of(tiny_model).layers if ".0.attention." not in layer.name]
    assert sorted(ranks) == sorted(names)
    assert set(ranks.values()) <= {6, 9}


@pytest.mark.parametrize(
    ("method", "size", "allocate", "expected"),
    [
        ("kfac", {"ratio": 0.5}, None, "greedy"),
        ("kfac", {"params": 9000}, None, "greedy"),
        ("kfac", {"rank": 4}, None, "uniform"),
        ("kfac", {"ratio": 0.5}, "uniform", "uniform"),
        *((name, {"ratio": 0.5}, None, "uniform") for name in SOLVERS if name != "kfac"),
    ],
)
def test_the_way_of_a_budget_is_the_methods_own_unless_asked_for(
    method: str, size: dict[str, Any], allocate: str | None, expected: str
) -> None:
    assert allocator_of(SOLVERS[method], RankRequest(Budget(**size), allocate)) == expected


def test_kfac_predicts_less_rise_of_the_loss_for_its_own_factors_than_for_svd(
    tiny_model: Any, statistics: Statistics
) -> None:
    @torch.no_grad()
    def predicted(small: Any) -> float:
        total = 0.0
        for name, sums in statistics.layers.items():
            factors = small.bert.get_submodule(name)
            error = tiny_model.bert.get_submodule(name).weight - factors.up.weight @ factors.down.weight
            total += float((error @ sums.input_gram @ error.T @ sums.gradient_gram).trace())
        return total

    kfac = fe.compress(tiny_model, statistics=statistics, method="kfac", rank=6, reconstruct=False)
    assert predicted(kfac) < 0.8 * predicted(fe.compress(tiny_model, method="svd", rank=6))


def test_both_orientations_of_fwsvd_can_be_chosen(tiny_model: Any, statistics: Statistics) -> None:
    digests = {
        weights_sha256(fe.compress(tiny_model, statistics=statistics, method="fwsvd", rank=5, fisher_axis=axis))
        for axis in ("input", "output")
    }
    assert len(digests) == 2
    by_option = fe.compress(
        tiny_model, statistics=statistics, method="fwsvd", rank=5, solver_options={"axis": "output"}
    )
    by_default = fe.compress(tiny_model, statistics=statistics, method="fwsvd", rank=5)
    assert digests == {weights_sha256(by_option), weights_sha256(by_default)}


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"method": "magic", "rank": 4}, RankError, "method 'magic': one of " + ", ".join(SOLVERS)),
        (
            {"method": "svd", "rank": 4, "allocate": "magic"},
            RankError,
            r"allocate 'magic': one of greedy, uniform is allowed",
        ),
        ({"method": "svd", "rank": 4, "cost": "time"}, RankError, r"cost 'time': one of params, flops, latency"),
        (
            {"method": "kfac", "rank": 4, "allocate": "greedy"},
            RankError,
            r"greedy shares a budget .*, and --rank gives all the same; give --ratio",
        ),
        *(
            (
                {"method": method, "ratio": 0.5, "allocate": "greedy"},
                RankError,
                rf"which method {method} does not give; use --method kfac, or --allocate uniform",
            )
            for method in SOLVERS
            if method != "kfac"
        ),
        (
            {"method": "svd", "rank": 4, "limits": RankLimits(keep_dense=("*.pooler",))},
            RankError,
            r"keep-dense '\*\.pooler' matches no layer; names look like encoder\.layer\.0\.attention\.self\.query",
        ),
        ({"method": "svd"}, RankError, r"give exactly one of ratio, rank and params"),
        ({"method": "svd", "rank": 4, "ratio": 0.5}, RankError, r"ratio and rank given"),
        (
            {"method": "svd", "rank": 33},
            RankError,
            r"rank 33 for .*\.0\.attention\.self\.query: at most 32",
        ),
        ({"method": "svd", "params": 10}, RankError, r"leaves 0 linear weights"),
        ({"method": "kfac", "rank": 4}, StatisticsError, r"kfac needs statistics: give task data or a statistics file"),
    ],
)
def test_wrong_requests_are_refused(
    given: dict[str, Any], error: type[Exception], message: str, tiny_model: Any
) -> None:
    with pytest.raises(error, match=message):
        fe.compress(tiny_model, **given)


def test_an_unknown_orientation_is_refused(tiny_model: Any, statistics: Statistics) -> None:
    with pytest.raises(SolverOptionError, match="axis=sideways: input or output is allowed"):
        fe.compress(tiny_model, statistics=statistics, method="fwsvd", rank=4, fisher_axis="sideways")


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        ("svd", {}, "axis output is for method fwsvd, and the method is svd"),
        ("kfac", {}, "axis output is for method fwsvd, and the method is kfac"),
        ("fwsvd", {"axis": "input"}, "axis output and solver option axis=input contradict"),
    ],
)
def test_an_orientation_that_nothing_can_be_done_with_is_refused(
    method: str, given: dict[str, str], message: str, tiny_model: Any
) -> None:
    with pytest.raises(SolverOptionError, match=message):
        fe.compress(tiny_model, method=method, rank=4, fisher_axis="output", solver_options=given)


def test_statistics_of_another_model_are_refused(tiny_model: Any, statistics: Statistics) -> None:
    with torch.no_grad():
        tiny_model.classifier.bias += 1
    with pytest.raises(StatisticsError, match="the statistics belong to another model"):
        fe.compress(tiny_model, statistics=statistics, rank=4)


def test_statistics_that_lack_rows_name_what_to_collect(tiny_model: Any, batches: Batches) -> None:
    kfac_only = fe.collect_statistics(tiny_model, batches, collect=("kfac",))
    with pytest.raises(StatisticsError, match=r"fwsvd needs row statistics.*--collect kfac,row"):
        fe.compress(tiny_model, statistics=kfac_only, method="fwsvd", rank=4)


@pytest.mark.parametrize(("method", "iterations"), [("em", "3"), ("nesterov", 3), ("anderson", 3), ("als", 3)])
def test_options_of_an_iterative_method_are_obeyed(
    method: str, iterations: int | str, tiny_model: Any, batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    solved: dict[str, Solution] = {}

    def solve(*arguments: Any, **options: Any) -> dict[str, Solution]:
        solved.update(solve_layers(*arguments, **options))
        return solved

    monkeypatch.setattr("fwsvd_export.compression.prepare.solve_layers", solve)
    options = {"max_iterations": iterations, "tolerance": 0}
    small = fe.compress(tiny_model, batches, method=method, rank=6, solver_options=options)
    assert {len(solution.trace) for solution in solved.values()} == {4}
    assert {solution.settled for solution in solved.values()} == {False}
    longer = fe.compress(tiny_model, batches, method=method, rank=6, solver_options={"max_iterations": 30})
    assert weights_sha256(small) != weights_sha256(longer)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (
            "als",
            {"sweeps": 3},
            "solver option sweeps: method als knows start, max_iterations, tolerance, warm_up, damping, relaxation",
        ),
        ("svd", {"start": "row"}, "solver option start: method svd is exact and takes no options"),
        ("em", {"max_iterations": None}, "solver option max_iterations=None: a whole number is allowed"),
        ("em", {"max_iterations": 2.5}, "solver option max_iterations=2.5: a whole number is allowed"),
        ("em", {"max_iterations": float("inf")}, "solver option max_iterations=inf: a whole number is allowed"),
        ("em", {"tolerance": [1]}, r"solver option tolerance=\[1\]: a number is allowed"),
    ],
)
def test_options_that_a_method_does_not_take_are_refused(
    method: str, options: dict[str, Any], message: str, tiny_model: Any
) -> None:
    with pytest.raises(SolverOptionError, match=message):
        fe.compress(tiny_model, method=method, rank=4, solver_options=options)


def test_a_compressed_model_is_not_compressed_again(tiny_model: Any) -> None:
    small = fe.compress(tiny_model, method="svd", rank=4)
    with pytest.raises(UnsupportedModelError, match="already compressed"):
        fe.compress(small, method="svd", rank=2)


def test_a_layer_the_task_never_uses_is_reported(tiny_model: Any, batches: Batches) -> None:
    with torch.no_grad():
        tiny_model.bert.encoder.layer[1].output.dense.weight.zero_()
    statistics = fe.collect_statistics(tiny_model, batches)
    made = compress_model(inputs_of(tiny_model, "kfac", RankRequest(Budget(rank=4)), statistics))
    status = {report.name: report.status for report in made.report.layers}
    assert "never uses this layer" in status["encoder.layer.1.intermediate.dense"]
    assert status["encoder.layer.0.intermediate.dense"] == "exact"
