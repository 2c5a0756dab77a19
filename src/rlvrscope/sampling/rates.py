"""Rates of a set of samples, with those that the token limit cut off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Rates:
    """Counts of samples, and shares of them. A share of no samples is None; so is a rate while verdicts are missing.

    unverified: samples without a verdict. truncated: samples that the token limit cut off, whatever their answer;
    finished: all others. Drawing truncated samples again, or leaving them out, would make the rate conditional on
    finishing.
    """

    samples: int
    correct: int
    truncated: int
    truncated_correct: int
    unverified: int = 0

    @classmethod
    def of(cls, outcomes: Mapping[str, int], truncated_outcomes: Mapping[str, int]) -> Rates:
        """Rates from the outcomes of all samples, and of the truncated ones among them; "": without a verdict."""
        return cls(
            sum(outcomes.values()), outcomes.get("correct", 0), sum(truncated_outcomes.values()),
            truncated_outcomes.get("correct", 0), outcomes.get("", 0),
        )  # fmt: skip

    @property
    def finished(self) -> int:
        return self.samples - self.truncated

    @property
    def rate(self) -> float | None:
        """Share of correct samples among all: the model's rate under its token limit."""
        return None if self.unverified else _share(self.correct, self.samples)

    @property
    def rate_of_finished(self) -> float | None:
        """Share of correct samples among the finished ones only."""
        return None if self.unverified else _share(self.correct - self.truncated_correct, self.finished)

    @property
    def truncated_share(self) -> float | None:
        return _share(self.truncated, self.samples)

    def facts(self) -> dict[str, int | float | None]:
        """The figures as they appear in JSON."""
        return {
            "rate": self.rate, "truncated": self.truncated, "truncated_share": self.truncated_share,
            "rate_of_finished": self.rate_of_finished,
        }  # fmt: skip


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
