"""Counts: samples drawn and correct, per problem and training run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rlvrscope.arrays import Floats, Ints
from rlvrscope.errors import InputError

MAX_SAMPLES = 10_000_000
"""Largest number of samples per problem; pass@k is computed at every k up to it at once."""


@dataclass(frozen=True, eq=False, init=False)
class GroupCounts:
    """A model's counts of correct samples: a table with one row per problem and training run.

    problem: (N,) ids. n, c: (N,) samples drawn, and correct samples among them.
    Optional (N,) labels, None if absent: seed, the training seed of a row's model; base, the base model it was trained
    from; cluster, for problems that are not independent, such as variants of one (the same in every run).

    Raises InputError, naming the problem, unless counts are whole with 0 <= c <= n <= 10,000,000, each run has each
    problem exactly once, each problem is in one cluster, and all columns have the same length >= 1.

    >>> GroupCounts(["a", "b"], n=[8, 8], c=[1, 6]).problems
    ['a', 'b']
    """

    problem: tuple[str, ...]
    n: Ints
    c: Ints
    seed: tuple[str, ...] | None
    base: tuple[str, ...] | None
    cluster: tuple[str, ...] | None

    def __init__(
        self,
        problem: Sequence[Any],
        n: ArrayLike,
        c: ArrayLike,
        seed: Sequence[Any] | None = None,
        base: Sequence[Any] | None = None,
        cluster: Sequence[Any] | None = None,
    ) -> None:
        labels = {"problem": problem, "seed": seed, "base": base, "cluster": cluster}
        for name, values in labels.items():
            object.__setattr__(self, name, None if values is None else tuple(map(str, values)))
        object.__setattr__(self, "n", np.asarray(n))
        object.__setattr__(self, "c", np.asarray(c))
        self._check_columns()
        n_N, c_N = check_counts(self.n, self.c, self.problem)
        object.__setattr__(self, "n", n_N)
        object.__setattr__(self, "c", c_N)
        self._check_grid()

    def _check_columns(self) -> None:
        columns = {name: getattr(self, name) for name in ("problem", "n", "c", "seed", "base", "cluster")}
        lengths = {name: np.shape(values) for name, values in columns.items() if values is not None}
        if set(lengths.values()) != {(len(self.problem),)} or not len(self.problem):
            raise InputError(f"counts need columns of one length, at least 1; got {lengths}")

    def _check_grid(self) -> None:
        cells = list(zip(*self._labels, self.problem, strict=True))
        if len(set(cells)) < len(cells):
            seen: set[tuple[str, ...]] = set()
            *run, problem = next(cell for cell in cells if cell in seen or seen.add(cell))
            where = "".join(f", {name} {label!r}" for name, label in zip(("base", "seed"), run, strict=True) if label)
            raise InputError(f"a problem must occur once in a run; {problem!r}{where} occurs several times")
        if len(cells) != len(self.runs) * len(self.problems):
            present = set(cells)
            expected = ((*run, problem) for run in self.runs for problem in self.problems)
            base, seed, problem = next(cell for cell in expected if cell not in present)
            raise InputError(f"every training run needs every problem; base {base!r}, seed {seed!r} lacks {problem!r}")
        if self.cluster is not None and len(set(zip(self.problem, self.cluster, strict=True))) != len(self.problems):
            raise InputError("a problem must be in one cluster, the same in every run")

    @property
    def _labels(self) -> tuple[Sequence[str], Sequence[str]]:
        blank = ("",) * len(self.problem)
        return self.base or blank, self.seed or blank

    @cached_property
    def problems(self) -> list[str]:
        """P problem ids, in order of their first row."""
        return list(dict.fromkeys(self.problem))

    @cached_property
    def runs(self) -> list[tuple[str, str]]:
        """U training runs (base, seed), in order of their first row; absent labels are empty."""
        return list(dict.fromkeys(zip(*self._labels, strict=True)))

    @cached_property
    def run_share(self) -> Floats:
        """(U,) weight of each run in a mean: equal for bases, and for the seeds of a base."""
        bases = [base for base, _ in self.runs]
        return np.array([1.0 / (len(set(bases)) * bases.count(base)) for base in bases])

    @cached_property
    def clusters(self) -> Ints | None:
        """(P,) index of each problem's cluster, from 0; None without clusters."""
        if self.cluster is None:
            return None
        of = dict(zip(self.problem, self.cluster, strict=True))
        numbers = {label: index for index, label in enumerate(dict.fromkeys(of.values()))}
        return np.array([numbers[of[problem]] for problem in self.problems])

    @cached_property
    def grid(self) -> tuple[Ints, Ints]:
        """(n_UP, c_UP): counts with a row per run and a column per problem."""
        row = {run: index for index, run in enumerate(self.runs)}
        column = {problem: index for index, problem in enumerate(self.problems)}
        at = [row[run] for run in zip(*self._labels, strict=True)], [column[problem] for problem in self.problem]
        n_UP = np.empty((len(row), len(column)), dtype=np.int64)
        c_UP = np.empty_like(n_UP)
        n_UP[at], c_UP[at] = self.n, self.c
        return n_UP, c_UP

    @property
    def pooled(self) -> tuple[Ints, Ints]:
        """(n_P, c_P): counts per problem, summed over runs."""
        n_UP, c_UP = self.grid
        return n_UP.sum(axis=0), c_UP.sum(axis=0)

    def of_bases(self, bases: Collection[str]) -> GroupCounts:
        """Counts of the runs from these bases."""
        rows = [row for row, label in enumerate(self.base or ()) if label in bases]
        labels = {name: getattr(self, name) for name in ("seed", "base", "cluster")}
        return GroupCounts(
            [self.problem[row] for row in rows],
            np.asarray(self.n)[rows],
            np.asarray(self.c)[rows],
            **{name: None if label is None else [label[row] for row in rows] for name, label in labels.items()},
        )

    def select(self, problems: Sequence[str]) -> GroupCounts:
        """Counts of these problems, in this order, run by run."""
        n_UP, c_UP = self.grid
        column = {problem: index for index, problem in enumerate(self.problems)}
        picked = [column[problem] for problem in problems]
        cluster_of = dict(zip(self.problem, self.cluster, strict=True)) if self.cluster else None
        rows = [(base, seed, problem) for base, seed in self.runs for problem in problems]
        return GroupCounts(
            [problem for *_, problem in rows],
            n_UP[:, picked].ravel(),
            c_UP[:, picked].ravel(),
            seed=[seed for _, seed, _ in rows] if self.seed else None,
            base=[base for base, *_ in rows] if self.base else None,
            cluster=[cluster_of[problem] for *_, problem in rows] if cluster_of else None,
        )


