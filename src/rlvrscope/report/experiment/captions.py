"""The explanations on an experiment's page: what a chart or a table shows, and what its intervals cover."""

from __future__ import annotations

from rlvrscope.experiment.baselines import COOLED
from rlvrscope.experiment.findings import Findings
from rlvrscope.stats.base_means import MIN_BASES, Covers

HEADINGS = {
    "frontier": (
        "The frontier",
        "Equal steps flatter a slow arm, which has paid less because it has gained less. Read up and down at one "
        "pass@1: the higher curve kept more of the boundary for the same gain. Two baselines: the base merely "
        "cooled (diamonds), which costs no training, and weights between the base's and a final model's (WiSE, "
        "triangles, where the recipe asks for it), which cost none beyond the arm's own. A curve that is not above the "
        "diamonds has gained no more than a lower temperature gives.",
    ),
    "equal-pass": (
        "At equal pass@1",
        "Left, one common range of gains for all: how far pass@256 is from that of the untrained base, the number to "
        "rank by. Right, the pairs that the recipe states, each over its own range: where a bar does not touch the "
        "dashed line, one arm kept more of the boundary than the other at the same pass@1.",
    ),
    "envelopes": (
        "What decoding can undo",
        "The best pass@256 at this pass@1 or a higher one, over temperatures and, for the solid and the dotted line, "
        "over the checkpoints of training. Where the solid line lies above the dotted one, heating or cooling gets "
        "back what training had only sharpened. Where a line at any temperature still lies below the base's, support "
        "is lost. Lines end where some run gets no further.",
    ),
    "prompts": (
        "Prompt by prompt",
        "Choose two arms, or an arm and the base, and the moment: after training, or where each run had gained the "
        "same (arms of which some run never gets there show nothing then). A point is a prompt (of each base, mean "
        "over its seeds). Within reach: pass@256 of at least one half. Counted are the prompts within the base's reach "
        "that one arm lost and the other kept, and those out of its reach that one gained and the other did not.",
    ),
    "graded": (
        "Common and optimal answers",
        "Right answers earn different rewards here. Optimal: the mass of those with reward 1. Common: that of the "
        "other right ones. Exploitation: common rises while optimal falls; exploration: optimal overtakes it.",
    ),
    "pass-at-k": (
        "pass@k",
        "Where the solid curve runs below the dashed one, training has made the model worse at k samples.",
    ),
    "training": (
        "Over training",
        "The actor entropy loss is the token entropy on the completions an update was made from, those of nonzero "
        "advantage; reward is the mean reward of the rollouts, on training prompts.",
    ),
    "mass-flow": (
        "Mass flow",
        "Dominant: the base's most likely right answer of each prompt. Rare: right answers below 1/256 under the "
        "base, which 256 samples would probably miss. What happens to the rare curve decides the boundary.",
    ),
}


def table_note(held_out: bool) -> str:
    """Beneath the table of models."""
    entropy = " Entropy: token entropy in nats at temperature 1." if held_out else ""
    return (
        f"Changes are from the base, at the end of training, so at different pass@1.{entropy} Distinct: expected "
        "number of different right answers in 256 samples of a prompt. Rare mass: of the right answers that were below "
        "1/256 under the base."
    )


GRADED_NOTE = (
    "Masses at the start and after training, and the lowest on the way; pass@256 counting optimal answers alone: "
    "start, lowest, end. Overtaken: the share of prompts whose optimal mass is the larger one at the end. Extinct: "
    "below 0.0001."
)


