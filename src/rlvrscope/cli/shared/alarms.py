"""Alarms of `rlvrscope boundary` for job scripts: exit code 3 where a result is as named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from rlvrscope.errors import AlarmError, InputError, did_you_mean

if TYPE_CHECKING:
    from rlvrscope.experiment.boundary import Boundary
    from rlvrscope.stats import Curve

VERDICTS = ("expanded", "shrunk", "unchanged", "undecided")


@dataclass(frozen=True)
class Alarm:
    """A condition on every trained model, at one k or, with k None, at every k of the table.

    verdict: it has this one. under: its pass@k is below; without a k, at the largest.
    """

    verdict: str | None = None
    under: float | None = None
    k: int | None = None

    @classmethod
    def parse(cls, option: str, text: str) -> Self:
        """Read "shrunk" or "shrunk@256" of --fail-if, ".4" or ".4@256" of --fail-under. Raises InputError."""
        value, at, k = text.partition("@")
        if at and not (k.isdigit() and int(k)):
            raise InputError(f"{option} {text}: after @ stands a k, a whole number from 1 up; got {k!r}")
        number = int(k) if at else None
        if option == "--fail-if":
            if value not in VERDICTS:
                raise InputError(f"{option} {text}: unknown verdict {value!r}. {did_you_mean(value, VERDICTS)}")
            return cls(verdict=value, k=number)
        try:
            return cls(under=float(value), k=number)
        except ValueError:
            raise InputError(f"{option} takes a pass@k, such as .4 or .4@256; got {text!r}") from None

    def check_k(self, ks: Sequence[int]) -> None:
        """Raises InputError for a k that is not in the table."""
        if self.k is not None and self.k not in ks:
            raise InputError(f"an alarm at k = {self.k} needs that k in the table: --k {self.k}; there is {ks}")

    def reasons(self, boundary: Boundary) -> list[str]:
        """What sets it off, one line for each model and k."""
        lines = []
        for name, comparison in boundary.comparisons.items():
            for k, verdict in zip(comparison.ks, comparison.verdicts, strict=True):
                if self.verdict == verdict and self.k in (None, k):
                    lines.append(f"{name}: pass@{k} is {verdict}")
            lines += self.reasons_under(name, comparison.trained)
        return lines

    def reasons_under(self, name: str, curve: Curve) -> list[str]:
        """A line if the model's pass@k is below. An undefined pass@k is no value, and sets nothing off."""
        k = self.k or curve.ks[-1]
        value = curve.estimate[curve.ks.index(k)]
        if self.under is None or not value < self.under:
            return []
        return [f"{name}: pass@{k} is {value:.3f}, under {self.under:g}"]


def raise_alarms(reasons: Sequence[str]) -> None:
    """Raises AlarmError with the first reasons, if there are any."""
    if reasons:
        more = f" and {len(reasons) - 5} more" if len(reasons) > 5 else ""
        raise AlarmError(f"{'; '.join(reasons[:5])}{more}")
