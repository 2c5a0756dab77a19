"""Objectives: values that say what is maximised, their advantages and their loss, on NumPy and torch."""

from rlvrscope.objectives.advantages import advantages, advantages_by_group, sign_weighted
from rlvrscope.objectives.catalogue import OBJECTIVES, objective_from
from rlvrscope.objectives.loss import PolicyLoss, kl_estimate, policy_loss, policy_loss_unchecked
from rlvrscope.objectives.objective import Objective
from rlvrscope.objectives.shape import Focal, FunctionShape, PassAtK, Quantile, RateWeights, Shape

__all__ = [
    "OBJECTIVES",
    "Focal",
    "FunctionShape",
    "Objective",
    "PassAtK",
    "PolicyLoss",
    "Quantile",
    "RateWeights",
    "Shape",
    "advantages",
    "advantages_by_group",
    "kl_estimate",
    "objective_from",
    "policy_loss",
    "policy_loss_unchecked",
    "sign_weighted",
]
