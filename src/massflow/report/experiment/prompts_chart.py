"""Any two arms, prompt by prompt: who lost which prompts, by how often the base solves them."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np

from massflow.lab.recipe import BOUNDARY_K
from massflow.report.experiment.findings import Findings
from massflow.report.experiment.numbers import label
from massflow.report.experiment.results import one_a_base
from massflow.report.style import BASE_COLOUR, title
from massflow.stats import at_gain, pass_at_k_exact
from massflow.stats.bootstrap import Floats

BINS = (
    ("below 1/256", 1.0 / BOUNDARY_K, "#D55E00"),
    ("1/256 to .03", 0.03, "#E69F00"),
    (".03 to .1", 0.1, "#009E73"),
    (".1 to .5", 0.5, "#56B4E9"),
    (".5 and above", np.inf, "#0072B2"),
)
"""Of the base's P(right): name, upper end, colour."""
ALL = "all prompts"
REACH = 0.5
"""pass@256 from which on a prompt is within reach: 256 samples more often hold a right answer than not."""
COLUMNS = {
    "prompts": "prompts",
    "meanBase": "base,|mean",
    "meanA": "A,|mean",
    "meanB": "B,|mean",
    "lostA": "lost by|A only",
    "lostB": "lost by|B only",
    "gainedA": "gained|by A only",
    "gainedB": "gained|by B only",
}


def prompts(findings: Findings) -> Any:
    """Two arms chosen on the page: pass@256 of each prompt under both, and counts by the base's success rate."""
    arms = findings.experiment.arms
    names = [*(label(arm) for arm in arms), "BASE"]
    moments = ["after training", *(f"where pass@1 had risen by {gain:g}" for gain in findings.gains)]
    up, across = (1, 0) if len(arms) > 1 else (0, 1)
    params = [
        _choice("a", "A (up) ", names, up),
        _choice("b", "B (across) ", names, across),
        _choice("w", "when ", moments, 0),
    ]
    data = alt.Data(values=_rows(findings))
    # Each chart reads the chosen arms' values from the row's table of moments x arms.
    chosen = alt.Chart(data).transform_calculate(A="datum.v[w][a]", B="datum.v[w][b]", base=f"datum.v[0][{len(arms)}]")
    chosen = chosen.transform_filter("isValid(datum.A) && isValid(datum.B)")
    words = f"{names}[a] + ' (up) against ' + {names}[b] + ' (across)'"
    return (
        alt.hconcat(_scatter(chosen, words), _counts(chosen), spacing=28)
        .add_params(*params)
        .properties(
            title=title(
                "pass@256, prompt by prompt: A against B",
                "Below the diagonal A is the worse. Within reach: pass@256 of at least 1/2. Lost: within the base's "
                "reach, out of the arm's; gained: the other way round.",
            )
        )
    )


def _choice(name: str, words: str, options: list[str], chosen: int) -> alt.Parameter:
    binding = alt.binding_select(options=list(range(len(options))), labels=options, name=words)
    return alt.param(name=name, value=chosen, bind=binding)


def _scatter(chosen: alt.Chart, words: str) -> Any:
    colours = alt.Scale(domain=[name for name, *_ in BINS], range=[colour for *_, colour in BINS])
    legend = alt.Legend(orient="bottom", title="P(right) of the base", columns=3, symbolOpacity=1)
    axis = alt.Scale(domain=[0, 1])
    details = [
        alt.Tooltip("prompt:Q"),
        alt.Tooltip("of:N", title="base"),
        *(alt.Tooltip(f"{field}:Q", title=text, format=".3f") for field, text in (("p", "P(right) of the base"),)),
        alt.Tooltip("A:Q", format=".3f"),
        alt.Tooltip("B:Q", format=".3f"),
    ]
    points = chosen.mark_circle(size=34, opacity=0.65).encode(
        x=alt.X("B:Q", title="pass@256 of B", scale=axis),
        y=alt.Y("A:Q", title="pass@256 of A", scale=axis),
        color=alt.Color("bin:N", scale=colours, legend=legend),
        tooltip=details,
    )
    corners = alt.Chart(alt.Data(values=[{"B": 0, "A": 0}, {"B": 1, "A": 1}]))
    diagonal = corners.mark_line(color=BASE_COLOUR, strokeWidth=1, strokeDash=[3, 3]).encode(x="B:Q", y="A:Q")
    heading = alt.TitleParams(text=alt.expr(words), fontSize=12, anchor="start")
    return alt.layer(diagonal, points).properties(width=290, height=290, title=heading)


