"""The tables of an experiment. A terminal of 80 columns shows a part of their columns."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rlvrscope.experiment.findings import FRONTIER_RESAMPLES, RESAMPLES, Findings
from rlvrscope.experiment.outcomes import AtGain, Entry, Estimate, Model
from rlvrscope.experiment.prompt_changes import PromptPair, prompt_counts
from rlvrscope.experiment.results import Experiment
from rlvrscope.experiment.stages import ArmStages
from rlvrscope.report.experiment.words import (
    BOUNDARY,
    GRADED_NOTE,
    arm_label,
    entry_label,
    models_note,
    pair_label,
)
from rlvrscope.report.table import Cell, Column, Table, facts_table
from rlvrscope.report.text import MISSING, number
from rlvrscope.runs.finished_run import HELD_OUT
from rlvrscope.runs.rows import TimingRow
from rlvrscope.stats.frontier import Seconds

NAME = Column("", align="left", max_cells=14)
WIDE_NAME = Column("", align="left", max_cells=30)


def result_tables(findings: Findings) -> list[Table]:
    """The tables of one set of prompts that have rows."""
    makers = (models_table, ranking_table, pairs_table, gains_table)
    return [table for table in (make(findings) for make in makers) if table.rows]


def graded_tables(findings: Findings) -> list[Table]:
    """Common and optimal answers, on training prompts first; empty where rewards are not graded."""
    scored = [one for one in (findings.on_training, findings) if one]
    tables = [table for one in scored for table in (graded_table(one), graded_pairs_table(one))]
    return [table for table in tables if table.rows]


def models_table(findings: Findings) -> Table:
    """The base and every arm after training. Greedy accuracy and entropy are known on held-out prompts only."""
    held_out = findings.experiment.prompts == HELD_OUT
    columns = (
        NAME,
        Column("pass@1"),
        Column("change in pass@1", "+.3f", terminal="hidden"),
        Column(BOUNDARY),
        Column(f"change in {BOUNDARY}", "+.3f", terminal="value"),
        *((Column("greedy"), Column("entropy")) if held_out else ()),
        Column("distinct", ".1f"),
        Column("rare mass", ".4f", terminal="hidden"),
    )

    def row(model: Model, first: Estimate | None, boundary: Estimate | None) -> tuple[Cell, ...]:
        known = (model.greedy_accuracy, model.token_entropy) if held_out else ()
        scores = (model.pass_at_1, first, model.pass_at_boundary, boundary)
        return (arm_label(model.name), *scores, *known, model.distinct_correct, model.rare_mass)

    rows = [row(findings.base, None, None)]
    rows += [row(outcome.model, outcome.pass_at_1, outcome.pass_at_boundary) for outcome in findings.outcomes]
    return Table(columns, [*rows, *_missing_arms(findings, columns)], "After training", models_note(held_out))


def ranking_table(findings: Findings) -> Table:
    """Every arm and baseline by its change in the boundary over the common range of gains."""
    equal = findings.equal
    baselines = _baseline_columns(findings)
    columns = (WIDE_NAME, Column(f"change in {BOUNDARY}", "+.3f"), Column("runs"), *baselines)
    rows = [
        (
            entry_label(entry),
            entry.change,
            None if entry.reached is None else f"{entry.reached} of {entry.runs}",
            *_minus_baselines(entry, baselines),
        )
        for entry in equal.ranked
    ]
    over = f"mean over gains of {equal.common}" if equal.common else "no common range of gains"
    title = f"At equal pass@1, {over}: change from the base; runs that reach all gains"
    return Table(columns, [*rows, *_missing_arms(findings, columns)], title)


def pairs_table(findings: Findings) -> Table:
    """The stated pairs, over their own range of gains, over the common range, and at each declared gain."""
    common = findings.equal.common
    columns = (
        WIDE_NAME,
        Column(f"{BOUNDARY}, own range", "+.3f"),
        Column("own range of gains"),
        Column(f"over gains {common}" if common else "over a common range", "+.3f", terminal="hidden"),
        *(Column(f"at a gain of {gain:g}", "+.3f", terminal="hidden") for gain in findings.gains),
    )
    rows = [
        (
            pair_label(pair),
            pair.own and pair.own.difference,
            pair.own and str(pair.own.span),
            pair.common,
            *pair.targets,
        )
        for pair in findings.equal.pairs
    ]
    return Table(columns, rows, f"Pairs at equal pass@1: difference in {BOUNDARY}")


def gains_table(findings: Findings) -> Table:
    """Every arm and baseline at each declared gain."""
    baselines = _baseline_columns(findings)
    columns = (
        WIDE_NAME,
        Column("gain", "+g"),
        Column("runs"),
        Column(BOUNDARY, terminal="value"),
        *baselines,
        Column("CPU seconds"),
    )
    rows = [
        (
            entry_label(entry),
            gain,
            f"{target.reached} of {target.runs}",
            target.pass_at_boundary,
            *_minus_baselines(target, baselines),
            _seconds(target.seconds),
        )
        for index, gain in enumerate(findings.gains)
        for entry in findings.equal.entries
        for target in (entry.targets[index],)
    ]
    return Table(
        columns, [*rows, *_missing_arms(findings, columns)], "At each declared gain in pass@1; runs that reach it"
    )


def graded_table(findings: Findings) -> Table:
    """Common and optimal answers: masses, then shares of prompts."""
    columns = (
        NAME,
        Column("common"),
        Column("optimal"),
        Column("lowest"),
        Column("at step"),
        Column(f"{BOUNDARY} of optimal", terminal="hidden"),
        Column("overtaken", ".2f"),
        Column("extinct", ".2f"),
        Column("change in optimal", "+.3f", terminal="hidden"),
        Column(f"change in {BOUNDARY} of optimal", "+.3f", terminal="hidden"),
    )
    rows = [
        (
            arm_label(graded.arm),
            _path(graded.common, ".2f"),
            _path(graded.optimal[::2], ".3f"),
            graded.optimal[1],
            graded.lowest_step,
            _path(graded.boundary, ".2f"),
            graded.overtaken,
            graded.extinct,
            graded.optimal_change,
            graded.boundary_change,
        )
        for graded in findings.graded
    ]
    return Table(columns, rows, f"Common and optimal answers on {findings.experiment.prompts}", GRADED_NOTE)


def graded_pairs_table(findings: Findings) -> Table:
    """The stated pairs by their final mass of optimal answers."""
    columns = (WIDE_NAME, Column("optimal mass", "+.3f"))
    rows = [(pair_label(pair), pair.optimal) for pair in findings.graded_pairs]
    return Table(columns, rows, f"Pairs at the end of training, on {findings.experiment.prompts}")


def stages_table(arms: Sequence[ArmStages]) -> Table:
    """Stages and alarms by arm, as the monitor reads them from telemetry, group rewards and training prompts."""
    rows = [
        (
            arm.arm, len(arm.runs), f"{len(arm.turns)} of {len(arm.runs)}", math.nan if arm.turn is None else arm.turn,
            ", ".join(f"{stage} {number}" for stage, number in arm.last.most_common()),
            ", ".join(f"{name} {number}" for name, number in arm.alarms.most_common()) or "none",
        )
        for arm in arms
    ]  # fmt: skip
    columns = (
        Column("arm", align="left"), Column("runs", form=".0f"), Column("reached exploration"),
        Column("at step (median)", form=".0f"), Column("stage at the end (runs)", align="left", wrap=True),
        Column("alarms (runs)", align="left", wrap=True),
    )  # fmt: skip
    note = (
        "Read by rlvrscope.monitor without looking ahead. Exploration: rare better answers turned up; where rewards "
        "are not graded and no training prompts are scored, it is hard to see."
    )
    return Table(columns, rows, "Stages", note)


def prompts_table(pairs: Sequence[PromptPair]) -> Table:
    """Prompts lost and gained by each pair, by the base's success rate."""
    columns = (
        Column("arm", align="left"),
        Column("against", align="left"),
        Column("when", align="left"),
        Column("P(right) of the base", align="left"),
        Column("prompts"),
        Column("base, mean"),
        Column("arm, mean"),
        Column("against, mean"),
        *(
            Column(f"{change} by {who}")
            for change in ("lost", "gained")
            for who in ("arm only", "against only", "both")
        ),
    )
    rows = [
        (
            arm_label(pair.arm),
            arm_label(pair.against),
            "after training" if pair.gain is None else f"gain of {pair.gain:g}",
            counts.success_bin,
            counts.prompts,
            counts.before,
            counts.arm,
            counts.against,
            counts.lost_by_arm_only,
            counts.lost_by_against_only,
            counts.lost_by_both,
            counts.gained_by_arm_only,
            counts.gained_by_against_only,
            counts.gained_by_both,
        )
        for pair in pairs
        for counts in prompt_counts(pair)
    ]
    note = (
        f"Means are of {BOUNDARY}. In reach: {BOUNDARY} of at least one half. Lost: in reach of the base, out of reach "
        "of the model. Gained: the other way round. Pairs have no rows at gains that some run never reached."
    )
    return Table(columns, rows, note=note)


