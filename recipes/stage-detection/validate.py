"""How well the stage monitor works where the truth is known: toy runs, and lab runs with exact masses.

    python recipes/stage-detection/validate.py toy --runs 1000 --workers 2
    python recipes/stage-detection/validate.py lab out/stage-detection --workers 2
    python recipes/stage-detection/validate.py read out/stage-detection/line
    python recipes/stage-detection/validate.py noise

`lab` trains what is missing of line.toml, countdown.toml and binary.toml, and reads all of them; `read` reads the
finished runs of an experiment.

The truth is the turn of the mean log-mass of the optimal (rare right) answers over the training prompts: its lowest
point, if it falls by MIN_FALL nats before, rises afterwards by MIN_RISE and by MIN_SHARE of the fall, and lies in the
first two thirds of the run. A run "never turns" if it does not rise by MIN_RISE. Left out are runs that rise from the
start, a little, or too late to tell. Each detector's first "exploration" is compared with the turn t*: missed;
premature: before .5 t*; lag: the median of t/t*; false alarm: in a run that never turns. Where some prompts gain what
others lose for good, the mean log-mass falls and the mean mass rises: the last column leaves out the runs whose mean
mass of optimal answers rises by MIN_GAIN.

For the alarm *boundary shrinking* the truth is the exact pass@k on the training prompts, for k the group's size, which
the ledger estimates, and for k = 256: it falls where it is MIN_LOSS below its highest before.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from rlvrscope import config
from rlvrscope.arrays import Floats
from rlvrscope.experiment.runner import run_experiment
from rlvrscope.lab.recipe import BOUNDARY_K, Recipe
from rlvrscope.monitor import GroupLedger, StageMonitor
from rlvrscope.monitor.saturation import saturated_at
from rlvrscope.monitor.trend import Lasting, Trend
from rlvrscope.objectives import advantages, objective_from
from rlvrscope.runs.folder import RunFolder
from rlvrscope.runs.rows import EvaluationRow, LedgerRow, PromptScores, TelemetryRow
from rlvrscope.seeding import generator
from rlvrscope.stats import pass_at_k_exact

MIN_RISE, MIN_FALL, MIN_SHARE, LATEST = 0.1, 0.05, 0.1, 2 / 3
"""Nats of mean log-mass that make a turn, and a fall before it; share of the fall that is made up; latest turn, as a
share of the run."""
MIN_GAIN = 0.1
"""Rise of the mean mass of optimal answers above its lowest before that counts as one."""
MIN_LOSS = 0.03
"""Loss of pass@k that is a fall: the smallest one that the monitor calls so."""
EXPERIMENTS = ("line", "countdown", "binary")
PROMPTS, PROBED = 48, 24
CORRELATIONS, WANDERS = (0.0, 0.5, 0.8), 0.05
SEEN = ("grpo", "grpo-n", "grpo-p", "dr-grpo", "rloo", "w-reinforce")
UNSEEN = ("qae", "f-grpo", "pass-at-k", "wapo", "nsr")
"""Objectives that no threshold was fixed on."""
FIELDS = {
    "telemetry": ("reward", "entropy", "equal_reward_share"),
    "ledger": ("reward", "entropy", "equal_reward_share", "levels", "top_level", "top_at_group", "pass_at_group"),
    "probe": (
        "reward", "entropy", "equal_reward_share", "levels", "top_level", "top_at_group", "pass_at_group",
        "rare_log_mass",
    ),
}  # fmt: skip
"""What each of the monitor's three forms is given."""


