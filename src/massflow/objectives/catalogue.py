"""The objectives people compare, each with its source. Adding one is adding one entry."""

from __future__ import annotations

from massflow.config import nearest
from massflow.errors import InputError
from massflow.objectives.objective import Objective

_GRPO = Objective(name="grpo", source="DeepSeekMath, arXiv 2402.03300, eq. 3 and 4, without its KL term")
_GSPO = _GRPO.replace(
    name="gspo",
    source="GSPO, arXiv 2507.18071, eq. 5 to 7, clip of section 5.1",
    ratio="sequence",
    clip_low=3e-4,
    clip_high=4e-4,
)
_PSR = Objective(
    name="psr",
    source="RLVR-Decomposed, arXiv 2506.01347: rewards +-1, only the positive, no baseline",
    signal="signed",
    baseline="none",
    scale="none",
    negative_weight=0.0,
    aggregation="token_mean",
)
_MEAN_ONLY = {"scale": "none", "aggregation": "fixed_length"}

_ENTRIES = (
    _GRPO,
    _GRPO.replace(name="grpo-n", source="arXiv 2510.04028: relative negatives only", positive_weight=0.0),
    _GRPO.replace(name="grpo-p", source="the other half of GRPO: relative positives only", negative_weight=0.0),
    _GSPO,
    _GSPO.replace(name="gspo-n", source="arXiv 2510.04028: relative negatives only", positive_weight=0.0),
    _PSR,
    _PSR.replace(
        name="nsr",
        source="RLVR-Decomposed, arXiv 2506.01347: rewards +-1, only the negative, no baseline",
        positive_weight=0.0,
        negative_weight=1.0,
    ),
    _PSR.replace(
        name="w-reinforce",
        source="RLVR-Decomposed, arXiv 2506.01347: 0.1 PSR + NSR",
        positive_weight=0.1,
        negative_weight=1.0,
    ),
    _GRPO.replace(
        name="dapo",
        source="DAPO, arXiv 2503.14476, eq. 8; equal groups are zeroed here, not sampled again",
        clip_high=0.28,
        aggregation="token_mean",
    ),
    _GRPO.replace(name="dr-grpo", source="Dr. GRPO, arXiv 2503.20783", **_MEAN_ONLY),
    _GRPO.replace(
        name="rloo",
        source="RLOO, arXiv 2402.14740, in the clipped surrogate",
        baseline="leave_one_out",
        **_MEAN_ONLY,
    ),
    _GRPO.replace(
        name="cispo",
        source="MiniMax-M1, arXiv 2506.13585, eq. 4; ratio held below 5 (its bound is not published), no lower bound",
        surrogate="cispo",
        clip_low=1.0,
        clip_high=4.0,
        aggregation="token_mean",
    ),
    _GRPO.replace(
        name="wapo",
        source="WAPO, arXiv 2606.16154: r - mean, positives only, upper clip only",
        scale="none",
        negative_weight=0.0,
        clip_low=1.0,
    ),
)

OBJECTIVES: dict[str, Objective] = {objective.name: objective for objective in _ENTRIES}


def objective_from(value: str | dict[str, object] | Objective) -> Objective:
    """An objective as a recipe writes it: a name of the catalogue, or a table.

    A table starts from `base` (or from the entry called `name`, or from GRPO) and changes the fields it lists.
    Raises InputError for a name that is not in the catalogue, an unknown field or a bad value.

    >>> objective_from({"base": "grpo", "name": "mostly-negative", "positive_weight": 0.1}).positive_weight
    0.1
    """
    if isinstance(value, Objective):
        return value
    if isinstance(value, str):
        if value not in OBJECTIVES:
            raise InputError(f"no objective is called {value!r}. {nearest(value, list(OBJECTIVES))}")
        return OBJECTIVES[value]
    changes = dict(value)
    start = changes.pop("base", None) or changes.get("name")
    base = OBJECTIVES["grpo"] if "base" not in value and start not in OBJECTIVES else objective_from(str(start))
    changes.setdefault("name", base.name)
    try:
        return base.replace(**changes)
    except TypeError as error:
        raise InputError(f"objective {changes['name']!r}: {error}") from error
