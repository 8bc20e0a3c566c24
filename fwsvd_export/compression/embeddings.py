"""The word embeddings under a budget of their own: a table of vocabulary x rank, and a projection to the full width.

One word's vector touches only the examples that hold the word, so the Fisher of the table is block-diagonal over words.
A word's block is approximated by its trace, the summed squared gradients at its tokens, times the gradients' second
moment of all words (normalised): row weights that are exact, and one shared weighting of directions.
"""

from __future__ import annotations

from torch import Tensor

from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.compression.solution import DENSE, truncated
from fwsvd_export.errors import StatisticsError
from fwsvd_export.linalg.decomposition import decompose
from fwsvd_export.linalg.weighting import GRADIENT_DAMPING, Weighting
from fwsvd_export.records import Solution, Statistics
from fwsvd_export.solvers.solver import Solver

# Added to every word's weight, as a share of the mean weight: most words of a vocabulary are in no calibration text,
# and still come in production.
WORD_DAMPING = 1.0


def solve_embedding(encoder: Encoder, solver: Solver, statistics: Statistics | None, rank: int | None) -> Solution:
    """The best factors of the table of word vectors: ``up`` (vocabulary, rank), ``down`` (rank, width).

    A method without statistics (svd) truncates the table by plain SVD too.

    Raises:
        StatisticsError: the statistics say nothing of the word embeddings.
    """
    table = encoder.embedding
    if rank is None:
        return DENSE
    weight: Tensor = encoder.module(table.name).weight.detach()
    if solver.needs is None or statistics is None:
        return truncated(decompose(weight, None, None, table.name), rank, table.name)
    if statistics.embedding is None:
        raise StatisticsError(
            "the statistics hold nothing of the word embeddings (an earlier version collected them); "
            "collect again with fwsvd-export fisher"
        )
    words = Weighting(statistics.embedding.row.to(weight.device), WORD_DAMPING, statistics.examples)
    gram = statistics.embedding.gradient_gram.to(weight.device)
    directions = Weighting(gram / gram.trace().clamp_min(1e-30), GRADIENT_DAMPING)
    return truncated(decompose(weight, words, directions, table.name), rank, table.name)
