"""Write the report of an experiment into its folder."""

from __future__ import annotations

import json
from pathlib import Path

import vl_convert

from massflow.report.charts import charts
from massflow.report.findings import Findings
from massflow.report.page import render
from massflow.report.results import Experiment
from massflow.runs import write_atomic

PNG_SCALE = 2.0


def write_report(folder: Path) -> Findings:
    """report.html, summary.json and every chart as figures/NAME.png and .svg. Returns what was found.

    Raises InputError if the folder holds no finished comparison, WorkError if it can't be written.
    """
    findings = Findings(Experiment.read(folder))
    drawn = charts(findings)
    for name, chart in drawn.items():
        spec = chart.to_json()
        write_atomic(folder / "figures" / f"{name}.png", vl_convert.vegalite_to_png(spec, scale=PNG_SCALE))
        write_atomic(folder / "figures" / f"{name}.svg", vl_convert.vegalite_to_svg(spec))
    write_atomic(folder / "summary.json", json.dumps(findings.as_dict(), indent=2) + "\n")
    write_atomic(folder / "report.html", render(findings, drawn))
    return findings