@dataclass(frozen=True)
class Instance:
    """One run: its rows, the exact mean log-mass and mean mass of the optimal answers at each step, and its family.

    boundary: exact pass@k on the training prompts at each step, for k the group's size and for k = 256, by their names.
    """

    family: str
    rows: list[dict[str, Any]]
    log_mass_T: Floats
    mass_T: Floats
    boundary: dict[str, Floats] = field(default_factory=dict)

    def falls_at(self, k: str) -> int | None:
        """First step at which pass@k is MIN_LOSS below its highest before; None if it never is."""
        lost_T = np.maximum.accumulate(self.boundary[k]) - self.boundary[k] >= MIN_LOSS
        return int(lost_T.argmax()) + 1 if lost_T.any() else None

    @property
    def gains_mass(self) -> bool:
        """Whether the mean mass of the optimal answers rises by MIN_GAIN."""
        return bool((self.mass_T - np.minimum.accumulate(self.mass_T)).max() >= MIN_GAIN)

    @property
    def turn(self) -> int | None:
        """The step of the turn; 0 if there is none that is clear; None if the mass never rises."""
        lowest = int(self.log_mass_T.argmin())
        fall, rise = (
            side_T.max() - self.log_mass_T[lowest]
            for side_T in (self.log_mass_T[: lowest + 1], self.log_mass_T[lowest:])
        )
        if rise < MIN_RISE:
            return None
        clear = fall >= MIN_FALL and rise >= MIN_SHARE * fall and lowest <= LATEST * len(self.log_mass_T)
        return lowest if clear else 0


class Judged(NamedTuple):
    """What the truth of a run is, and the step of each detector's first "exploration"."""

    family: str
    turn: int | None
    gains_mass: bool
    steps: dict[str, int | None]


def toy(number: int) -> Instance:
    """Softmax policies on 48 bandits, sampled groups, one update a step: settings drawn from the instance's number."""
    rng = generator(number, "stage-detection")
    unseen = number % 5 == 4
    objective = objective_from(str(rng.choice(UNSEEN if unseen else SEEN)))
    actions, graded = int(rng.integers(3, 7)), bool(rng.random() < 0.8)
    group = max(int(rng.integers(4, 17)), objective.min_group_size)
    rate, kl = float(np.exp(rng.uniform(np.log(0.05), np.log(0.5)))), float(rng.choice([0.0, 0.0, 0.01]))
    reward_V = np.zeros(actions)
    reward_V[:2] = 1.0, rng.uniform(0.5, 0.9) if graded else 1.0
    rare_P = np.exp(rng.normal(np.log(rng.uniform(0.006, 0.05)), 0.4, PROMPTS)).clip(0.002, 0.15)
    common_P = rng.uniform(0.3, 0.6, PROMPTS)
    wrong_PV = rng.dirichlet(np.ones(actions - 2), PROMPTS) * (1.0 - rare_P - common_P)[:, None]
    logits_PV = np.log(np.column_stack([rare_P, common_P, wrong_PV]))
    start_PV = _log_softmax(logits_PV)
    ledger, rows, log_mass, mass = GroupLedger(), [], [], []
    for step in range(1, 1 + int(min(1500, 80 / rate))):
        logp_PV = _log_softmax(logits_PV)
        prob_PV = np.exp(logp_PV)
        log_mass.append(logp_PV[:, 0].mean())
        mass.append(prob_PV[:, 0].mean())
        edge_PV = prob_PV.cumsum(axis=1)[:, :-1]
        action_PG = (rng.random((PROMPTS, group))[:, :, None] > edge_PV[:, None]).sum(axis=2)
        reward_PG = reward_V[action_PG]
        row = ledger.update(step, range(PROMPTS), reward_PG).model_dump()
        rows.append(
            row
            | {
                "reward": reward_PG.mean(),
                "entropy": -(prob_PV * logp_PV).sum(axis=1).mean(),
                "equal_reward_share": (np.ptp(reward_PG, axis=1) == 0.0).mean(),
                "rare_log_mass": logp_PV[:PROBED, 0].mean(),
            }
        )
        pull_PV = np.zeros_like(prob_PV)
        np.add.at(pull_PV, (np.arange(PROMPTS)[:, None], action_PG), advantages(reward_PG, objective) / group)
        logits_PV = logits_PV + rate * (pull_PV - prob_PV * pull_PV.sum(axis=1, keepdims=True))
        if kl:
            ratio_PV = logp_PV - start_PV
            logits_PV = logits_PV - rate * kl * prob_PV * (ratio_PV - (prob_PV * ratio_PV).sum(axis=1, keepdims=True))
    family = "unseen objectives" if unseen else "toy, half fixed on" if number % 2 else "toy, other half"
    return Instance(f"{family}, {'graded' if graded else 'binary'}", rows, np.array(log_mass), np.array(mass))


