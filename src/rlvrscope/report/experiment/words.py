"""Sentences, captions and notes of an experiment's report."""

from __future__ import annotations

from collections.abc import Sequence

from rlvrscope.experiment.equal_gain import COOLED
from rlvrscope.experiment.findings import Findings
from rlvrscope.experiment.outcomes import Bounded, Entry, Estimate, GradedPair, Outcome, Pair
from rlvrscope.lab.recipe import BOUNDARY_K, PretrainedConfig
from rlvrscope.objectives import OBJECTIVES
from rlvrscope.report.text import listed, number
from rlvrscope.stats.base_means import MIN_BASES, Covers

BOUNDARY = f"pass@{BOUNDARY_K}"


def arm_label(name: str) -> str:
    """An arm's name for people: capitals for objectives of the catalogue and the base, a user's own names unchanged."""
    return name.upper() if name in OBJECTIVES or name == "base" else name


def entry_label(entry: Entry) -> str:
    return f"WiSE of {arm_label(entry.of)}" if entry.of else arm_label(entry.name)


def pair_label(pair: Pair | GradedPair) -> str:
    return f"{arm_label(pair.arm)} minus {arm_label(pair.against)}"


def with_interval(estimate: Estimate, form: str = "+.3f") -> str:
    """+0.079, 95% CI +0.060 to +0.098."""
    return f"{number(estimate.value, form)}, 95% CI {estimate.low:{form}} to {estimate.high:{form}}"


def between(value: Bounded, form: str = "+.3f") -> str:
    """A bounded value, or "LEAST to MOST"."""
    lower = number(value.least, form)
    return lower if value.known else f"{lower} to {number(value.most, form)}"


def sentences(findings: Findings) -> list[str]:
    """The results in plain sentences, one claim each; the first three open the page."""
    pairs = pair_sentences(findings)
    return [
        _outcome(findings, findings.outcomes[0]),
        pairs[0],
        _common_range(findings),
        *pairs[1:],
        _distinct(findings, findings.outcomes[0]),
        *_graded(findings),
    ]


def training_sentences(findings: Findings) -> list[str]:
    """The sentences of the section on training prompts."""
    return [*pair_sentences(findings), _common_range(findings), *_graded(findings)]


def pair_sentences(findings: Findings) -> list[str]:
    """The stated pairs at equal pass@1, one sentence per arm that others are compared against."""
    pairs, gain = findings.equal.pairs, findings.gains[0]
    if not pairs:
        return [f"No two of the arms to compare have runs scored on {findings.experiment.prompts}."]
    return [
        _against(against, [pair for pair in pairs if pair.against == against], gain)
        for against in dict.fromkeys(pair.against for pair in pairs)
    ]


def _outcome(findings: Findings, outcome: Outcome) -> str:
    base, model = findings.base, outcome.model
    first = _moved("pass@1", base.pass_at_1, model.pass_at_1, outcome.pass_at_1)
    boundary = _moved(BOUNDARY, base.pass_at_boundary, model.pass_at_boundary, outcome.pass_at_boundary)
    return f"{_steps(findings)} of {arm_label(model.name)} {first} and {boundary}."


def _moved(metric: str, before: float, after: float, change: Estimate) -> str:
    verb = {1: "raised", -1: "lowered", 0: "did not significantly change"}[change.sign]
    return f"{verb} {metric} from {before:.3f} to {after:.3f} ({with_interval(change)})"


def _against(against: str, pairs: Sequence[Pair], gain: float) -> str:
    known = [(pair.arm, pair.own.difference) for pair in pairs if pair.own]
    short = [arm_label(pair.arm) for pair in pairs if pair.own is None and pair.bases]
    separate = [arm_label(pair.arm) for pair in pairs if not pair.bases]
    text = []
    if known:
        text.append(f"Compared with {arm_label(against)} at equal pass@1, {BOUNDARY} was {_directions(known)}.")
    if short:
        text.append(
            f"{listed(short)} can't be compared with {arm_label(against)} at equal pass@1: some run gained less than "
            f"{gain:g}."
        )
    if separate:
        text.append(f"{listed(separate)} and {arm_label(against)} have no base in common, so they can't be compared.")
    return " ".join(text)


