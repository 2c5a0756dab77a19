"""Lines on samples that the token limit cut off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rlvrscope.cli.shared.console import say
from rlvrscope.engines.engine import UNKNOWN_FINISH

if TYPE_CHECKING:
    from rlvrscope.sampling.rates import Rates
    from rlvrscope.sampling.store.check import RunStats
    from rlvrscope.scoring import Fact

MIN_WARNED_SHARE = 0.05
"""Share of truncated samples from which a warning is printed."""


def finished_rate(rates: Rates) -> str:
    """The rate among the finished samples, named so that it can't be taken for the rate of all."""
    if not rates.finished:
        return "none finished"
    if rates.unverified:
        return f"{rates.finished:,} finished"
    return f"of the {rates.finished:,} that finished, {rates.rate_of_finished:.1%} correct"


def truncation(rates: Rates, unknown: int = 0) -> str:
    """Number and share of truncated samples, and the rate among the others.

    unknown: samples whose end is not known; they count as finished.
    """
    if unknown == rates.samples:
        return "truncated: not known"
    words = "truncated: none"
    if rates.truncated:
        share = f"{rates.truncated:,} ({rates.truncated_share:.1%})"
        words = f"truncated at the token limit: {share}; {finished_rate(rates)}"
    return f"{words}; not known for {unknown:,}" if unknown else words


def print_truncation(run: RunStats) -> None:
    """Print what there is to know about truncated and missing samples of a run."""
    say(f"  {truncation(run.rates, run.finish.get(UNKNOWN_FINISH, 0))}")
    if warning := truncation_warning(run.rates, run.identity):
        say(f"  warning: {warning}")
    if run.lacking:
        say(f"  warning: the import is not complete, {run.lacking:,} samples are missing: run the same import again")


def truncation_warning(rates: Rates, identity: Mapping[str, Fact]) -> str | None:
    """A warning where many samples were cut off; identity: of their run.

    None for the lab, whose tasks have no right answer above their limit.
    """
    limit = identity.get("max_tokens")
    if not rates.truncated or (rates.truncated_share or 0.0) < MIN_WARNED_SHARE or identity.get("engine") == "lab":
        return None
    correct = "" if rates.unverified else f", {rates.truncated_correct:,} of them with a correct answer"
    return (
        f"{rates.truncated:,} of {rates.samples:,} samples ({rates.truncated_share:.1%}) hit "
        f"{'their token limit' if limit is None else f'the limit of {limit} tokens'}{correct}: "
        "a larger --max-tokens may change the rates"
    )
