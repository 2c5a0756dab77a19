"""Any two arms, prompt by prompt: who lost which prompts, by how often the base solves them."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np

from rlvrscope.arrays import Floats
from rlvrscope.experiment.findings import Findings
from rlvrscope.experiment.outcomes import label
from rlvrscope.lab.recipe import BOUNDARY_K
from rlvrscope.report.style import BASE_COLOUR, title
from rlvrscope.stats import at_gain, pass_at_k_exact

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
    pairs = findings.equal.pairs
    up, across = (arms.index(pairs[0].arm), arms.index(pairs[0].against)) if pairs else (0, len(arms))
    params = [
        _choice("a", "A (up) ", names, up),
        _choice("b", "B (across) ", names, across),
        _choice("w", "when ", moments, 0),
    ]
    a, b, before = "datum['v' + w + '_' + a]", "datum['v' + w + '_' + b]", f"datum.v0_{len(arms)}"
    chosen = alt.Chart().transform_filter(f"isValid({a}) && isValid({b})")
    chosen = chosen.transform_calculate(A=f"{a} / 1000", B=f"{b} / 1000", base=f"{before} / 1000")
    words = f"{names}[a] + ' (up) against ' + {names}[b] + ' (across)'"
    return (
        alt.hconcat(_scatter(chosen, words), _counts(chosen), spacing=28, data=_data(findings))
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


def _data(findings: Findings) -> alt.InlineData:
    """A row a base and prompt, as CSV: a third of the size that JSON has, in a page that holds many.

    v{moment}_{arm}: pass@256 in thousandths, of the base after the last arm; empty where not known.
    """
    lines = []
    for run in findings.experiment.starts:
        success_P = run.success_SP()[0]
        values_WAP = _values(findings, run.base, success_P)
        for prompt, success in enumerate(success_P.tolist()):
            name = next(name for name, upper, _ in BINS if success < upper)
            cells = ["" if np.isnan(value) else f"{1000 * value:.0f}" for value in values_WAP[:, :, prompt].ravel()]
            lines.append(",".join([str(run.base), str(prompt), f"{success:.4g}", name, *cells]))
    moments, arms = 1 + len(findings.gains), 1 + len(findings.experiment.arms)
    names = [f"v{moment}_{arm}" for moment in range(moments) for arm in range(arms)]
    # The types are told: guessed, a column without values would come as text.
    types = {"of": "string", "prompt": "number", "p": "number", "bin": "string", **dict.fromkeys(names, "number")}
    head = ",".join(types)
    return alt.InlineData(values="\n".join([head, *lines]), format=alt.CsvDataFormat(type="csv", parse=types))


def _values(findings: Findings, base: int, success_P: Floats) -> Floats:
    """(moments, arms and the base, P) of one base, mean over seeds; NaN where a run is missing or never got there."""
    before_P = pass_at_k_exact(success_P, [BOUNDARY_K])[:, 0]
    values = np.full((1 + len(findings.gains), len(findings.experiment.arms) + 1, len(success_P)), np.nan)
    values[:, -1] = before_P
    for index, runs in enumerate(findings.equal.arms.values()):
        own = [run for run in runs if run.base == str(base)]
        if own:
            values[0, index] = np.mean([pass_at_k_exact(run.success_SP[-1], [BOUNDARY_K])[:, 0] for run in own], axis=0)
            for moment, gain in enumerate(findings.gains, 1):
                values[moment, index] = np.mean([at_gain(run, BOUNDARY_K, gain) for run in own], axis=0)
    return values
