"""Lines on samples that the token limit cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlvrscope.engines.engine import Fact
    from rlvrscope.sampling.rates import Rates

MIN_WARNED_SHARE = 0.05
"""Share of truncated samples from which a warning is printed."""


def finished_rate(rates: Rates) -> str:
    """The rate among the finished samples, named so that it can't be taken for the rate of all."""
    if rates.rate_of_finished is None:
        return "none finished"
    return f"of the {rates.finished:,} that finished, {rates.rate_of_finished:.1%} correct"


def truncation(rates: Rates) -> str:
    """Number and share of truncated samples, and the rate among the others."""
    if not rates.truncated:
        return "truncated: none"
    return f"truncated at the token limit: {rates.truncated:,} ({rates.truncated_share:.1%}); {finished_rate(rates)}"


def truncation_warning(rates: Rates, limit: Fact) -> str | None:
    """A warning where many samples were cut off; limit: the run's token limit, if it has one."""
    if not rates.truncated or (rates.truncated_share or 0.0) < MIN_WARNED_SHARE:
        return None
    return (
        f"{rates.truncated:,} of {rates.samples:,} samples ({rates.truncated_share:.1%}) hit the limit of "
        f"{'their' if limit is None else limit} tokens, {rates.truncated_correct:,} of them with a correct answer: "
        "a larger --max-tokens may change the rates"
    )
