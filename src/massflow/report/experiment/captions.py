"""The explanations on an experiment's page: what a chart or a table shows, and what its intervals cover."""

from __future__ import annotations

from massflow.report.experiment.findings import Findings
from massflow.stats.bases import FEW_BASES

HEADINGS = {
    "frontier": (
        "The frontier",
        "Equal steps flatter a slow arm, which has paid less because it has gained less. Read up and down at one "
        "pass@1: the higher curve kept more of the boundary for the same gain. Two baselines cost no training: the "
        "base merely cooled (diamonds), and weights between the base's and a final model's (WiSE, triangles, where "
        "the recipe asks for it). A curve that does not rise above the first has gained nothing by RL.",
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


TABLE_NOTE = (
    "Changes are from the base. Entropy: token entropy in nats at temperature 1. Distinct: expected number of "
    "different right answers in 256 samples of a prompt. Rare mass: of the right answers that were "
    "below 1/256 under the base."
)


GRADED_NOTE = (
    "Masses at the start and after training, and the lowest on the way; pass@256 counting optimal answers alone: "
    "start, lowest, end. Overtaken: the share of prompts whose optimal mass is the larger one at the end. Extinct: "
    "below 0.0001."
)


def scope(findings: Findings) -> str:
    """What the intervals cover, and what not."""
    bases, seeds = len(findings.bases), len({run.seed for run in findings.experiment.runs})
    if bases == 1:
        return (
            "In brackets: 95 % intervals. They resample the held-out prompts, paired, each comparison by itself. They "
            f"do not cover the choice of base (1 here) or of RL seed ({seeds}, averaged): this page speaks of these "
            "models."
        )
    few = (
        f" {bases} bases say little of a third, so intervals are wide where bases differ; from {FEW_BASES} on they "
        "narrow down."
        if bases < FEW_BASES
        else ""
    )
    return (
        "In brackets: 95 % intervals, each comparison by itself, for other prompts (resampled, paired) and for other "
        f"bases and RL seeds (Student's t over {bases} bases of {seeds} {'seed' if seeds == 1 else 'seeds'}, each "
        f"compared with what came of it).{few}"
    )


def matched_note(findings: Findings) -> str:
    """Beneath the tables at equal pass@1."""
    bounded = any(target.reached < target.runs for outcome in findings.outcomes for target in outcome.targets)
    bounds = (
        " A run that never got there is bounded, not dropped: its pass@256 there lies between its pass@1 there (pass@k "
        "is never below pass@1) and its pass@256 at its highest pass@1 (if pass@256 would not have risen on the way)."
        if bounded
        else ""
    )
    return (
        "The first table has the mean difference over a range of gains; the others the gains declared in the recipe. "
        "Each run is matched by itself, on its own base: pass@1 is made to rise by "
        f"isotonic regression up to its highest evaluation, and is linear in between.{bounds} CPU seconds: of "
        "training, the median of the runs that got there."
    )
