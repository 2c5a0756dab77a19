"""Statistics of sampled or exact success rates: pass@k and related estimates, intervals, comparisons, sample sizes."""

from rlvrscope.stats.base_means import BaseMeans, means_over_prompts
from rlvrscope.stats.comparison import Comparison, compare, compare_all, compare_pairs
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.crossover import Crossover
from rlvrscope.stats.curve import Curve, pass_at_k_curve
from rlvrscope.stats.extrapolation import extrapolated_pass_at_k
from rlvrscope.stats.frontier import (
    AtTarget,
    Bounds,
    MeanDifference,
    at_target,
    common_reach,
    envelope,
    mean_change,
    mean_difference,
)
from rlvrscope.stats.graded import max_at_k
from rlvrscope.stats.intervals import Interval, bootstrap_mean, percentile_interval, resample_weights
from rlvrscope.stats.ledger import Ledger, Rate, support_ledger
from rlvrscope.stats.majority import majority_at_k
from rlvrscope.stats.matching import TrainingRun, at_gain
from rlvrscope.stats.pairing import shared_problems
from rlvrscope.stats.passk import (
    all_at_k,
    cover_at,
    g_pass_at_k,
    guessing_pass_at_k,
    pass_at_k,
    pass_at_k_exact,
    pass_at_k_posterior,
    squared_pass_at_k,
)
from rlvrscope.stats.posterior import Posterior, posterior_curve
from rlvrscope.stats.sample_size import Option, Plan, plan

__all__ = [
    "AtTarget",
    "BaseMeans",
    "Bounds",
    "Comparison",
    "Crossover",
    "Curve",
    "GroupCounts",
    "Interval",
    "Ledger",
    "MeanDifference",
    "Option",
    "Plan",
    "Posterior",
    "Rate",
    "TrainingRun",
    "all_at_k",
    "at_gain",
    "at_target",
    "bootstrap_mean",
    "common_reach",
    "compare",
    "compare_all",
    "compare_pairs",
    "cover_at",
    "envelope",
    "extrapolated_pass_at_k",
    "g_pass_at_k",
    "guessing_pass_at_k",
    "majority_at_k",
    "max_at_k",
    "mean_change",
    "mean_difference",
    "means_over_prompts",
    "pass_at_k",
    "pass_at_k_curve",
    "pass_at_k_exact",
    "pass_at_k_posterior",
    "percentile_interval",
    "plan",
    "posterior_curve",
    "resample_weights",
    "shared_problems",
    "squared_pass_at_k",
    "support_ledger",
]