def _log_softmax(logits_PV: Floats) -> Floats:
    shifted_PV = logits_PV - logits_PV.max(axis=1, keepdims=True)
    return shifted_PV - np.log(np.exp(shifted_PV).sum(axis=1, keepdims=True))


def lab(folder: Path) -> list[Instance]:
    """Every finished training run of an experiment of the lab whose training prompts were scored, from its files.

    The truth and the probe (of every second prompt) are known at its evaluations only; rows between have no probe.
    """
    instances = []
    for path in sorted(folder.rglob("telemetry.jsonl")):
        run = RunFolder(path.parent)
        scores = {row.step: row.training[0] for row in run.rows(EvaluationRow) if row.training} if run.done else {}
        if scores:
            instances.append(_of_run(f"lab, {folder.name}", run, scores))
    return instances


def _of_run(family: str, run: RunFolder, scores: Mapping[int, PromptScores]) -> Instance:
    """Of binary rewards the optimal answers are the rare right ones."""
    log_mass = {step: np.log(np.maximum(_optimal(score), 1e-12)) for step, score in scores.items()}
    probe = {step: {"rare_log_mass": float(mass_P[::2].mean())} for step, mass_P in log_mass.items()}
    ledger = {row.step: row for row in run.rows(LedgerRow)}
    rows = [
        row.model_dump() | ledger[row.step].model_dump() | probe.get(row.step, {}) for row in run.rows(TelemetryRow)
    ]
    steps = np.arange(1, len(rows) + 1)

    def at_each_step(values: Iterable[float]) -> Floats:
        return np.interp(steps, list(scores), list(values))

    success_SP = np.array([score.success_P for score in scores.values()])
    ks = [next(iter(ledger.values())).group_size, BOUNDARY_K]
    pass_KS = pass_at_k_exact(success_SP, ks).mean(axis=1).T
    names = ("group size", str(BOUNDARY_K))
    boundary = {k: at_each_step(pass_S.tolist()) for k, pass_S in zip(names, pass_KS, strict=True)}
    log_mass_T = at_each_step(float(mass_P.mean()) for mass_P in log_mass.values())
    return Instance(
        family, rows, log_mass_T, at_each_step(float(_optimal(score).mean()) for score in scores.values()), boundary
    )


def _optimal(score: PromptScores) -> Floats:
    if score.optimal_P is not None:
        return score.optimal_P
    rare_P = score.mass["rare"]
    return rare_P[rare_P > 0.0]


def monitored(fields: Sequence[str]) -> Callable[[Instance], int | None]:
    """The first step at which the monitor reads exploration from these fields."""

    def first(instance: Instance) -> int | None:
        monitor = StageMonitor()
        for row in instance.rows:
            reading = monitor.update({"step": row["step"]} | {name: row[name] for name in fields if name in row})
            if reading.stage == "exploration":
                return reading.step
        return None

    return first


def entropy_stops_falling(instance: Instance) -> int | None:
    return saturated_at([row["entropy"] for row in instance.rows])


def no_contrast(instance: Instance) -> int | None:
    """Groups with equal rewards exceed .7, over 10 steps."""
    return _first(_smooth([row["equal_reward_share"] for row in instance.rows]) > 0.7)


def reward_stops_rising(instance: Instance) -> int | None:
    """The reward's slope falls below 5 % of its steepest, over 10 steps."""
    slope_T = np.diff(_smooth([row["reward"] for row in instance.rows]))
    steepest_T = np.maximum.accumulate(slope_T)
    return _first((steepest_T > 0.0) & (slope_T < 0.05 * steepest_T))


def _smooth(values: Sequence[float]) -> Floats:
    return np.convolve(values, np.full(10, 0.1), "valid")


def _first(present_T: NDArray[np.bool_], patience: int = 3) -> int | None:
    """First step after `patience` rows in a row."""
    in_a_row_T = np.convolve(present_T, np.ones(patience))[: len(present_T)] == patience
    return int(in_a_row_T.argmax()) + 10 if in_a_row_T.any() else None


