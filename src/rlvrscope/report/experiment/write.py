"""Write the report of an experiment into its folder."""

from __future__ import annotations

import json
from pathlib import Path

from rlvrscope.experiment.findings import Findings
from rlvrscope.experiment.results import Experiment
from rlvrscope.report.experiment.charts import charts
from rlvrscope.report.experiment.page import render
from rlvrscope.report.style import save
from rlvrscope.runs import write_atomic


def write_report(folder: Path) -> Findings:
    """report.html, summary.json, times.json and every chart as figures/NAME.png and .svg. Returns what was found.

    Raises InputError if the folder holds no finished comparison, WorkError if it can't be written.
    """
    findings = Findings(Experiment.read(folder))
    drawn = charts(findings)
    for name, chart in drawn.items():
        for suffix in ("png", "svg"):
            save(chart, folder / "figures" / f"{name}.{suffix}")
    write_atomic(folder / "summary.json", json.dumps(findings.as_dict(), indent=2) + "\n")
    write_atomic(folder / "times.json", json.dumps(findings.times(), indent=2) + "\n")
    write_atomic(folder / "report.html", render(findings, drawn))
    return findings