def _counts(chosen: alt.Chart) -> Any:
    """A table: prompts in each bin, means of both arms, and how many only one of them lost or gained."""
    moved = {
        f"{what}{arm}": f"{was} && {mine} && {its} ? 1 : 0"
        for arm, other in ("AB", "BA")
        for what, was, mine, its in (
            ("lost", f"datum.base >= {REACH}", f"datum.{arm} < {REACH}", f"datum.{other} >= {REACH}"),
            ("gained", f"datum.base < {REACH}", f"datum.{arm} >= {REACH}", f"datum.{other} < {REACH}"),
        )
    }
    rows = [*(name for name, *_ in BINS), ALL]
    means = {"meanBase": "base", "meanA": "A", "meanB": "B"}
    sums: list[Any] = [("count", "A", "prompts"), *(("mean", field, name) for name, field in means.items())]
    sums += [("sum", name, name) for name in moved]
    table = (
        chosen.transform_calculate(row=f"[datum.bin, '{ALL}']", **moved)
        .transform_flatten(["row"])
        .transform_aggregate(
            [alt.AggregatedFieldDef(op=op, field=field, **{"as": name}) for op, field, name in sums], groupby=["row"]
        )
        .transform_fold(list(COLUMNS), as_=["column", "value"])
        .transform_calculate(text="format(datum.value, indexof(datum.column, 'mean') == 0 ? '.3f' : 'd')")
    )
    words = "{" + ", ".join(f"{name}: split('{text}', '|')" for name, text in COLUMNS.items()) + "}[datum.label]"
    plain = {"title": None, "domain": False, "ticks": False}
    return (
        table.mark_text(fontSize=12)
        .encode(
            x=alt.X(
                "column:N",
                sort=list(COLUMNS),
                axis=alt.Axis(orient="top", labelAngle=0, labelPadding=18, labelExpr=words, **plain),
            ),
            y=alt.Y("row:N", sort=rows, scale=alt.Scale(domain=rows), axis=alt.Axis(labelLimit=120, **plain)),
            text="text:N",
        )
        .properties(
            width=440, height=200, title=alt.TitleParams("By P(right) of the base", fontSize=12, anchor="start")
        )
    )


def _rows(findings: Findings) -> list[dict[str, Any]]:
    """A row a base and prompt: pass@256 of each arm (and of the base) at each moment, null where not known."""
    rows = []
    for run in one_a_base(findings.experiment.runs):
        success_P = run.success_SP()[0]
        values_WAP = _values(findings, run.base, success_P)
        for prompt, success in enumerate(success_P.tolist()):
            table = [[_short(value) for value in values_A] for values_A in values_WAP[:, :, prompt].tolist()]
            name = next(name for name, upper, _ in BINS if success < upper)
            rows.append({"of": str(run.base), "prompt": prompt, "p": round(success, 5), "bin": name, "v": table})
    return rows


def _values(findings: Findings, base: int, success_P: Floats) -> Floats:
    """(moments, arms and the base, P) of one base, mean over seeds; NaN where a run is missing or never got there."""
    before_P = pass_at_k_exact(success_P, [BOUNDARY_K])[:, 0]
    values = np.full((1 + len(findings.gains), len(findings.experiment.arms) + 1, len(success_P)), np.nan)
    values[:, -1] = before_P
    for index, runs in enumerate(findings.training.values()):
        own = [run for run in runs if run.base == str(base)]
        if own:
            values[0, index] = np.mean([pass_at_k_exact(run.success_SP[-1], [BOUNDARY_K])[:, 0] for run in own], axis=0)
            for moment, gain in enumerate(findings.gains, 1):
                values[moment, index] = np.mean([at_gain(run, BOUNDARY_K, gain) for run in own], axis=0)
    return values


def _short(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 3)