def _directions(differences: Sequence[tuple[str, Estimate]]) -> str:
    """Arms with higher, lower and not significantly different values, each by size of the difference."""
    ordered = sorted(differences, key=lambda difference: -abs(difference[1].value))
    clauses = []
    for sign, direction in ((1, "higher"), (-1, "lower"), (0, "not significantly different")):
        arms = [_arm_and_value(arm, change) for arm, change in ordered if change.sign == sign]
        if arms:
            clauses.append(f"{direction} with {listed(arms)}")
    return f"{', '.join(clauses[:-1])}, and {clauses[-1]}" if len(clauses) > 1 else clauses[0]


def _arm_and_value(arm: str, change: Estimate) -> str:
    return f"{arm_label(arm)} ({number(change.value, '+.3f')})"


def _common_range(findings: Findings) -> str:
    """The best and the worst arm, and the cooled base, over the common range of gains."""
    equal = findings.equal
    if equal.common is None:
        return f"There is no common range of gains: every arm has a run that gained less than {findings.gains[0]:g}."
    known = [
        (entry_label(entry), entry.change.most)
        for entry in equal.ranked
        if entry.trained and entry.change and entry.change.known
    ]
    parts = [f"{value:+.3f} with {label}" for label, value in known[:1] + known[1:][-1:]]
    if len(known) > 2:
        parts = [f"{parts[0]} (the best arm)", f"{parts[1]} (the worst)"]
    cooled = next((entry.change for entry in equal.entries if entry.name == COOLED), None)
    if cooled:
        parts.append(f"{between(cooled)} with the untrained base at a lower temperature")
    return f"Averaged over gains in pass@1 of {equal.common}, {BOUNDARY} changed by {listed(parts)}."


def _distinct(findings: Findings, outcome: Outcome) -> str:
    before, after = findings.base.distinct_correct, outcome.model.distinct_correct
    return (
        f"{BOUNDARY_K} samples of a prompt hold {before:.1f} distinct right answers on average before training and "
        f"{after:.1f} after {_steps(findings)} of {arm_label(outcome.model.name)} "
        f"({with_interval(outcome.distinct_correct, '+.1f')})."
    )


def _graded(findings: Findings) -> list[str]:
    """Optimal answers; nothing where rewards are not graded."""
    if not findings.graded:
        return []
    ends = sorted(findings.graded, key=lambda graded: -graded.optimal[2])
    parts = [f"{graded.optimal[2]:.3f} with {arm_label(graded.arm)}" for graded in ends[:1] + ends[1:][-1:]]
    start = findings.graded[0].optimal[0]
    lines = [f"On {findings.experiment.prompts}, the mass of optimal answers went from {start:.3f} to {listed(parts)}."]
    for against in dict.fromkeys(pair.against for pair in findings.graded_pairs):
        pairs = [(pair.arm, pair.optimal) for pair in findings.graded_pairs if pair.against == against]
        lines.append(f"Compared with {arm_label(against)}, the final mass of optimal answers was {_directions(pairs)}.")
    return lines


def _steps(findings: Findings) -> str:
    return f"{findings.experiment.recipe.train.steps} steps"


