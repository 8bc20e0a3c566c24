"""Whether a size can be met, and what of it lies outside the linear layers."""

from __future__ import annotations

from fractions import Fraction

from fwsvd_export.architectures.counts import total_parameters
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.compression.checks import allocator_of, widths_of
from fwsvd_export.errors import RankError
from fwsvd_export.ranks.cost import factor_weights
from fwsvd_export.ranks.uniform import plan_uniform
from fwsvd_export.records import LayerSpec, RankRequest
from fwsvd_export.solvers.solver import Solver
from fwsvd_export.wording import counted


def check_size(encoder: Encoder, solver: Solver, size: RankRequest) -> None:
    """Refuses, before any long work, a size that the layers cannot meet.

    Raises:
        RankError: as the plan itself would.
    """
    allocator_of(solver, size)
    widths_of(encoder, solver, size)
    plan_uniform(encoder.layers, size.budget, parameters_beside(encoder, size), size.limits)


def parameters_beside(encoder: Encoder, size: RankRequest) -> int:
    """Parameters of the compressed model that are no weights of compressible layers.

    Raises:
        RankError: word embeddings that not even the smallest rank makes small enough.
    """
    beside = total_parameters(encoder.model) - sum(layer.weights for layer in encoder.layers)
    rank, table = embedding_rank(encoder.embedding, size), encoder.embedding
    return beside if rank is None else beside - table.weights + factor_weights(table, rank)


def embedding_rank(table: LayerSpec, size: RankRequest) -> int | None:
    """The largest rank whose factors keep to ``size.embeddings``; None keeps the table, also where all of it may stay.

    Raises:
        RankError: not even the smallest rank does.
    """
    if size.embeddings is None or size.embeddings == 1:
        return None
    allowed = int(Fraction(str(size.embeddings)) * table.weights)
    multiple = size.limits.multiple
    rank = min(allowed // factor_weights(table, 1), table.smaller_side) // multiple * multiple
    if rank < 1:
        enough = -(-factor_weights(table, multiple) * 10_000 // table.weights) / 10_000
        raise RankError(
            f"embeddings {size.embeddings:g} leaves {counted(allowed, 'weight')}, less than rank {multiple} needs "
            f"({factor_weights(table, multiple):,}); ask for at least {enough:g}"
        )
    return rank