DETECTORS: dict[str, Callable[[Instance], int | None]] = {
    **{f"monitor, {name}": monitored(fields) for name, fields in FIELDS.items()},
    "entropy stops falling": entropy_stops_falling,
    "equal groups > .7": no_contrast,
    "reward stops rising": reward_stops_rising,
}


def interval(count: int, total: int) -> str:
    """Share of `count` in `total` with its exact 95 % interval (Clopper-Pearson)."""
    if not total:
        return "-"
    low = beta.ppf(0.025, count, total - count + 1) if count else 0.0
    high = beta.ppf(0.975, count + 1, total - count) if count < total else 1.0
    return f"{count / total:.3f} [{low:.3f}, {high:.3f}]"


def table(results: Sequence[Judged]) -> list[str]:
    """One line for each family and detector."""
    lines = [
        "| runs | detector | missed | premature | median t/t* | false alarms | without a gain in mass |",
        "|" + "---|" * 7,
    ]
    for family in sorted({result.family for result in results}):
        own = [result for result in results if result.family == family]
        for name in DETECTORS:
            turns = [(result.turn, result.steps[name]) for result in own if result.turn]
            never = [result.steps[name] for result in own if result.turn is None]
            still = [result.steps[name] for result in own if result.turn is None and not result.gains_mass]
            caught = [step / turn for turn, step in turns if step is not None]
            lines.append(
                f"| {family} ({len(turns)} turn, {len(never)} never) | {name} "
                f"| {interval(len(turns) - len(caught), len(turns))} "
                f"| {interval(sum(lag < 0.5 for lag in caught), len(turns))} "
                f"| {f'{np.median(caught):.2f}' if caught else '-'} "
                f"| {interval(sum(step is not None for step in never), len(never))} "
                f"| {interval(sum(step is not None for step in still), len(still))} |"
            )
    return lines


def shrinking(instance: Instance) -> int | None:
    """The first step at which the monitor, with telemetry and ledger, alarms that the boundary shrinks."""
    monitor = StageMonitor()
    for row in instance.rows:
        reading = monitor.update({"step": row["step"]} | {name: row[name] for name in FIELDS["ledger"]})
        if any(alarm.name == "boundary shrinking" for alarm in reading.alarms):
            return reading.step
    return None


def boundary_table(instances: Sequence[Instance]) -> list[str]:
    """The alarm *boundary shrinking* against the exact pass@k: one line for each family and k."""
    lines = [
        "| runs | k | pass@k falls in | alarm missed | median lag, steps | alarms in the others |",
        "|" + "---|" * 6,
    ]
    alarms = {id(instance): shrinking(instance) for instance in instances}
    for family in sorted({instance.family for instance in instances}):
        own = [instance for instance in instances if instance.family == family]
        for k in own[0].boundary:
            falls = [(fall, alarms[id(one)]) for one in own if (fall := one.falls_at(k)) is not None]
            others = [alarms[id(one)] for one in own if one.falls_at(k) is None]
            lags = [alarm - fall for fall, alarm in falls if alarm is not None]
            lines.append(
                f"| {family} ({len(own)}) | {k} | {len(falls)} | {interval(len(falls) - len(lags), len(falls))} "
                f"| {f'{np.median(lags):.0f}' if lags else '-'} "
                f"| {interval(sum(alarm is not None for alarm in others), len(others))} |"
            )
    return lines


def trained(out: Path, workers: int, overrides: Sequence[str]) -> list[Path]:
    """Train what is missing of the three experiments; return their folders."""
    folders = [out / name for name in EXPERIMENTS]
    for name, folder in zip(EXPERIMENTS, folders, strict=True):
        recipe = config.load(Path(__file__).parent / f"{name}.toml", Recipe, overrides)
        failures = run_experiment(recipe, folder, workers, "cpu", lambda event: None)
        print(f"{folder}: {len(failures)} runs failed", file=sys.stderr)
    return folders