CAPTIONS = {
    "frontier": (
        "Compare arms at the same pass@1: the higher curve kept more of the boundary for the same gain. (At equal "
        "steps, a slow arm looks better only because it has gained less.) A curve that is not above the diamonds gives "
        "no more than a lower temperature does."
    ),
    "mass-flow": (
        f"Dominant: the base's most likely right answer of each prompt. Rare: right answers below 1/{BOUNDARY_K} under "
        f"the base, which {BOUNDARY_K} samples would probably miss."
    ),
    "equal-pass": (
        f"Above: change in {BOUNDARY} from the base over one range of gains common to all arms; the number to rank by. "
        "Below: the pairs stated in the recipe, each over its own range. A bar that does not touch the dashed line is "
        "a significant difference at the same pass@1."
    ),
    "envelopes": (
        f"The best {BOUNDARY} at this pass@1 or a higher one. Solid: over temperatures and checkpoints. Dotted: over "
        "checkpoints at temperature 1. A solid line above the dotted one shows what heating or cooling gets back, so "
        "what was only sharpened. A line below the base's at every temperature shows lost support. Lines end where "
        "some run has no point."
    ),
    "prompts": (
        "One point per prompt and base, mean over seeds, after training. Below the diagonal, the arm on the vertical "
        "axis is worse. Colour: the base's probability of a right answer. Counts of lost and gained prompts, also at "
        "equal pass@1, are in the table of prompts."
    ),
    "graded": (
        "Right answers earn different rewards here. Optimal: mass of those with reward 1. Common: mass of the other "
        "right ones. Exploitation: common rises while optimal falls. Exploration: optimal overtakes common."
    ),
    "pass-at-k": "Where the solid curve is below the dashed one, training has made the model worse at k samples.",
    "stages": (
        "Bands: read at each step from the steps before it alone. Exploitation: common right answers gain at the cost "
        "of rare ones. Saturated: the entropy has stopped falling. Exploration: rare right answers gain. The lowest "
        "panel decides: log-mass of optimal or rare answers where training prompts were scored, else what the groups' "
        "rewards tell. The table below counts runs."
    ),
    "training": (
        "Entropy of updated tokens: the policy's token entropy on the completions with nonzero advantage, which make "
        "the update. Reward: mean reward of the rollouts, on training prompts."
    ),
}

GRADED_NOTE = (
    f"Masses at the start and the end, and the lowest. {BOUNDARY} of optimal answers alone: start, lowest, end. "
    "Overtaken: share of prompts with more optimal than common mass at the end. Extinct: share with less than 0.0001."
)


def models_note(held_out: bool) -> str:
    """Note of the table of models."""
    entropy = " Entropy: token entropy in nats at temperature 1." if held_out else ""
    return (
        f"Changes are from the base to the end of training, so at different pass@1.{entropy} Distinct: expected number "
        f"of distinct right answers in {BOUNDARY_K} samples of a prompt. Rare mass: mass on right answers that were "
        f"below 1/{BOUNDARY_K} under the base."
    )


def setting(findings: Findings) -> str:
    """Model, task and evaluation in two sentences."""
    experiment, recipe = findings.experiment, findings.experiment.recipe
    arms = len(experiment.arms) + len(experiment.missing_arms)
    if isinstance(recipe.model, PretrainedConfig):
        sets = len(findings.bases)
        drawn = "" if sets == 1 else f", once on each of {sets} sets of training prompts (here: bases),"
        models = f"The pretrained model {recipe.model.pretrained} on the {recipe.task.name} task{drawn} "
    else:
        made = "A" if len(findings.bases) == 1 else f"{len(findings.bases)} bases, each a"
        size = f"{recipe.model.layers}-layer transformer"
        models = f"{made} {size}, trained from scratch on the {recipe.task.name} task, then "
    return (
        f"{models}"
        f"with RLVR for {recipe.train.steps} steps by {arms} {'arm' if arms == 1 else 'arms'}; evaluated on "
        f"{findings.num_prompts} {experiment.prompts}. All right answers of a prompt can be listed, so success "
        "probabilities, pass@k and masses are exact, without sampling noise."
    )


