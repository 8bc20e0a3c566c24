"""Expectation maximisation for element weights (Srebro & Jaakkola 2003, "Weighted low-rank approximations", section 3).

With F in [0, 1] the missing share of every element is filled in by the model: X <- SVD_r(F∘W + (1 - F)∘X). That is
X + t F∘(W - X) with t = 1 (1 / max F for other weights), which never raises the loss but hardly lowers it when most
weights are far below the largest. Two things make it converge here: the scaled problem (``problem.py``), and
over-relaxed steps (Salakhutdinov & Roweis 2003, "Adaptive overrelaxed bound optimization methods") whose length t is
the inverse curvature along the last move (Barzilai & Borwein 1988, equation 5).
"""

from torch import Tensor

from fwsvd_export.solvers.fill_in import FillIn
from fwsvd_export.solvers.problem import Iterate, Scaled


class Em(FillIn):
    """X <- nearest rank-r matrix to X + t F∘(W - X)."""

    def propose(self, problem: Scaled, current: Iterate) -> Iterate:
        """The next fill-in, projected."""
        filled = problem.target - current.residual + self.length[:, None, None] * current.pull
        return self._nearest(problem, filled)

    def learn(self, problem: Scaled, current: Iterate, candidate: Iterate, better: Tensor) -> None:
        """A new length for the next step."""
        move = current.residual - candidate.residual
        self._learn_length(problem, move, learn=better, shrink=~better)
