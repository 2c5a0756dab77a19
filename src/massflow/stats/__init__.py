"""What samples, or exact probabilities, say about a model: pass@k and its kin, intervals, comparison, plans."""

from massflow.stats.bases import BaseMeans, over_prompts
from massflow.stats.bootstrap import Interval, bootstrap_mean, percentile_interval, resample_weights
from massflow.stats.compare import Comparison, compare, compare_all
from massflow.stats.cover import cover_at
from massflow.stats.crossover import Crossover
from massflow.stats.curve import Curve, pass_at_k_curve
from massflow.stats.frontier import (
    AtTarget,
    Bounds,
    MeanDifference,
    at_target,
    common_reach,
    envelope,
    mean_change,
    mean_difference,
)
from massflow.stats.ledger import Ledger, Rate, support_ledger
from massflow.stats.majority import majority_at_k
from massflow.stats.matching import TrainingRun, at_gain
from massflow.stats.pairing import shared_problems
from massflow.stats.passk import (
    all_at_k,
    g_pass_at_k,
    guessing_pass_at_k,
    pass_at_k,
    pass_at_k_exact,
    pass_at_k_posterior,
    squared_pass_at_k,
)
from massflow.stats.plan import Option, Plan, plan

__all__ = [
    "AtTarget",
    "BaseMeans",
    "Bounds",
    "Comparison",
    "Crossover",
    "Curve",
    "Interval",
    "Ledger",
    "MeanDifference",
    "Option",
    "Plan",
    "Rate",
    "TrainingRun",
    "all_at_k",
    "at_gain",
    "at_target",
    "bootstrap_mean",
    "common_reach",
    "compare",
    "compare_all",
    "cover_at",
    "envelope",
    "g_pass_at_k",
    "guessing_pass_at_k",
    "majority_at_k",
    "mean_change",
    "mean_difference",
    "over_prompts",
    "pass_at_k",
    "pass_at_k_curve",
    "pass_at_k_exact",
    "pass_at_k_posterior",
    "percentile_interval",
    "plan",
    "resample_weights",
    "shared_problems",
    "squared_pass_at_k",
    "support_ledger",
]