def scope(findings: Findings) -> str:
    """Populations that the intervals generalise to."""
    widest = max((outcome.covers for outcome in findings.outcomes), key=WIDENING.index)
    num_bases, num_seeds = len(findings.bases), len({run.seed for run in findings.experiment.runs})
    bases = f"{num_bases} {'base' if num_bases == 1 else 'bases'}"
    these = "this base" if num_bases == 1 else f"these {bases}"
    parts = ["Brackets hold 95% intervals, one comparison each, paired by base."]
    if widest == "bases":
        parts.append(
            f"They generalise to new prompts (resampled), new bases and new RL seeds (Student's t over {bases}, each "
            f"the mean of its {num_seeds} {'seed' if num_seeds == 1 else 'seeds'})."
        )
    elif widest == "seeds":
        parts.append(
            f"They generalise to new prompts (resampled) and new RL seeds (Student's t over the {num_seeds} seeds of a "
            f"base), for {these} only; at least {MIN_BASES} bases are needed to generalise to new ones."
        )
    else:
        parts.append(
            f"They generalise to new prompts (resampled), for {these} and these runs only; {num_seeds} RL "
            f"{'seed' if num_seeds == 1 else 'seeds'} per base are too few to estimate the spread between seeds."
        )
    narrower = [outcome for outcome in findings.outcomes if outcome.covers != widest]
    parts += [
        f"For {arm_label(outcome.model.name)}, which has failed runs, {NARROWER[outcome.covers]}."
        for outcome in narrower
    ]
    return " ".join([*parts, "The results cover only these models and this task."])


WIDENING = ("prompts", "seeds", "bases")
NARROWER: dict[Covers, str] = {
    "prompts": "they generalise to new prompts only",
    "seeds": "they generalise to new prompts and new RL seeds, but not to new bases",
}


def equal_gain_notes(findings: Findings) -> list[str]:
    """Notes of the tables at equal pass@1, one paragraph each."""
    equal, temperatures, gain = findings.equal, findings.experiment.recipe.evaluate.temperatures, findings.gains[0]
    notes = [
        f"Gains are in pass@1, of each run over its own base. Gains below the smallest declared one, {gain:g}, are not "
        "reported: there every arm is close to the untrained base. Each run is matched separately: pass@1 is made "
        "monotone by isotonic regression up to its highest evaluation, and interpolated linearly."
    ]
    if equal.common is not None:
        notes.append(
            f"The common range ends at {equal.common.upto:.3f}, the largest gain that every run reaches, among arms "
            f"whose every run reaches {gain:g}. To compare two arms, read their pair: intervals of single arms may "
            "overlap although the paired difference is significant. Intervals do not cover the choice of the range."
        )
    if any(target.reached < target.runs for entry in equal.entries for target in entry.targets):
        notes.append(
            f"A run that never reached the gain is bounded, not dropped: its {BOUNDARY} is at least its pass@1 there "
            f"(pass@k is never below pass@1) and at most its {BOUNDARY} at its highest pass@1 (assuming it would not "
            "have risen on the way). Brackets then hold both bounds with their intervals."
        )
    if findings.experiment.failed:
        notes.append("Failed runs count as not having reached the gain, and enter no other number.")
    if any(entry.name == COOLED for entry in equal.entries):
        cold = ", ".join(f"{temperature:g}" for temperature in sorted(temperatures) if temperature < 1.0)
        notes.append(
            f"Cooled base: the untrained base at {'temperatures' if ',' in cold else 'temperature'} {cold}, "
            "interpolated linearly from 1 on. An arm that is not above it gives no more than a lower temperature would."
        )
    if equal.heating_is_left_out:
        notes.append(f"The heated base has no row: heating raised no base's pass@1 by {gain:g}.")
    if any(entry.of for entry in equal.entries):
        notes.append(
            "WiSE of an arm: weights interpolated between the base and the arm's final models, in order of the final "
            "model's share, linear in between. It needs no training beyond the arm's."
        )
    notes.append(
        "CPU seconds: training time, median over runs. A run that never reached the gain counts as infinite; where the "
        "median is infinite, a lower bound (≥) is given."
    )
    return notes


def training_note(findings: Findings) -> str:
    """Introduction of the section on training prompts."""
    tabular = (
        " Tabular arms, which share no parameters between prompts, are scored only here."
        if any(run.tabular for run in findings.experiment.runs)
        else ""
    )
    return (
        f"The same on {findings.num_prompts} of each run's own training prompts: losses here are not failures to "
        f"generalise.{tabular}"
    )
