"""Catalogue of objectives, each with its source. To add one, add an entry."""

from __future__ import annotations

import dataclasses

from rlvrscope.errors import InputError, did_you_mean
from rlvrscope.objectives.numeric import MAX_PARAMETER
from rlvrscope.objectives.objective import Objective
from rlvrscope.objectives.shape import (
    BatchBalance,
    BetaGate,
    Focal,
    InverseMean,
    PassAtK,
    Quantile,
    ReverseHazard,
    Smoothing,
    Unlikeliness,
)

_GRPO = Objective(name="grpo", source="DeepSeekMath, arXiv 2402.03300, eq. 3, without its KL term")
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
        source="MiniMax-M1, arXiv 2506.13585, eq. 4; ratio clipped at 5 (its bound is not published), no lower bound",
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
    _GRPO.replace(
        name="reinforce",
        source="REINFORCE, Williams 1992: rewards as they are, no baseline, no clip",
        baseline="none",
        scale="none",
        aggregation="fixed_length",
        clip_low=1.0,
        clip_high=MAX_PARAMETER,
    ),
    _GRPO.replace(
        name="grpo-kl-forward",
        source="DeepSeekMath, arXiv 2402.03300, eq. 3 and 4 and its coefficient: k3, the gradient of KL(ref || pi)",
        kl_coef=0.04,
    ),
    _GRPO.replace(
        name="grpo-kl-reverse",
        source="arXiv 2510.01555: k2 as a loss, the gradient of KL(pi || ref); DeepSeekMath's coefficient",
        kl_coef=0.04,
        kl_estimator="k2",
    ),
    _GRPO.replace(
        name="pass-at-k",
        source="pass@k training, arXiv 2508.10751, analytical derivation, k = 4; in GRPO's loss",
        shape=PassAtK(4),
    ),
    _GRPO.replace(name="f-grpo", source="F-GRPO, arXiv 2602.06717, gamma 1", shape=Focal(1.0)),
    _GRPO.replace(name="qae", source="QAE, arXiv 2509.22611, K = 0.4; in GRPO's loss", shape=Quantile(0.4)),
    _GRPO.replace(
        name="maxrl",
        source="MaxRL, arXiv 2602.02710: (r - mean) / mean; in GRPO's loss",
        scale="none",
        shape=InverseMean(),
    ),
    _GRPO.replace(
        name="curverl",
        source="CurveRL, arXiv 2605.24331, its code: w(p) (r - p), reverse hazard of 10 batches; in GRPO's loss",
        scale="none",
        shape=ReverseHazard(10),
    ),
    _PSR.replace(
        name="bbg",
        source="BBG, arXiv 2606.15455, k = 16: rewards +-1 times the gate; in GRPO's loss",
        negative_weight=1.0,
        aggregation="sequence_mean",
        shape=BetaGate(16, 0.01),
    ),
    _GRPO.replace(
        name="a-grae", source="A-GRAE, arXiv 2602.05548, its code, alpha 1 (mathematics)", shape=BatchBalance(1.0)
    ),
    _GRPO.replace(name="unlikeliness", source="arXiv 2506.02355, its code, beta .25", shape=Unlikeliness(0.25)),
    _GRPO.replace(
        name="ds-grpo",
        source="DS-GRPO, arXiv 2511.19942, eq. 4 and 6 as re-implemented; the coefficients are ours",
        shape=Smoothing(0.01, 0.01),
    ),
)

_LEFT_OUT = {"dual_clip", "shape", "kl_estimator"}
"""Fields that a table of all fields may omit: None in TOML, or newer than some recipes."""

OBJECTIVES: dict[str, Objective] = {objective.name: objective for objective in _ENTRIES}


def objective_from(value: object) -> Objective:
    """Objective from a recipe: a name of the catalogue, or a table.

    A table gives a `base` from the catalogue, a new `name` and the fields to change; or all fields, as resolved recipes
    do. A `shape` without a kind changes parameters of the base's shape.
    Raises InputError for a name that is not in the catalogue, an unknown field or a bad value.

    >>> objective_from({"base": "grpo", "name": "mostly-negative", "positive_weight": 0.1}).positive_weight
    0.1
    >>> objective_from({"base": "pass-at-k", "name": "pass-at-2", "shape": {"k": 2}}).shape
    PassAtK(k=2, kind='pass_at_k')
    """
    if isinstance(value, Objective):
        return value
    if isinstance(value, str):
        if value not in OBJECTIVES:
            raise InputError(f"no objective is called {value!r:.100}. {did_you_mean(value, list(OBJECTIVES))}")
        return OBJECTIVES[value]
    if not isinstance(value, dict):
        raise InputError(f"an objective is a name or a table; got {value!r}")
    changes = dict(value)
    if "base" not in changes:
        if {field.name for field in dataclasses.fields(Objective)} - _LEFT_OUT - set(changes):
            raise InputError("a table must start from a base, such as base = 'grpo', or list every field")
        return OBJECTIVES["grpo"].replace(**changes)
    base = objective_from(str(changes.pop("base")))
    if not changes:
        return base
    shape = changes.get("shape")
    if isinstance(shape, dict) and "kind" not in shape and base.shape is not None:
        changes["shape"] = {**dataclasses.asdict(base.shape), **shape}
    changed = base.replace(**{"source": f"{base.name}, changed", **changes})
    if changed.name in OBJECTIVES:
        raise InputError(f"an objective changed from {base.name!r} needs a new name; got {changed.name!r}")
    return changed