def check_counts(
    num_samples_N: ArrayLike, num_correct_N: ArrayLike, problems: Sequence[str] | None = None
) -> tuple[Ints, Ints]:
    """Both as integers. Raises InputError naming the first problem without 0 <= correct <= samples."""
    n_N, c_N = np.asarray(num_samples_N), np.asarray(num_correct_N)
    if n_N.ndim != 1 or n_N.shape != c_N.shape:
        raise InputError(f"samples and correct need one count per problem each; got shapes {n_N.shape} and {c_N.shape}")
    if n_N.dtype.kind not in "iufb" or c_N.dtype.kind not in "iufb":
        raise InputError(f"counts must be numbers; got {n_N.dtype} and {c_N.dtype}")
    with np.errstate(invalid="ignore"):
        bad_N = ~(np.isfinite(n_N) & np.isfinite(c_N)) | (c_N < 0) | (c_N > n_N)
        bad_N |= (n_N != np.floor(n_N)) | (c_N != np.floor(c_N)) | (n_N > MAX_SAMPLES)
    if bad_N.any():
        i = int(np.argmax(bad_N))
        name = i if problems is None else repr(problems[i])
        raise InputError(
            f"counts must be whole, with 0 <= correct <= samples <= 10,000,000; problem {name} has {c_N[i]} of {n_N[i]}"
        )
    return n_N.astype(np.int64), c_N.astype(np.int64)
