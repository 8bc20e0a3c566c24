"""Which compressed models a sweep is of, their order, and the shares that several processes work on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from fwsvd_export.errors import SweepError, given, shown
from fwsvd_export.records import Budget
from fwsvd_export.sweep.result import TRAININGS, Training
from fwsvd_export.wording import counted


@dataclass(frozen=True)
class Cell:
    """One compressed model.

    Attributes:
        method: name of the solver.
        budget: with a ratio or a rank.
        training: "none", "finetuned" or "distilled".
        seed: of the calibration rows, and of training.

    Example:
        >>> print(Cell("kfac", Budget(ratio=0.25), "none", 1))
        kfac, ratio 0.25, seed 1
        >>> print(Cell("svd", Budget(rank=37), "distilled", 0))
        svd, rank 37, distilled, seed 0
    """

    method: str
    budget: Budget
    training: Training
    seed: int

    @property
    def start(self) -> Cell:
        """The model that training begins with; of one that is not trained, itself."""
        return replace(self, training="none")

    @property
    def line(self) -> str:
        """The row of a table that it stands in."""
        return self.method if self.training == "none" else f"{self.method}, {self.training}"

    @property
    def size(self) -> str:
        """The column of a table that it stands in."""
        return size_name(self.budget.ratio, self.budget.rank)

    def __str__(self) -> str:
        return f"{self.method}, {self.size}, {'' if self.training == 'none' else f'{self.training}, '}seed {self.seed}"


def size_name(ratio: float | None, rank: int | None) -> str:
    """What a size is called.

    Example:
        >>> size_name(0.1, None), size_name(None, 8)
        ('ratio 0.1', 'rank 8')
    """
    return f"rank {rank}" if ratio is None else f"ratio {ratio:g}"


@dataclass(frozen=True)
class Grid:
    """All combinations of methods, sizes, trainings and seeds.

    Attributes:
        methods: names of solvers.
        sizes: ratios or ranks.
        trainings: of ``TRAININGS``.
        seeds: from the smallest on.

    Raises:
        SweepError: one of them is empty, or holds something twice or unknown.
    """

    methods: tuple[str, ...]
    sizes: tuple[Budget, ...]
    trainings: tuple[Training, ...] = TRAININGS[:1]
    seeds: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        sizes = [size_name(size.ratio, size.rank) for size in self.sizes]
        named: dict[str, Sequence[object]] = {
            "method": self.methods,
            "size": sizes,
            "training": self.trainings,
            "seed": self.seeds,
        }
        for what, values in named.items():
            if not values:
                raise SweepError(f"no {what} is given: a sweep needs at least one")
            twice = [value for value in values if values.count(value) > 1]
            if twice:
                raise SweepError(f"{what} {twice[0]} is given twice; name each one once")
        if unknown := [training for training in self.trainings if training not in TRAININGS]:
            raise SweepError(f"training {shown(unknown[0])}: one of {', '.join(TRAININGS)} is allowed")

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All of them: the seeds of one model together, then trainings, sizes and methods."""
        return tuple(
            Cell(method, size, training, seed)
            for method, size, training, seed in product(self.methods, self.sizes, self.trainings, self.seeds)
        )

    def share(self, part: int, parts: int) -> tuple[Cell, ...]:
        """The cells at the places ``part``, ``part + parts``, … counted from 1.

        Raises:
            SweepError: no such share, or one without cells.

        Example:
            >>> grid = Grid(("svd", "kfac"), (Budget(ratio=0.5), Budget(ratio=0.25)))
            >>> [str(cell) for cell in grid.share(1, 3)]
            ['svd, ratio 0.5, seed 0', 'kfac, ratio 0.25, seed 0']
        """
        if not 1 <= part <= parts:
            raise SweepError(f"shard {given(part)}/{given(parts)}: I/N with 1 <= I <= N is allowed")
        cells = self.cells[part - 1 :: parts]
        if not cells:
            raise SweepError(
                f"shard {part}/{parts} has nothing to do, the grid has {counted(len(self.cells), 'cell')}; make fewer "
                "shards"
            )
        return cells
