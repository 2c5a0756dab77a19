"""What samples, or exact probabilities, say about a model: pass@k, intervals over problems, matched comparison."""

from massflow.stats.bootstrap import Interval, bootstrap_mean, percentile_interval, resample_weights
from massflow.stats.frontier import MatchedPass, pass_at_matched_gain
from massflow.stats.passk import pass_at_k, pass_at_k_exact

__all__ = [
    "Interval",
    "MatchedPass",
    "bootstrap_mean",
    "pass_at_k",
    "pass_at_k_exact",
    "pass_at_matched_gain",
    "percentile_interval",
    "resample_weights",
]
