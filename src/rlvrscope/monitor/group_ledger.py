"""What the rewards of rollout groups tell about the boundary on the training prompts: no texts, no further samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from rlvrscope.arrays import Floats
from rlvrscope.errors import InputError
from rlvrscope.runs.rows import LedgerRow

MAX_LEVELS = 16
"""Rewards with more different values than this have no levels: they are continuous."""


@dataclass
class GroupLedger:
    """Running ledger over the groups of a run; memory grows with the number of prompts.

    threshold: a rollout is right if its reward is at least this. solved: whether each prompt had a right rollout when
    it was visited last; levels: rewards so far, None for continuous ones. With the last step they are its whole state.
    """

    threshold: float = 0.5
    solved: dict[Hashable, bool] = field(default_factory=dict)
    levels: set[float] | None = field(default_factory=set)
    step: int = -1

    def update(self, step: int, prompt_ids: Sequence[Hashable], rewards_PG: ArrayLike) -> LedgerRow:
        """Add one step's groups and return what they tell.

        pass@1, pass@G and pass^G are unbiased for the policy that drew the rollouts, over the step's prompts. gained:
        prompts with a right rollout now and none at their last visit; lost: the other way round. With equal group sizes
        and no change both have the same expectation, so (gained - lost) / sqrt(gained + lost) is about standard normal.

        prompt_ids: (P,). rewards_PG: (P, G), finite. Raises InputError for other shapes or values, for a prompt twice
        in one step, and for steps that do not rise.
        """
        rewards_PG = _checked(prompt_ids, rewards_PG)
        if step <= self.step:
            raise InputError(f"steps must rise; got step {step} after {self.step}")
        self.step = step
        solved_P = [bool(best >= self.threshold) for best in rewards_PG.max(axis=1)]
        change = self._visit(prompt_ids, solved_P)
        levels = self._shares(rewards_PG)
        top = max(self.levels, default=np.nan) if self.levels else np.nan
        return LedgerRow(
            step=step,
            groups=len(rewards_PG),
            group_size=rewards_PG.shape[1],
            pass_at_1=float((rewards_PG >= self.threshold).mean()),
            pass_at_group=sum(solved_P) / len(solved_P),
            pass_hat_group=float((rewards_PG >= self.threshold).all(axis=1).mean()),
            levels=levels,
            top_level=top,
            top_at_group=float((rewards_PG >= top).any(axis=1).mean()) if levels else np.nan,
            returned=change["returned"],
            gained=change["gained"],
            lost=change["lost"],
        )

    def _visit(self, prompt_ids: Sequence[Hashable], solved_P: Sequence[bool]) -> Counter[str]:
        change = Counter[str]()
        for prompt, solved in zip(prompt_ids, solved_P, strict=True):
            before = self.solved.get(prompt)
            change["returned"] += before is not None
            change["gained"] += solved and before is False
            change["lost"] += not solved and before is True
            self.solved[prompt] = solved
        return change

    def _shares(self, rewards_PG: Floats) -> dict[float, float]:
        """Share of the rollouts at each reward level so far; empty for continuous rewards."""
        values, counts = np.unique(rewards_PG, return_counts=True)
        if self.levels is not None:
            self.levels |= set(values.tolist())
            if len(self.levels) > MAX_LEVELS:
                self.levels = None
        if self.levels is None:
            return {}
        shares = dict(zip(values.tolist(), (counts / rewards_PG.size).tolist(), strict=True))
        return {level: shares.get(level, 0.0) for level in sorted(self.levels)}


def numbered(ids: Sequence[str]) -> list[str]:
    """Ids with a number after those that came before: a step has one group for each id.

    >>> numbered(["a", "b", "a"])
    ['a', 'b', 'a#2']
    """
    seen = Counter[str]()
    unique = []
    for name in ids:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return unique


def _checked(prompt_ids: Sequence[Hashable], rewards: ArrayLike) -> Floats:
    rewards_PG = np.asarray(rewards, dtype=np.float64)
    if rewards_PG.ndim != 2 or not rewards_PG.size or len(prompt_ids) != len(rewards_PG):
        raise InputError(
            f"rewards must be (P, G), a row for each of the P prompts; got {rewards_PG.shape} and {len(prompt_ids)} ids"
        )
    if not np.isfinite(rewards_PG).all():
        raise InputError("rewards must be finite; got NaN or infinity")
    if len(set(prompt_ids)) < len(prompt_ids):
        twice = Counter(prompt_ids).most_common(1)[0][0]
        raise InputError(f"a step has one group for each prompt; prompt {twice!r} comes twice")
    return rewards_PG
