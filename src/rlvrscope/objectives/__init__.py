"""Objectives: values that say what is maximised, their advantages and their loss, on NumPy and torch."""

from rlvrscope.objectives.advantages import advantages, advantages_by_group, sign_weighted
from rlvrscope.objectives.catalogue import OBJECTIVES, objective_from
from rlvrscope.objectives.likelihood import Likelihood
from rlvrscope.objectives.loss import PolicyLoss, kl_estimate, policy_loss, policy_loss_unchecked
from rlvrscope.objectives.objective import Objective
from rlvrscope.objectives.pass_rates import PassRates
from rlvrscope.objectives.shape import (
    BatchBalance,
    BetaGate,
    Focal,
    FunctionShape,
    InverseMean,
    PassAtK,
    Quantile,
    RateWeights,
    ReverseHazard,
    Shape,
    Smoothing,
    Unlikeliness,
)

__all__ = [
    "OBJECTIVES",
    "BatchBalance",
    "BetaGate",
    "Focal",
    "FunctionShape",
    "InverseMean",
    "Likelihood",
    "Objective",
    "PassAtK",
    "PassRates",
    "PolicyLoss",
    "Quantile",
    "RateWeights",
    "ReverseHazard",
    "Shape",
    "Smoothing",
    "Unlikeliness",
    "advantages",
    "advantages_by_group",
    "kl_estimate",
    "objective_from",
    "policy_loss",
    "policy_loss_unchecked",
    "sign_weighted",
]
