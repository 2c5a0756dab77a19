"""Two arms prompt by prompt: the boundary of each prompt under both, and prompts lost and gained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rlvrscope.arrays import Floats
from rlvrscope.lab.recipe import BOUNDARY_K
from rlvrscope.stats import TrainingRun, at_gain, pass_at_k_exact

if TYPE_CHECKING:
    from rlvrscope.experiment.findings import Findings

SUCCESS_BINS = (
    (f"below 1/{BOUNDARY_K}", 1.0 / BOUNDARY_K),
    (f"1/{BOUNDARY_K} to .03", 0.03),
    (".03 to .1", 0.1),
    (".1 to .5", 0.5),
    (".5 and above", np.inf),
)
"""Bins of the base's P(right): name, upper end."""
ALL_PROMPTS = "all prompts"
IN_REACH = 0.5
"""A prompt is in reach from this pass@BOUNDARY_K on."""
BASE = "base"


@dataclass(frozen=True, eq=False)
class PromptPair:
    """An arm against another arm or the base, after training (gain None) or where each run had gained `gain` in pass@1.

    One entry per base and prompt, mean over seeds. success_N: P(right) under the base; before_N: its boundary;
    arm_N, against_N: boundary under the two; NaN where a run is missing or never reached the gain.
    """

    arm: str
    against: str
    gain: float | None
    base_N: list[int]
    prompt_N: list[int]
    success_N: Floats
    before_N: Floats
    arm_N: Floats
    against_N: Floats


@dataclass(frozen=True)
class PromptCounts:
    """Prompts of one success bin, with means of the boundary and numbers of prompts lost and gained.

    Lost: in reach of the base and out of reach of the model; gained: the other way round.
    """

    success_bin: str
    prompts: int
    before: float
    arm: float
    against: float
    lost_by_arm_only: int
    lost_by_against_only: int
    lost_by_both: int
    gained_by_arm_only: int
    gained_by_against_only: int
    gained_by_both: int


def prompt_pairs(findings: Findings, gain: float | None = None) -> list[PromptPair]:
    """The stated pairs with a base in common; without any, every arm against the base."""
    stated = [(pair.arm, pair.against) for pair in findings.equal.pairs if pair.bases]
    pairs = stated or [(arm, BASE) for arm in findings.experiment.arms]
    return [_pair(findings, arm, against, gain) for arm, against in pairs]


def success_bin(success: float) -> str:
    return next(name for name, upper in SUCCESS_BINS if success < upper)


def prompt_counts(pair: PromptPair) -> list[PromptCounts]:
    """Counts by success bin, then over all prompts; empty where the pair is undefined on every prompt."""
    known_N = np.isfinite(pair.arm_N) & np.isfinite(pair.against_N)
    if not known_N.any():
        return []
    bin_N = np.array([success_bin(success) for success in pair.success_N.tolist()])
    masks = {name: known_N & (bin_N == name) for name, _ in SUCCESS_BINS}
    return [_counts(pair, name, mask_N) for name, mask_N in (masks | {ALL_PROMPTS: known_N}).items() if mask_N.any()]


def _counts(pair: PromptPair, name: str, mask_N: NDArray[np.bool_]) -> PromptCounts:
    before_N, arm_N, against_N = (values[mask_N] for values in (pair.before_N, pair.arm_N, pair.against_N))
    was_N, arm_in_N, against_in_N = (values >= IN_REACH for values in (before_N, arm_N, against_N))
    return PromptCounts(
        name,
        int(mask_N.sum()),
        float(before_N.mean()),
        float(arm_N.mean()),
        float(against_N.mean()),
        lost_by_arm_only=int((was_N & ~arm_in_N & against_in_N).sum()),
        lost_by_against_only=int((was_N & arm_in_N & ~against_in_N).sum()),
        lost_by_both=int((was_N & ~arm_in_N & ~against_in_N).sum()),
        gained_by_arm_only=int((~was_N & arm_in_N & ~against_in_N).sum()),
        gained_by_against_only=int((~was_N & ~arm_in_N & against_in_N).sum()),
        gained_by_both=int((~was_N & arm_in_N & against_in_N).sum()),
    )


def _pair(findings: Findings, arm: str, against: str, gain: float | None) -> PromptPair:
    bases, successes = [], []
    for run in findings.experiment.starts:
        bases.append(run.base)
        successes.append(run.success_SP()[0])
    sides = [list(_boundaries(findings, name, gain, bases, successes)) for name in (arm, against)]
    number = len(successes[0])
    return PromptPair(
        arm,
        against,
        gain,
        base_N=[base for base in bases for _ in range(number)],
        prompt_N=[prompt for _ in bases for prompt in range(number)],
        success_N=np.concatenate(successes),
        before_N=np.concatenate([_boundary_P(success_P) for success_P in successes]),
        arm_N=np.concatenate(sides[0]),
        against_N=np.concatenate(sides[1]),
    )


def _boundaries(
    findings: Findings, name: str, gain: float | None, bases: Sequence[int], successes: Sequence[Floats]
) -> Iterator[Floats]:
    """(P,) boundary of each prompt, one array per base, mean over the base's seeds."""
    for base, success_P in zip(bases, successes, strict=True):
        runs = [run for run in findings.equal.arms.get(name, ()) if run.base == str(base)]
        if name == BASE:
            yield _boundary_P(success_P)
        elif not runs:
            yield np.full(len(success_P), np.nan)
        else:
            yield np.mean([_boundary_at(run, gain) for run in runs], axis=0)


def _boundary_at(run: TrainingRun, gain: float | None) -> Floats:
    return _boundary_P(run.success_SP[-1]) if gain is None else at_gain(run, BOUNDARY_K, gain)


def _boundary_P(success_P: Floats) -> Floats:
    return pass_at_k_exact(success_P, [BOUNDARY_K])[:, 0]
