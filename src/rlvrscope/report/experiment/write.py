"""The report of an experiment, written into its folder."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rlvrscope.experiment.findings import Findings
from rlvrscope.experiment.results import Experiment
from rlvrscope.lab.recipe import BOUNDARY_K
from rlvrscope.report.experiment.charts import charts
from rlvrscope.report.experiment.page import render
from rlvrscope.report.experiment.words import sentences
from rlvrscope.report.style import save
from rlvrscope.runs import write_atomic

FORMAT_VERSION = 5
TIMES_FORMAT_VERSION = 2


def write_report(folder: Path) -> Findings:
    """Write report.html, summary.json, times.json and every chart as figures/NAME.png and .svg.

    Raises InputError if the folder holds no finished comparison, WorkError if a file can't be written.
    """
    findings = Findings(Experiment.read(folder))
    drawn = charts(findings)
    for name, chart in drawn.items():
        for suffix in ("png", "svg"):
            save(chart, folder / "figures" / f"{name}.{suffix}")
    write_atomic(folder / "summary.json", json.dumps(summary(findings), indent=2) + "\n")
    write_atomic(folder / "times.json", json.dumps(times(findings), indent=2) + "\n")
    write_atomic(folder / "report.html", render(findings, drawn))
    return findings


def summary(findings: Findings) -> dict[str, Any]:
    """All findings as plain values, without times: the same runs give the same bytes."""
    experiment, equal = findings.experiment, findings.equal
    entries = [asdict(entry) for entry in equal.entries]
    for target in (target for entry in entries for target in entry["targets"]):
        del target["seconds"]
    return {
        "format_version": FORMAT_VERSION,
        "recipe": experiment.recipe.name,
        "boundary_k": BOUNDARY_K,
        "prompts": {"kind": experiment.prompts, "number": findings.num_prompts},
        "bases": len(findings.bases),
        "base": asdict(findings.base),
        "gains": list(findings.gains),
        "outcomes": [asdict(outcome) for outcome in findings.outcomes],
        "missing_arms": experiment.missing_arms,
        "common_range": equal.common and asdict(equal.common),
        "at_equal_pass_at_1": entries,
        "pairs": [asdict(pair) for pair in equal.pairs],
        "graded": [asdict(graded) for graded in findings.graded],
        "graded_pairs": [asdict(pair) for pair in findings.graded_pairs],
        "training_prompts": summary(findings.on_training) if findings.on_training else None,
        "failed": [asdict(failure) for failure in experiment.failed],
        "sentences": sentences(findings),
    }


def times(findings: Findings) -> dict[str, Any]:
    """Median CPU seconds of training to each declared gain, by arm; different each time."""
    return {
        "format_version": TIMES_FORMAT_VERSION,
        "gains": list(findings.gains),
        "cpu_seconds": {
            entry.name: [target.seconds and asdict(target.seconds) for target in entry.targets]
            for entry in findings.equal.entries
            if entry.trained
        },
    }
