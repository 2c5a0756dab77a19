"""What is maximised: objectives as values, advantages, and the surrogate loss, on NumPy and torch alike."""

from massflow.objectives.advantage import advantages
from massflow.objectives.catalogue import OBJECTIVES, objective_from
from massflow.objectives.objective import Objective
from massflow.objectives.own import OwnShape
from massflow.objectives.shape import Focal, PassAtK, Quantile, RateWeights, Shape
from massflow.objectives.surrogate import PolicyLoss, kl_estimate, policy_loss

__all__ = [
    "OBJECTIVES",
    "Focal",
    "Objective",
    "OwnShape",
    "PassAtK",
    "PolicyLoss",
    "Quantile",
    "RateWeights",
    "Shape",
    "advantages",
    "kl_estimate",
    "objective_from",
    "policy_loss",
]
