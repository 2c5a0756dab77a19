"""Alarms of a run: what was seen, what to do, and where it is described."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

AlarmName = Literal[
    "entropy collapse",
    "entropy explosion",
    "reward collapse",
    "no contrast",
    "sampler mismatch",
    "boundary shrinking",
    "rare answers dying",
]


ALARMS: tuple[AlarmName, ...] = get_args(AlarmName)


@dataclass(frozen=True)
class Advice:
    """What to do about an alarm. reference: where the effect is described."""

    action: str
    reference: str


@dataclass(frozen=True)
class Alarm:
    """An alarm that holds at a step. since: the step at which it began; evidence: the numbers behind it."""

    name: AlarmName
    since: int
    evidence: str

    @property
    def advice(self) -> Advice:
        return ADVICE[self.name]


ADVICE: dict[AlarmName, Advice] = {
    "entropy collapse": Advice(
        "raise the upper clip bound, add a KL term, or keep negative gradients only",
        "Cui et al., arXiv 2505.22617; DAPO, arXiv 2503.14476",
    ),
    "entropy explosion": Advice(
        "lower the learning rate, or bound negative gradients (dual clip, W-REINFORCE)",
        "Zhu et al., arXiv 2506.01347",
    ),
    "reward collapse": Advice(
        "stop, and go back to the checkpoint before the fall; lower the learning rate",
        "DAPO, arXiv 2503.14476",
    ),
    "no contrast": Advice(
        "choose prompts that the model solves sometimes, enlarge the groups, or filter groups with equal rewards",
        "DAPO (dynamic sampling), arXiv 2503.14476",
    ),
    "sampler mismatch": Advice(
        "correct for the sampler (truncated importance sampling), or use one precision for both engines",
        "Yao et al. 2025, fengyao.notion.site/off-policy-rl",
    ),
    "boundary shrinking": Advice(
        "weigh rare right answers up (pass@k training), and compare checkpoints: rlvrscope boundary",
        "Yue et al., arXiv 2504.13837; arXiv 2510.04028",
    ),
    "rare answers dying": Advice(
        "stop before they are gone, or change the objective: keep the positive gradients of rare right answers",
        "arXiv 2510.04028",
    ),
}
"""What to do about each alarm."""
