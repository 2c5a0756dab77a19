"""What an experiment showed, in three plain sentences."""

from __future__ import annotations

from collections.abc import Sequence

from massflow.lab.recipe import Recipe
from massflow.report.experiment.numbers import Model, Number, Outcome


def sentences(recipe: Recipe, base: Model, outcomes: Sequence[Outcome]) -> list[str]:
    """What the first arm did, how the others compare with it at equal pass@1, and on how few answers they all land."""
    return [
        _boundary(recipe.train.steps, base, outcomes[0]),
        _matched(outcomes[0].model.label, outcomes[1:]),
        _concentration(base, outcomes),
    ]


def _boundary(steps: int, base: Model, outcome: Outcome) -> str:
    model = outcome.model
    first = _moved("pass@1", base.pass_at_1, model.pass_at_1, outcome.pass_at_1)
    boundary = _moved("pass@256", base.pass_at_256, model.pass_at_256, outcome.pass_at_256)
    opposed = outcome.pass_at_1.sign * outcome.pass_at_256.sign < 0
    return f"{steps} steps of {model.label}: {first}, {'but' if opposed else 'and'} {boundary}."


def _matched(against: str, others: Sequence[Outcome]) -> str:
    if not others:
        return f"{against} is the only arm: nothing to compare it with at equal pass@1."
    missed = [outcome.model.label for outcome in others if outcome.matched is None]
    ranked = [(outcome.model.label, outcome.matched.difference) for outcome in others if outcome.matched is not None]
    ranked.sort(key=lambda pair: -pair[1].value)
    absent = f" Some run of {against} or of {_and(missed)} never gained: no range to compare on." if missed else ""
    if not ranked:
        return absent.strip()
    parts = _and([f"{gap:+.3f} with {label}" for label, gap in ranked])
    return (
        f"At equal pass@1 (the mean over the gains that all runs of both reach), pass@256 differed from that of "
        f"{against} by {parts}.{absent}"
    )


def _concentration(base: Model, outcomes: Sequence[Outcome]) -> str:
    parts = [
        f"{outcome.model.distinct_correct:.1f} after {outcome.model.label} ({outcome.distinct_correct:+.1f})"
        for outcome in outcomes
    ]
    return (
        f"In 256 samples of a prompt one expects {base.distinct_correct:.1f} different right answers "
        f"from the base, {_and(parts)}."
    )


def _moved(what: str, before: float, after: float, change: Number) -> str:
    verb = {1: "rose", -1: "fell", 0: "went"}[change.sign]
    unclear = "" if change.sign else ", not clearly up or down"
    return f"{what} {verb} from {before:.3f} to {after:.3f}{unclear} ({change:+.3f})"


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
