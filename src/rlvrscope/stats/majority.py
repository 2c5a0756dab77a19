"""maj@k: probability that the majority answer of k samples is correct."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, xlog1py, xlogy

from rlvrscope.arrays import Floats, Ints
from rlvrscope.errors import InputError
from rlvrscope.stats.passk import check_ks

Complex = NDArray[np.complex128]


def majority_at_k(
    answers_PG: Sequence[Sequence[str | None]], correct_PG: Sequence[Sequence[bool]], ks: Sequence[int]
) -> Floats:
    """Exact maj@k of each problem: the probability that the most frequent answer among k samples is correct.

    Averages over all subsets of k samples. Rules: all correct samples count as one answer, however they are written;
    ties for the most votes are broken at random; a sample without an answer (None) is drawn but has no vote; without
    any vote the majority is wrong. NaN where a problem has n < k.

    Votes in a random subset are multivariate hypergeometric: independent Binomial(n_a, k/n) given that they sum to k.
    With b_a(j) their probabilities,

        P = sum_m b_right(m) int_0^1 [x^(k-m)] prod_{a wrong} (sum_{j<m} b_a(j) x^j + s b_a(m) x^m) b_none(x) ds
            / Binomial(n, k/n)(k)

    where s marks ties: the integral of s^t is 1 / (1 + t), the right answer's share of a tie with t others.

    answers_PG, correct_PG: a row per problem, rows of any length. Returns (P, K).
    Raises InputError for rows that do not match, or a correct sample without an answer.
    """
    ks_K = check_ks(ks)
    if len(answers_PG) != len(correct_PG):
        raise InputError(f"one row a problem on both sides; got {len(answers_PG)} and {len(correct_PG)}")
    result_PK = np.full((len(answers_PG), len(ks_K)), np.nan)
    votes_P = [_votes(*row, index) for index, row in enumerate(zip(answers_PG, correct_PG, strict=True))]
    alike = sorted(range(len(votes_P)), key=lambda row: (len(answers_PG[row]), votes_P[row][0]))  # for the cache
    for column, k in enumerate(ks_K):
        for row in alike:
            if k <= len(answers_PG[row]):
                result_PK[row, column] = _majority(*votes_P[row], int(k))
    return result_PK


def _votes(answers_G: Sequence[str | None], correct_G: Sequence[bool], row: int) -> tuple[int, Counter[int], int]:
    """(correct samples, number of wrong answers by their votes, samples without an answer)."""
    if len(answers_G) != len(correct_G):
        raise InputError(f"problem {row} has {len(answers_G)} answers and {len(correct_G)} marks; give one a sample")
    if any(mark and answer is None for answer, mark in zip(answers_G, correct_G, strict=True)):
        raise InputError(f"problem {row} has a correct sample without an answer: give the answer, or mark it wrong")
    votes = Counter(answer for answer, mark in zip(answers_G, correct_G, strict=True) if not mark)
    none = votes.pop(None, 0)
    return sum(map(bool, correct_G)), Counter(votes.values()), none


def _majority(right: int, wrong: Counter[int], none: int, k: int) -> float:
    n = right + none + sum(votes * answers for votes, answers in wrong.items())
    max_votes = min(right, k)
    if max_votes == 0:
        return 0.0
    if k == n:  # a single subset
        top = max(wrong, default=0)
        return 1.0 if right > top else 1.0 / (1 + wrong[top]) if right == top else 0.0
    share, cells = k / n, _cells(n - right, k)
    frequency_F = np.arange(cells // 2 + 1)
    terms = {votes: _terms(votes, share, cells) for votes in wrong}
    none_F = _terms(none, share, cells)[1][-1]
    weight_F = np.where((frequency_F == 0) | (2 * frequency_F == cells), 1.0, 2.0) / cells  # the rest are conjugates
    votes_M = np.arange(1, max_votes + 1)
    votes_M = votes_M[k - votes_M < cells]
    right_M = _binomial(votes_M, right, share)
    nodes_M = _tie_nodes(wrong, votes_M, k)
    chance = 0.0
    for nodes in np.unique(nodes_M):
        same_M = votes_M[nodes_M == nodes]
        product_SMF = _no_more_than(same_M, terms, wrong, nodes) * none_F
        back_MF = weight_F * np.exp(2j * np.pi / cells * np.outer(k - same_M, frequency_F))
        weight_S = _gauss(int(nodes))[1]
        chance += weight_S @ np.einsum("smf,mf->sm", product_SMF, back_MF).real @ right_M[nodes_M == nodes]
    return float(np.clip(chance / _binomial(k, n, share), 0.0, 1.0))


@functools.cache
def _gauss(nodes: int) -> tuple[Floats, Floats]:
    """Gauss-Legendre nodes and weights on [0, 1]."""
    node_S, weight_S = np.polynomial.legendre.leggauss(nodes)
    return (node_S + 1.0) / 2.0, weight_S / 2.0


@functools.lru_cache(maxsize=128)
def _terms(votes: int, share: float, cells: int) -> tuple[Complex, Complex]:
    """(J, F) binomial probabilities b(j) times x^j at the frequencies of a transform of `cells` values; their sums.

    Most problems of a set share their numbers of votes.
    """
    turns_JF: Complex = np.exp(-2j * np.pi / cells * np.outer(np.arange(cells), np.arange(cells // 2 + 1)))
    terms_JF = _binomial(np.arange(cells), votes, share)[:, None] * turns_JF
    return terms_JF, np.cumsum(terms_JF, axis=0)


def _binomial(number: ArrayLike, draws: int, share: float) -> Floats:
    """Binomial probabilities of each `number` of successes; 0 above `draws`."""
    number = np.asarray(number, dtype=np.float64)
    inside = np.minimum(number, draws)
    ways = gammaln(draws + 1.0) - gammaln(inside + 1.0) - gammaln(draws - inside + 1.0)
    return np.where(number <= draws, np.exp(ways + xlogy(inside, share) + xlog1py(draws - inside, -share)), 0.0)


def _no_more_than(
    votes_M: Ints, terms: Mapping[int, tuple[Complex, Complex]], wrong: Counter[int], nodes: int
) -> Complex:
    """(S, M, F): the transform of prod_a (sum_{j<m} b_a(j) x^j + s b_a(m) x^m) at Gauss-Legendre nodes s on [0, 1]."""
    node_S = _gauss(int(nodes))[0]
    frequencies = next(iter(terms.values()))[0].shape[1] if terms else 1
    product_SMF = np.ones((nodes, len(votes_M), frequencies), dtype=complex)
    for votes, answers in wrong.items():
        terms_JF, upto_JF = terms[votes]
        below_MF = upto_JF[np.minimum(votes_M, len(upto_JF)) - 1]
        tie_MF = np.where((votes_M <= votes)[:, None], terms_JF[np.minimum(votes_M, len(upto_JF) - 1)], 0.0)
        product_SMF *= (below_MF + node_S[:, None, None] * tie_MF) ** answers
    return product_SMF


def _tie_nodes(wrong: Counter[int], votes_M: Ints, k: int) -> Ints:
    """Nodes that make the integral over s exact: half of the largest number of answers that can tie at m votes."""
    able_M = np.array([sum(answers for votes, answers in wrong.items() if votes >= m) for m in votes_M])
    return np.minimum(able_M, (k - votes_M) // votes_M) // 2 + 1


def _cells(others: int, k: int) -> int:
    """Length of the Fourier transform: one more than the votes of other answers, up to a probability below 1e-14."""
    return min(others, k + 12 * math.isqrt(k) + 12) + 1
