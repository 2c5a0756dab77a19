"""What is maximised: objectives as values, advantages, and the surrogate loss, on NumPy and torch alike."""

from rlvrscope.objectives.advantages import advantages
from rlvrscope.objectives.catalogue import OBJECTIVES, objective_from
from rlvrscope.objectives.loss import PolicyLoss, kl_estimate, policy_loss
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
    "kl_estimate",
    "objective_from",
    "policy_loss",
]
