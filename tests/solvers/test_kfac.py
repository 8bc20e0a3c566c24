from __future__ import annotations

import torch
from torch import Tensor

from fwsvd_export.linalg.decomposition import truncate
from fwsvd_export.records import Decomposition, InputGram, Kronecker
from fwsvd_export.solvers.activation import decompose_input_gram
from fwsvd_export.solvers.kfac import decompose_kronecker


def matrix(rows: int, columns: int, seed: int) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def gram_of(size: int, seed: int) -> Tensor:
    return matrix(size, 3 * size, seed) @ matrix(size, 3 * size, seed).T


def product(decomposition: Decomposition, rank: int = 3) -> Tensor:
    factors = truncate(decomposition, rank, "layer")
    return factors.up.double() @ factors.down.double()


def test_constant_gradient_statistics_turn_kfac_into_activation() -> None:
    weight, gram = matrix(6, 10, 0), gram_of(10, 1)
    kronecker = product(decompose_kronecker(weight, Kronecker(gram, 5 * torch.eye(6)), "layer"))
    activation = product(decompose_input_gram(weight, InputGram(gram), "layer"))
    torch.testing.assert_close(kronecker, activation, rtol=0, atol=1e-5)


def test_exchanging_the_sides_transposes_the_answer_up_to_the_damping() -> None:
    weight, inputs, gradients = matrix(6, 10, 0), gram_of(10, 1), gram_of(6, 2)
    one = decompose_kronecker(weight, Kronecker(inputs, gradients), "layer")
    other = decompose_kronecker(weight.T, Kronecker(gradients, inputs), "layer")
    torch.testing.assert_close(product(one), product(other).T, rtol=0, atol=0.05)


def test_the_counts_turn_sums_into_means() -> None:
    weight, inputs, gradients = matrix(6, 10, 0), gram_of(10, 1), gram_of(6, 2)
    sums = decompose_kronecker(weight, Kronecker(inputs, gradients, tokens=12, examples=5), "layer")
    means = decompose_kronecker(weight, Kronecker(inputs / 12, gradients / 5), "layer")
    torch.testing.assert_close(sums.losses, means.losses, rtol=1e-5, atol=1e-8)