def judged(instance: Instance) -> Judged:
    steps = {name: detect(instance) for name, detect in DETECTORS.items()}
    return Judged(instance.family, instance.turn, instance.gains_mass, steps)


def _toy(number: int) -> Judged:
    return judged(toy(number))


def write(instance: Instance, file: Path, names: Sequence[str]) -> None:
    """Write the rows of a run as JSON Lines."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({name: row[name] for name in ("step", *names)}, default=float) for row in instance.rows]
    file.write_text("\n".join(lines) + "\n")


def noise(series: int, rows: int = 1000) -> list[str]:
    """Shares of series that are noise around a constant in which a rise, and a fall, lasts: the level of THRESHOLD.

    Then shares of runs that are read as exploration where reward and entropy do not move: the reward's noise is
    independent, that of the entropy (WANDERS nats) has a lag-1 autocorrelation.
    """
    values_ST = [_wandering(number, rows, 0.0) for number in range(series)]
    shares = [
        f"a {word} lasts in {interval(sum(_lasts(values, sign) for values in values_ST), series)}"
        for word, sign in (("rise", 1), ("fall", -1))
    ]
    lines = [f"{series} series of {rows:,} rows of noise: {', '.join(shares)}"]
    for correlation in CORRELATIONS:
        explored = sum(_explores(number, rows, correlation) for number in range(series))
        lines.append(f"entropy with autocorrelation {correlation:g}: exploration in {interval(explored, series)}")
    return lines


def _wandering(number: int, rows: int, correlation: float) -> list[float]:
    """Noise x_t = correlation x_(t-1) + standard normal."""
    values: list[float] = []
    for value in generator(number, "noise").normal(size=rows).tolist():
        values.append(value + correlation * values[-1] if values else value)
    return values


def _lasts(values: Sequence[float], sign: int) -> bool:
    trend, lasting = Trend(), Lasting()
    for step, value in enumerate(values):
        trend.add(value)
        if lasting.update(step, trend.clearest(sign) is not None):
            return True
    return False


def _explores(number: int, rows: int, correlation: float) -> bool:
    reward_T = 0.5 + 0.02 * generator(number, "reward").normal(size=rows)
    instance_rows = [
        {"step": step, "reward": float(reward), "entropy": 1.0 + WANDERS * value}
        for step, (reward, value) in enumerate(zip(reward_T, _wandering(number, rows, correlation), strict=True))
    ]
    return (
        monitored(("reward", "entropy"))(Instance("noise", instance_rows, np.zeros(rows), np.zeros(rows))) is not None
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    toys = kinds.add_parser("toy")
    toys.add_argument("--runs", type=int, default=1000)
    toys.add_argument("--workers", type=int, default=2)
    kinds.add_parser("noise").add_argument("--series", type=int, default=400)
    labs = kinds.add_parser("lab", help="Train the three experiments of the lab, and read them.")
    labs.add_argument("out", type=Path)
    labs.add_argument("--workers", type=int, default=2)
    labs.add_argument("--set", dest="overrides", action="append", default=[], help="train.steps=40, for a trial")
    kinds.add_parser("read").add_argument("folders", nargs="+", type=Path)
    one = kinds.add_parser("write", help="Write the rows of one toy run as JSON Lines, for `rlvrscope monitor`.")
    one.add_argument("number", type=int)
    one.add_argument("file", type=Path)
    one.add_argument("names", nargs="*", default=[*FIELDS["probe"]], help="Fields of a row; by default all.")
    options = parser.parse_args()
    if options.kind == "write":
        write(toy(options.number), options.file, options.names)
        return
    if options.kind == "noise":
        print("\n".join(noise(options.series)))
        return
    if options.kind == "toy":
        with multiprocessing.Pool(options.workers) as pool:
            print("\n".join(table(pool.map(_toy, range(options.runs), chunksize=4))))
        return
    is_read = options.kind == "read"
    folders = options.folders if is_read else trained(options.out, options.workers, options.overrides)
    instances = [instance for folder in folders for instance in lab(folder)]
    print("\n".join([*table([judged(instance) for instance in instances]), "", *boundary_table(instances)]))


if __name__ == "__main__":
    sys.exit(main())
