"""Copies among samples: texts that come again because they were written again, not drawn again.

Servers with one seed and resumed runs that appended their rows write each text of a problem the same number of times.
Independent samples do not: the number of times that a text comes is random. So the evidence for g copies of everything
is that g divides the number of times of every text: one in g would by chance, for all texts of a problem but the last.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rlvrscope.arrays import Ints
from rlvrscope.tables.table import Column
from rlvrscope.tables.values import message_text

Mask = NDArray[np.bool_]
MIN_EVIDENCE_BITS = 10.0
"""Copies are claimed where chance would do the same once in 2^10."""
MAX_SAMPLES = 1 << 21
"""Beyond this many samples those of every second problem are looked at, then of every fourth, and so on."""
MIN_LONG_TEXT = 200
"""Characters from which a text that comes twice is taken for a copy: short ones repeat by themselves."""


@dataclass(frozen=True)
class Copies:
    """Copies among `samples` samples with texts.

    problems: those with samples, once for each model, step and run. distinct: different texts of a problem, summed over
    problems. each: every text comes a multiple of this many times; 1 where there is no such number, or too little
    evidence. long_repeats: samples that repeat a long text of the same problem.
    """

    samples: int
    problems: int
    distinct: int
    each: int
    long_repeats: int

    @property
    def all_alike(self) -> bool:
        """True if no problem has two different texts, as from greedy decoding."""
        return self.distinct == self.problems < self.samples


@dataclass
class CopyFinder:
    """Collects a hash of each sample's text, with its problem: 13 bytes a sample. Empty texts are left aside.

    every: the samples of every such problem are looked at, which bounds memory.
    """

    keys: dict[Hashable, int] = field(default_factory=dict)
    problems: list[NDArray[np.int32]] = field(default_factory=list)
    hashes: list[Ints] = field(default_factory=list)
    long: list[Mask] = field(default_factory=list)
    seen: dict[tuple[int, int], bool] = field(default_factory=dict)
    every: int = 1

    def add(self, keys_C: Sequence[Hashable], code_B: Ints, text: Column) -> None:
        """Add a batch of samples. keys_C: the C problems of the batch; code_B: the problem of each sample."""
        problem_B = self._problems(keys_C, code_B)
        looked_B = problem_B % self.every == 0
        problem_B, (hash_B, length_B) = problem_B[looked_B], _coded(text.select(looked_B))
        has_B = length_B > 0
        self.problems.append(problem_B[has_B].astype(np.int32))
        self.hashes.append(hash_B[has_B])
        self.long.append(length_B[has_B] >= MIN_LONG_TEXT)
        if sum(map(len, self.hashes)) > MAX_SAMPLES:
            self.every *= 2
            keep = [problem_N % self.every == 0 for problem_N in self.problems]
            self.hashes = [hash_N[keep_N] for hash_N, keep_N in zip(self.hashes, keep, strict=True)]
            self.long = [long_N[keep_N] for long_N, keep_N in zip(self.long, keep, strict=True)]
            self.problems = [problem_N[keep_N] for problem_N, keep_N in zip(self.problems, keep, strict=True)]

    def first_of_each(
        self, keys_C: Sequence[Hashable], code_B: Ints, text: Column, correct_B: Mask
    ) -> tuple[Mask, Mask]:
        """Return (B,): is it the first sample of its problem with this text, and is it right where that was not, or the
        other way round; remembers all.
        """
        problem_B, (hash_B, length_B) = self._problems(keys_C, code_B), _coded(text)
        first_B, contradicts_B = np.ones(len(code_B), dtype=bool), np.zeros(len(code_B), dtype=bool)
        rows = zip(problem_B.tolist(), hash_B.tolist(), correct_B.tolist(), strict=True)
        for row, (problem, code, correct) in enumerate(rows):
            if length_B[row]:
                first_B[row] = (problem, code) not in self.seen
                contradicts_B[row] = self.seen.setdefault((problem, code), correct) != correct
        return first_B, contradicts_B

    def copies(self) -> Copies | None:
        """Return what the samples so far say of copies; None without texts."""
        if not sum(map(len, self.hashes)):
            return None
        problem_N, hash_N, long_N = map(np.concatenate, (self.problems, self.hashes, self.long))
        order = np.lexsort((hash_N, problem_N))
        problem_N, hash_N = problem_N[order], hash_N[order]
        new_N = np.ones(len(order), dtype=bool)
        new_N[1:] = (problem_N[1:] != problem_N[:-1]) | (hash_N[1:] != hash_N[:-1])
        start_D = np.flatnonzero(new_N)
        times_D = np.diff(start_D, append=len(order))
        problems, each = len(np.unique(problem_N)), int(np.gcd.reduce(times_D))
        evidence = (len(start_D) - problems) * np.log2(each)
        return Copies(
            samples=len(order),
            problems=problems,
            distinct=len(start_D),
            each=each if evidence >= MIN_EVIDENCE_BITS else 1,
            long_repeats=int((times_D - 1)[long_N[order][start_D]].sum()),
        )

    def _problems(self, keys_C: Sequence[Hashable], code_B: Ints) -> Ints:
        """(B,) number of each sample's problem, in order of appearance."""
        return np.array([self.keys.setdefault(key, len(self.keys)) for key in keys_C], dtype=np.int64)[code_B]


def _coded(text: Column) -> tuple[Ints, Ints]:
    """(B,) hash of each text, and its length."""
    code_V, inverse_B = np.unique(text.code_B, return_inverse=True)
    texts = [message_text(text.values[code]) for code in code_V.tolist()]
    hash_V, length_V = (np.array([of(value) for value in texts], dtype=np.int64) for of in (hash, len))
    return hash_V[inverse_B], length_V[inverse_B]