def scope(findings: Findings) -> str:
    """What the intervals cover, and what not."""
    most = max((outcome.covers for outcome in findings.outcomes), key=WIDENING.index)
    bases, seeds = len(findings.bases), len({run.seed for run in findings.experiment.runs})
    few = f"{bases} {'base' if bases == 1 else 'bases'}"
    parts = ["In brackets: 95 % intervals, each comparison by itself, paired by base."]
    if most == "bases":
        parts.append(
            f"They speak of other prompts (resampled) and of other bases and RL seeds (Student's t over {few}, each "
            f"the mean of its {seeds} {'seed' if seeds == 1 else 'seeds'})."
        )
    elif most == "seeds":
        parts.append(
            f"They are about {'this base' if bases == 1 else f'these {few}'}: for other prompts (resampled) and other "
            f"RL seeds (Student's t on the spread between the {seeds} seeds of a base), not for other bases; from "
            f"{MIN_BASES} bases on they would be."
        )
    else:
        parts.append(
            f"They are about {'this base' if bases == 1 else f'these {few}'} and these runs: for other prompts "
            f"(resampled), not for other bases or other RL seeds ({seeds} a base: too few to tell their spread)."
        )
    less = [outcome for outcome in findings.outcomes if outcome.covers != most]
    parts.append("Nothing here speaks of other models or tasks.")
    parts += [f"For {outcome.model.label}, of which runs failed, {NARROWER[outcome.covers]}." for outcome in less]
    return " ".join(parts)


WIDENING = ("prompts", "seeds", "bases")
NARROWER: dict[Covers, str] = {
    "prompts": "they are about its own bases and runs only, for other prompts",
    "seeds": "they are about its own bases only, for other prompts and RL seeds",
}


def matched_note(findings: Findings) -> list[str]:
    """Beneath the tables at equal pass@1, a paragraph each."""
    equal, temperatures = findings.equal, findings.experiment.recipe.evaluate.temperatures
    names = {entry.name for entry in equal.entries}
    parts = [
        "Gains are in pass@1, of each run over its own base. Nothing is said of gains below the smallest declared one, "
        f"{findings.gains[0]:g}: there every arm is close to the untrained base, and to any other. Each run is matched "
        "by itself: pass@1 is made to rise by isotonic regression up to its highest evaluation, and is linear in "
        "between."
    ]
    if equal.common is not None:
        parts.append(
            f"The common range ends at {equal.common.upto:.3f}, the largest gain that every run reaches, of those "
            f"arms whose every run reaches {findings.gains[0]:g}. To tell two arms apart, read their pair: intervals "
            "of single arms may overlap though the paired difference is clear. Ranges are taken as they turned out: "
            "intervals do not cover their choice."
        )
    if any(target.reached < target.runs for entry in equal.entries for target in entry.targets):
        parts.append(
            "A run that never got there is bounded, not dropped: its pass@256 there lies between its pass@1 there "
            "(pass@k is never below pass@1) and its pass@256 at its highest pass@1 (if pass@256 would not have risen "
            "on the way). Brackets then hold both bounds with their intervals."
        )
    if findings.experiment.failed:
        parts.append("Runs that failed count as not having got there, and enter no other number.")
    if COOLED in names:
        cold = ", ".join(f"{temperature:g}" for temperature in sorted(temperatures) if temperature < 1.0)
        parts.append(
            f"The cooled base: the base at {'temperatures' if ',' in cold else 'temperature'} {cold}, from 1 on linear "
            "in between, without any training. An arm that is not above it gives no more than a lower temperature "
            "would."
        )
    if equal.heating_is_left_out:
        parts.append(f"Heating it raised no base's pass@1 by {findings.gains[0]:g}, so it has no row.")
    if any(entry.of for entry in equal.entries):
        parts.append(
            "WiSE of an arm: the weights between the base and its final models, in order of the final models' share, "
            "in between linear; it costs no training beyond the arm's."
        )
    parts.append(
        "CPU seconds: of training, the median over runs; one that never got there took infinitely long, and where that "
        "makes the median infinite, too, it is bounded (≥) by what is known: such runs trained that long in vain."
    )
    return parts


def trained_note(findings: Findings) -> str:
    """Above the tables on training prompts."""
    tabular = (
        " Tabular arms, which have no parameters in common between prompts, are known only here."
        if any(run.tabular for run in findings.experiment.runs)
        else ""
    )
    return (
        f"The same on {findings.prompts} of the prompts that each run was trained on: what is lost here was not lost "
        f"for want of generalisation.{tabular}"
    )
