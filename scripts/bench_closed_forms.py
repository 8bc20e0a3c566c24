"""The closed-form solvers over all layers of BERT-base, next to one ``torch.linalg.svd`` per layer in the same run.

    python scripts/bench_closed_forms.py

Weights are random, the statistics' inputs span only half of the input dimensions (so that their Grams are singular).
Every method takes its turn in every round; the losses of the factors are measured in float64 against a reference that
whitens by explicit square roots and takes a float64 SVD. Prints one JSON object last.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import torch
from torch import Tensor
from transformers import BertConfig, BertModel

from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.compression.norms import build_norm
from fwsvd_export.compression.solve import solve_layers
from fwsvd_export.linalg.weighting import GRADIENT_DAMPING, INPUT_DAMPING, ROW_DAMPING
from fwsvd_export.ranks.uniform import plan_uniform
from fwsvd_export.records import (
    Budget,
    InputGram,
    Kronecker,
    LayerSpec,
    LayerStatistics,
    RowWeights,
    Statistics,
    StatisticsSource,
)
from fwsvd_export.solvers.solver import ClosedForm
from fwsvd_export.solvers.table import SOLVERS

EXAMPLES = 64
CLOSED_FORMS = {name: solver for name, solver in SOLVERS.items() if isinstance(solver, ClosedForm)}


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--hidden", type=int, default=768)
    parser.add_argument("--ratio", type=float, default=0.25)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=100,
        hidden_size=arguments.hidden,
        intermediate_size=4 * arguments.hidden,
        num_hidden_layers=arguments.layers,
        num_attention_heads=arguments.hidden // 64,
    )
    model = BertModel(config).eval()
    layers = encoder_of(model).layers
    statistics = deficient_statistics(layers)
    plan = plan_uniform(layers, Budget(ratio=arguments.ratio), 0)
    weights = {layer.name: model.get_submodule(layer.name).weight.detach() for layer in layers}

    seconds = dict.fromkeys(["torch.linalg.svd", *CLOSED_FORMS], 0.0)
    solutions: dict[str, Any] = {}
    for round_number in range(arguments.rounds + 1):  # the first is a warm-up
        start = time.perf_counter()
        for weight in weights.values():
            torch.linalg.svd(weight, full_matrices=False)
        taken = {"torch.linalg.svd": time.perf_counter() - start}
        for name, solver in CLOSED_FORMS.items():
            start = time.perf_counter()
            solutions[name] = solve_layers(encoder_of(model), solver, statistics, plan)
            taken[name] = time.perf_counter() - start
        if round_number:
            seconds = {name: value + taken[name] for name, value in seconds.items()}
    errors = {
        name: max(
            loss_error(
                weights[layer.name], build_norm(solver, statistics, layer.name, solver.options()), solution.factors
            )
            for layer in (layers[0], layers[4], layers[5])
            if (solution := solutions[name][layer.name]).factors is not None
        )
        for name, solver in CLOSED_FORMS.items()
    }
    reference = seconds["torch.linalg.svd"]
    result = {
        "layers": len(layers),
        "hidden": arguments.hidden,
        "threads": torch.get_num_threads(),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "ratio_to_torch_svd": {name: round(value / reference, 2) for name, value in seconds.items()},
        "largest_relative_loss_error": {name: float(f"{error:.2e}") for name, error in errors.items()},
    }
    print(json.dumps(result))


def deficient_statistics(layers: list[LayerSpec]) -> Statistics:
    """Heavy-tailed statistics whose inputs and gradients span half of the dimensions; layers share input Grams."""
    grams: dict[str, Tensor] = {}
    records = {}
    for layer in layers:
        if layer.reads not in grams:
            grams[layer.reads] = half_rank_gram(layer.in_features)
        records[layer.name] = LayerStatistics(
            input_gram=grams[layer.reads],
            gradient_gram=half_rank_gram(layer.out_features),
            row_input=torch.randn(layer.in_features).exp(),
            row_output=torch.randn(layer.out_features).exp(),
        )
    source = StatisticsSource(model_sha256="random")
    return Statistics(records, EXAMPLES, EXAMPLES, ("kfac", "row"), source)


def half_rank_gram(size: int) -> Tensor:
    """Sum of outer products of size // 2 vectors whose scales are log-normal."""
    vectors = torch.randn(size // 2, size) * torch.randn(size // 2, 1).exp()
    return vectors.T @ vectors


def loss_error(weight: Tensor, norm: Any, factors: Any) -> float:
    """Relative excess of the factors' loss over the float64 optimum of the same rank."""
    output, inputs = reference_roots(norm)
    dense = weight.double()
    whitened = multiply(output, dense, inputs)
    optimum = torch.linalg.svdvals(whitened)[factors.rank :].square().sum()
    rest = multiply(output, dense - factors.up.double() @ factors.down.double(), inputs)
    return float((rest.square().sum() - optimum).abs() / optimum)


def reference_roots(norm: Any) -> tuple[Tensor | None, Tensor | None]:
    """Symmetric float64 square roots of the damped output and input weightings."""
    if isinstance(norm, Kronecker):
        return symmetric_root(norm.gradient_gram, GRADIENT_DAMPING), symmetric_root(norm.input_gram, INPUT_DAMPING)
    if isinstance(norm, InputGram):
        return None, symmetric_root(norm.gram, INPUT_DAMPING)
    if isinstance(norm, RowWeights):
        return None, symmetric_root(torch.diag(norm.weights), ROW_DAMPING)
    return None, None


def symmetric_root(gram: Tensor, damping: float) -> Tensor:
    """Square root of gram + damping * mean(diagonal) * I."""
    values, vectors = torch.linalg.eigh(gram.double())
    return vectors * (values.clamp_min(0) + damping * gram.double().diagonal().mean()).sqrt() @ vectors.T


def multiply(left: Tensor | None, matrix: Tensor, right: Tensor | None) -> Tensor:
    """Left @ matrix @ right, where there are any."""
    if left is not None:
        matrix = left @ matrix
    return matrix if right is None else matrix @ right


if __name__ == "__main__":
    main()
