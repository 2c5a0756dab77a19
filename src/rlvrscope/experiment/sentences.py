"""What an experiment showed, in four plain sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rlvrscope.experiment.baselines import COOLED
from rlvrscope.experiment.outcomes import Entry, Estimate, GainRange, Model, Outcome, Pair, label

if TYPE_CHECKING:
    from rlvrscope.experiment.findings import Findings

DIRECTIONS = {1: "higher", -1: "lower", 0: "not clearly higher or lower"}


def sentences(findings: Findings) -> list[str]:
    """What the first arm did; the stated pairs, and all arms, at equal pass@1; on how few answers they all land."""
    recipe, equal = findings.experiment.recipe, findings.equal
    return [
        _boundary(recipe.train.steps, findings.base, findings.outcomes[0]),
        _pairs(equal.pairs, equal.gains[0])
        or f"On {findings.experiment.prompts} no two of the arms to compare at equal pass@1 are known.",
        _ranked(equal.entries, equal.common, equal.gains[0]),
        _concentration(recipe.train.steps, findings.base, findings.outcomes),
        *_graded(findings),
    ]


def _boundary(steps: int, base: Model, outcome: Outcome) -> str:
    model = outcome.model
    first = _moved("pass@1", base.pass_at_1, model.pass_at_1, outcome.pass_at_1)
    boundary = _moved("pass@256", base.pass_at_256, model.pass_at_256, outcome.pass_at_256)
    opposed = outcome.pass_at_1.sign * outcome.pass_at_256.sign < 0
    return f"{steps} steps of {model.label}: {first}, {'but' if opposed else 'and'} {boundary}."


def _graded(findings: Findings) -> list[str]:
    """The optimal answers of graded tasks; nothing elsewhere."""
    if not findings.graded:
        return []
    where = findings.experiment.prompts
    changes = [f"{label(one.arm)} ({one.optimal[2]:.3f}, {one.optimal_change:+.3f})" for one in findings.graded]
    start = findings.graded[0].optimal[0]
    found = [f"On {where} the mass of optimal answers went from {start:.3f} to where it ended with {_and(changes)}."]
    pairs = [f"{label(pair.arm)} minus {label(pair.against)} {pair.optimal:+.3f}" for pair in findings.graded_pairs]
    return [*found, f"At the end, paired by base: {_and(pairs)}."] if pairs else found


def _pairs(pairs: Sequence[Pair], least: float) -> str:
    """Those against the same arm together, in order of direction and size; empty without pairs."""
    parts = [_against(other, [pair for pair in pairs if pair.against == other], least) for other in _others(pairs)]
    if not any(pair.own for pair in pairs):
        return " ".join(parts)
    return (
        "At equal pass@1, paired by base, the mean over gains in pass@1 from the smallest declared one to the largest "
        f"that all runs of both arms reach: {' '.join(parts)}"
    )


def _against(against: str, pairs: Sequence[Pair], least: float) -> str:
    found = []
    for sign, direction in DIRECTIONS.items():
        known = [(pair.arm, pair.own) for pair in pairs if pair.own and pair.own.difference.sign == sign]
        known.sort(key=lambda one: -abs(one[1].difference.value))
        if known:
            each = [f"{label(arm)} ({own.difference:+.3f}, gains {own.span})" for arm, own in known]
            found.append(f"{direction} with {_and(each)}")
    text = f"against {label(against)}, pass@256 was {'; '.join(found)}." if found else ""
    short = [label(pair.arm) for pair in pairs if pair.own is None and pair.bases]
    if short:
        text += f" No range for {_and(short)}: some run of it, or of {label(against)}, gained less than {least:g}."
    apart = [label(pair.arm) for pair in pairs if not pair.bases]
    if apart:
        text += f" {_and(apart)} and {label(against)} have no base in common: no range to compare on."
    return text.strip()


def _others(pairs: Sequence[Pair]) -> list[str]:
    return list(dict.fromkeys(pair.against for pair in pairs))


def _ranked(entries: Sequence[Entry], common: GainRange | None, least: float) -> str:
    """Every arm and the cooled base by one number, largest first; those whose bounds differ at the end."""
    if common is None:
        return f"There is no range of gains on which arms could be ranked: some run of each gained less than {least:g}."
    shown = [(entry, entry.change) for entry in entries if entry.change and (entry.trained or entry.name == COOLED)]
    known = sorted((one for one in shown if one[1].known), key=lambda one: -one[1].most)
    parts = [
        f"{change:+.3f} with {entry.label if entry.trained else 'the base merely cooled'}" for entry, change in known
    ]
    bounded = [f"{entry.label} ({change.text('+.3f')})" for entry, change in shown if not change.known]
    text = (
        f"Over one common range, gains in pass@1 of {common}, the mean change in pass@256 from the base was "
        f"{_and(parts)}."
    )
    if bounded:
        text += (
            " Some runs fall short of that range, so only bounds are known, the upper one if pass@256 would not have "
            f"risen further on: {_and(bounded)}."
        )
    return text


def _concentration(steps: int, base: Model, outcomes: Sequence[Outcome]) -> str:
    parts = [
        f"{outcome.model.distinct_correct:.1f} with {outcome.model.label} ({outcome.distinct_correct:+.1f})"
        for outcome in outcomes
    ]
    return (
        f"In 256 samples of a prompt one expects {base.distinct_correct:.1f} different right answers from the base, "
        f"and after {steps} steps {_and(parts)}."
    )


def _moved(what: str, before: float, after: float, change: Estimate) -> str:
    verb = {1: "rose", -1: "fell", 0: "went"}[change.sign]
    unclear = "" if change.sign else ", not clearly up or down"
    return f"{what} {verb} from {before:.3f} to {after:.3f}{unclear} ({change:+.3f})"


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