def environment_table(experiment: Experiment) -> Table:
    """Seeds, versions and machine."""
    compare = experiment.compare
    seeds = (
        f"bases {list(compare.bases)}, RL {list(compare.seeds)}; bootstrap 0, {RESAMPLES:,} resamples "
        f"({FRONTIER_RESAMPLES:,} at equal pass@1)"
    )
    facts = [(name.replace("_", " "), str(value)) for name, value in experiment.environment.items()]
    return facts_table([("seeds", seeds), *facts])


def times_table(experiment: Experiment) -> Table:
    """Seconds of each run, by phase."""
    rows = []
    for run in experiment.runs:
        sums = [float(sum(_known(getattr(row, phase)) for row in run.timing)) for phase in TimingRow.PHASES]
        cpu_S = run.cpu_seconds_S
        rows.append((run.name, *sums, sum(sums), None if cpu_S is None else float(cpu_S[-1])))
    headers = (*TimingRow.PHASES, "all", "CPU, training")
    columns = (Column("run", align="left"), *(Column(header, ".1f") for header in headers))
    return Table(columns, rows, "Seconds of each run, by phase")


def _baseline_columns(findings: Findings) -> list[Column]:
    """Differences from those baselines that exist."""
    entries = findings.equal.entries
    headers = {
        MINUS_COOLED: any(entry.minus_cooled for entry in entries),
        MINUS_WISE: any(entry.minus_wise for entry in entries),
    }
    return [Column(header, "+.3f", terminal="hidden") for header, exists in headers.items() if exists]


MINUS_COOLED, MINUS_WISE = "minus the cooled base", "minus its WiSE"


def _minus_baselines(entry: Entry | AtGain, columns: Sequence[Column]) -> list[Cell]:
    cells: dict[str, Cell] = {MINUS_COOLED: entry.minus_cooled, MINUS_WISE: entry.minus_wise}
    return [cells[column.header] for column in columns]


def _missing_arms(findings: Findings, columns: Sequence[Column]) -> list[tuple[Cell, ...]]:
    """A row for each arm without runs on these prompts."""
    return [(arm_label(arm), *[None] * (len(columns) - 1)) for arm in findings.experiment.missing_arms]


def _path(values: Sequence[float], form: str) -> str:
    return " → ".join(number(value, form) for value in values)


def _seconds(seconds: Seconds | None) -> str:
    if seconds is None:
        return MISSING
    return f"{'' if seconds.known else '≥ '}{number(seconds.least, '.1f')}"


def _known(value: float) -> float:
    return 0.0 if value != value else value
