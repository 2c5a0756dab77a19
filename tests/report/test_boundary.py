"""The boundary's comparison, sentences, charts and page: by hand, against hostile text, and in a browser."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import vl_convert

from rlvrscope import InputError
from rlvrscope.experiment.boundary import Boundary, Question, by_unique_name, default_ks
from rlvrscope.experiment.outcomes import Estimate
from rlvrscope.readers import ModelCounts, read_models
from rlvrscope.report.boundary.charts import charts, curves, moves
from rlvrscope.report.boundary.page import render
from rlvrscope.report.boundary.tables import verdict_table
from rlvrscope.report.boundary.words import conclusion, notes
from rlvrscope.report.boundary.write import as_csv, as_dict
from rlvrscope.report.style import save
from rlvrscope.report.text import number, one_line, printable
from rlvrscope.stats.counts import GroupCounts

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    "{{ 7*7 }}{% raw %}",
    "\x1b[31mred\x1b]0;title\x07",
    "nul\x00x",
    "turned \u202eround\u2066",
    "[bold]x[/] [/]",
    "two\nlines\ttab\r",
    "\x9b31m \x7f \ufffe \u2028",
    "quoted \"' + x + '\" \\",
]


def model(name: str, c: Sequence[int], n: int | Sequence[int] = 64, **labels: Any) -> ModelCounts:
    problems = labels.pop("problem", [f"p{index}" for index in range(len(c))])
    return ModelCounts(name, GroupCounts(problems, np.broadcast_to(n, len(c)), c, **labels))


def question(**changes: Any) -> Question:
    return Question(**{"resamples": 500, **changes})


WIDE = model("base", [4] * 50 + [32] * 50)
"""Solves every problem within 64 samples; NARROW solves half of them never and half of them nearly always."""
NARROW = model("grpo", [0] * 50 + [60] * 50)


def spread_out(name: str, seed: int, n: int | Sequence[int] = 64, problems: int = 60, gain: float = 1.0) -> ModelCounts:
    rng = np.random.default_rng(seed)
    success = np.clip(np.random.default_rng(0).beta(0.4, 1.0, problems) * gain, 0.0, 1.0)
    return model(name, rng.binomial(n, success).tolist(), n)


# The words.


def verdict_on(base: ModelCounts, trained: ModelCounts, **changes: Any) -> str:
    return conclusion(Boundary.of(base, [trained], question(**changes)), trained.name)


def test_a_shrunk_boundary_is_called_so():
    sentence = verdict_on(WIDE, NARROW)
    assert sentence.startswith("grpo: the boundary shrank: pass@64 fell (-0.500 [")
    assert ", pass@1 rose (+0.188 [" in sentence
    crossing = Boundary.of(WIDE, [NARROW], question()).comparisons["grpo"].crossover.k
    assert f"The curves cross at k = {crossing} (" in sentence
    assert sentence.endswith("Applies to this checkpoint, on new problems of the same kind.")


def test_an_expanded_boundary_is_called_so_and_curves_that_cross_upwards_have_no_crossover():
    """The crossover is the k from which the base is no worse: here it is better at k = 1 already."""
    sentence = verdict_on(NARROW, WIDE)
    assert sentence.startswith("base: the boundary expanded: pass@64 rose (+0.500 [")
    assert ", pass@1 fell (-0.188 [" in sentence
    assert "cross" not in sentence
    assert "cross at" not in json.dumps(panels(Boundary.of(NARROW, [WIDE], question())))


def test_no_change_must_be_shown():
    turn = np.tile([1, -1], 50)
    one, other = model("base", 32 + turn), model("grpo", 32 - turn)
    assert verdict_on(one, other, ks=(1,), margin=0.05).startswith("grpo: pass@1 did not change (0.000 [")
    assert "100 problems do not settle pass@1 (" in verdict_on(one, other, ks=(1,), margin=0.001)
    assert "100 problems do not settle pass@2 (" in verdict_on(one, other, ks=(1, 2), margin=0.001)


def test_few_problems_settle_nothing_or_carry_a_star():
    assert "4 problems do not settle pass@8 (" in verdict_on(model("a", [1, 2, 3, 0], 8), model("b", [2, 1, 4, 1], 8))
    two = Boundary.of(model("a", [0, 0], 8), [model("b", [8, 8], 8)], question())
    assert "2 problems do not settle pass@8 (+1.000 [-1.000, +1.000])" in conclusion(two, "b")
    sure = Boundary.of(model("a", [0] * 10, 8), [model("b", [8] * 7 + [0] * 3, 8)], question())
    assert "b: the boundary expanded *: pass@8 rose (+0.700" in conclusion(sure, "b")
    assert any(
        note == "* The band may be too narrow: fewer than 10 problems' worth carry this difference."
        for note in notes(sure)
    )


def test_beyond_the_samples_there_is_no_conclusion():
    boundary = Boundary.of(WIDE, [NARROW], question(ks=(128, 256)))
    expected = "no conclusion: every requested k is above the number of samples of some problem."
    assert conclusion(boundary, "grpo") == f"grpo: {expected}"
    assert notes(boundary) == [
        "base: pass@128 is undefined for 100 of 100 problems (n < 128).",
        "grpo: pass@128 is undefined for 100 of 100 problems (n < 128).",
    ]


@pytest.mark.parametrize(
    ("target", "problems"), [("new problems", "new problems of the same kind"), ("this set", "these problems only")]
)
def test_several_runs_apply_to_the_objective(target: str, problems: str):
    runs = {"problem": [f"p{i}" for i in range(100)] * 2, "seed": [0] * 100 + [1] * 100}
    twice = model("grpo", [*NARROW.counts.c, *NARROW.counts.c], **runs)
    scope = "this objective" if target == "new problems" else "these checkpoints"
    assert verdict_on(WIDE, twice, target=target).endswith(f"Applies to {scope}, on {problems}.")
    assert verdict_on(WIDE, NARROW, target=target).endswith(f"Applies to this checkpoint, on {problems}.")


def test_other_samples_of_one_sample_each_are_refused():
    with pytest.raises(InputError, match="at least 2 samples of every problem"):
        Boundary.of(model("a", [0, 1, 1], 1), [model("b", [1, 1, 1], 1)], question(target="this set"))


def test_several_models_are_noted():
    boundary = Boundary.of(WIDE, [NARROW, WIDE], question(ks=(1,)))
    assert list(boundary.trained) == ["grpo", "base (2)"]
    assert "2 models are compared: the verdicts of all together keep the level." in notes(boundary)


# The findings.


def test_moves_by_hand():
    base = model("base", [0, 0, 1, 4, 7, 8, 8], 8)
    trained = model("grpo", [8, 8, 8, 3, 0, 1, 0], 8, problem=["p6", "p5", "p4", "p3", "p2", "p1", "p0"])
    boundary = Boundary.of(base, [trained], question(ks=(1,)))
    # never: 0 of 8; rarely: under 4; often: 4 to 7; always: 8. p0 never -> never, p1 never -> rarely, p2 rarely ->
    # never, p3 often -> rarely, p4 often -> always, p5 and p6 always -> always.
    expected = [[1, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 0, 2]]
    assert boundary.moves("grpo").tolist() == expected
    assert as_dict(boundary)["models"][0]["moves"]["problems"] == expected


def test_every_problem_moves_once():
    base, trained = spread_out("base", 1), spread_out("grpo", 2, gain=2.0)
    boundary = Boundary.of(base, [trained], question(ks=(1,)))
    table = boundary.moves("grpo")
    assert table.sum() == 60
    assert table.sum(axis=1)[[0, 3]].tolist() == [(base.counts.c == 0).sum(), (base.counts.c == 64).sum()]
    assert table.sum(axis=0)[[0, 3]].tolist() == [(trained.counts.c == 0).sum(), (trained.counts.c == 64).sum()]


def test_default_ks_end_at_the_fewest_samples():
    ragged = model("base", [1, 2, 3], [20, 64, 1000])
    assert default_ks([ragged.counts]) == (1, 2, 4, 8, 16)
    assert default_ks([ragged.counts, model("b", [1, 1, 1], 3).counts]) == (1, 2)
    boundary = Boundary.of(ragged, [model("grpo", [2, 3, 4], 40)], question())
    assert boundary.ks == (1, 2, 4, 8, 16)
    assert "k ends at the fewest samples of a problem, 20; others have up to 1000. Use --k for more." in notes(boundary)


def test_one_lost_sample_is_left_out_on_request_and_counted():
    """One of 60 problems has 63 samples: without --at-least-k the comparison ends at k = 32."""
    n = [63] + [64] * 59
    base, trained = spread_out("base", 1), spread_out("grpo", 2, n, gain=2.0)
    default = Boundary.of(base, [trained], question())
    assert default.ks[-1] == 32
    assert "1 of 60 problems have fewer than 64 samples: --at-least-k compares the others at larger k." in notes(
        default
    )
    undefined = Boundary.of(base, [trained], question(ks=(1, 64)))
    hint = "grpo: pass@64 is undefined for 1 of 60 problems (n < 64). --at-least-k compares the others."
    assert hint in notes(undefined)
    assert np.isnan(undefined.comparisons["grpo"].difference.estimate[1])
    kept = Boundary.of(base, [trained], question(at_least_k=True))
    assert kept.ks == (1, 2, 4, 8, 16, 32, 64)
    left_out = "grpo: of 60 problems, those with fewer than k samples in either model are left out: 1 at k = 64."
    assert left_out in notes(kept)
    rows = as_dict(kept)["models"][0]["rows"]
    assert [row["left_out"] for row in rows] == [0] * 6 + [1]
    assert [row["problems_defined"] for row in rows] == [60] * 6 + [59]
    assert as_csv(kept).splitlines()[-1].endswith(",59,1")
    assert verdict_table(kept, "grpo").rows[-1][-1] == 1
    assert "left out" in page_of(kept)
    assert "left out" not in page_of(default)


def test_default_ks_at_least_k_end_at_the_samples_of_half_of_the_problems():
    counts = model("base", [1] * 5, [20, 40, 64, 64, 1000]).counts
    assert default_ks([counts])[-1] == 16
    assert default_ks([counts], at_least_k=True)[-1] == 64
    assert default_ks([counts, model("b", [1] * 5, [64, 64, 3, 64, 64]).counts], at_least_k=True)[-1] == 32


def test_unreliable_values_are_marked_in_table_csv_and_json():
    """Uniform success rates: of 30 problems hardly any fails at k = 64, so that curve has no reliable band there."""
    rng = np.random.default_rng(3)
    base, trained = (model(name, rng.binomial(64, rng.uniform(size=30)).tolist()) for name in ("base", "grpo"))
    boundary = Boundary.of(base, [trained], question(ks=(1, 64)))
    rows = as_dict(boundary)["models"][0]["rows"]
    assert [row["base_reliable"] for row in rows] == [True, False]
    assert "base_reliable,trained_reliable" in as_csv(boundary)
    marks = [[cell.mark for cell in row if isinstance(cell, Estimate)] for row in verdict_table(boundary, "grpo").rows]
    assert marks == [["", "", ""], ["°", "°", ""]]
    assert any(note.startswith("° The value's own band may be too narrow") for note in notes(boundary))


def test_shared_bases_are_named_and_the_others_left_out():
    problems = [f"p{i}" for i in range(40)]
    several = {"problem": problems * 3, "base": np.repeat(["b0", "b1", "b2"], 40)}
    base = model("base", [0] * 40 + [5] * 80, 8, **several)
    trained = model("grpo", [5] * 80, 8, problem=problems * 2, base=np.repeat(["b1", "b2"], 40))
    with pytest.raises(InputError, match=r"same bases: 1 \(such as 'b0'\) only in the base.*--shared"):
        Boundary.of(base, [trained], question())
    boundary = Boundary.of(base, [trained], question(), shared=True)
    assert boundary.comparisons["grpo"].difference.estimate[0] == 0.0
    assert "Bases left out because not all models have them: b0." in notes(boundary)


@pytest.mark.parametrize("ks", [None, (1,)])
def test_a_problem_without_samples_is_refused(ks: tuple[int, ...] | None):
    empty = model("base", [0, 1, 2], [0, 4, 4])
    with pytest.raises(InputError, match=r"no samples at all \(n = 0\)"):
        Boundary.of(empty, [empty], question(ks=ks))


@pytest.mark.parametrize("margin", [-0.1, 1.5, float("inf"), float("nan")])
def test_impossible_margins_are_refused(margin: float):
    with pytest.raises(InputError, match="margin"):
        Boundary.of(WIDE, [NARROW], question(margin=margin))


def test_a_taken_name_gets_a_number():
    models = [model(name, [1]) for name in ("a", "a (2)", "a", "a")]
    assert list(by_unique_name(models)) == ["a", "a (2)", "a (3)", "a (4)"]


def test_shared_problems_keep_their_order_and_pairs():
    base = model("base", [1, 2, 3, 4], 8, problem=["a", "b", "c", "d"])
    trained = model("grpo", [5, 6, 7], 8, problem=["d", "x", "b"])
    with pytest.raises(InputError, match=r"2 .* only in the base, 1 .* only in grpo, 2 in both.*--shared"):
        Boundary.of(base, [trained], question())
    boundary = Boundary.of(base, [trained], question(), shared=True)
    assert boundary.num_problems == 2
    assert boundary.base.counts.problems == ["b", "d"]
    assert boundary.trained["grpo"].counts.grid[1].tolist() == [[7, 5]]


def test_json_and_csv_hold_no_nan():
    boundary = Boundary.of(WIDE, [model("grpo", [1] * 100, 32)], question(ks=(1, 32, 64), target="this set", options=4))
    facts = json.loads(json.dumps(as_dict(boundary), allow_nan=False))
    undefined = facts["models"][0]["rows"][-1]
    assert undefined["difference"] is None
    assert undefined["problems_defined"] == 0
    assert "nan" not in as_csv(boundary).lower()
    assert as_csv(boundary).count("\n") == 4


def test_guessing_stands_once_where_one_sample_is_all():
    one = model("base", [1, 0, 1], 1)
    metrics = Boundary.of(one, [one], question(options=4)).metrics
    assert [metric.name for metric in metrics if "guessing" in metric.name] == ["pass@1 above guessing (0.250)"]


# The charts.


@pytest.fixture(scope="module", autouse=True)
def _one_bundle():
    """The charts' code is made once: it takes a second, and is the same on every page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vl_convert, "javascript_bundle", functools.cache(vl_convert.javascript_bundle))
        yield


def panels(boundary: Boundary) -> list[dict[str, Any]]:
    return curves(boundary).to_dict()["concat"]


def specs(page: str) -> dict[str, Any]:
    """The charts of a page."""
    return json.loads(re.findall(r'id="specs">(.*)</script>', page)[0])


def test_every_model_has_its_own_colour(pages: dict[str, str]):
    """Scales must not be shared over panels, or the second model looks like the base."""
    drawn = specs(pages["three"])
    for part in (*drawn.values(), *drawn["boundary"]["concat"]):
        assert part["resolve"]["scale"]["color"] == "independent"


def test_a_single_k_lies_inside_its_panel_with_a_bar(pages: dict[str, str]):
    text = json.dumps(specs(pages["single-k"])["boundary"]["concat"])
    assert '"domain": [4.0, 16]' in text
    assert '"type": "area"' not in text


def test_long_names_stay_over_their_panels():
    long = "a-model-with-a-name-" * 20
    boundary = Boundary.of(model(f"{long}base", WIDE.counts.c), [model(f"{long}grpo", NARROW.counts.c)], question())
    for panel in panels(boundary):
        (upper, lower) = panel["vconcat"]
        assert all(len(line) < 45 for line in upper["title"])
        assert "grpo" in upper["title"][0]
        assert "base" in upper["title"][1]
        assert "title" not in lower
    assert long not in json.dumps(moves(boundary).to_dict())


def test_ticks_stand_apart_however_many_ks():
    boundary = Boundary.of(WIDE, [NARROW], question(ks=tuple(range(1, 65))))
    ticks = json.loads(re.findall(r'"values": (\[1, [0-9, ]+\])', json.dumps(panels(boundary)))[0])
    assert ticks[0] == 1
    assert len(ticks) <= 13


def test_hostile_names_make_whole_pictures(tmp_path: Path):
    """An SVG with a NUL in it is no XML, and no PNG can be made of it."""
    boundary = Boundary.of(
        model("".join(HOSTILE), [1, 2, 3], 8), [model("".join(HOSTILE[::-1]), [3, 4, 5], 8)], question()
    )
    for name, chart in charts(boundary).items():
        save(chart, tmp_path / f"{name}.svg")
        ElementTree.fromstring((tmp_path / f"{name}.svg").read_text())


# The page.


class Page(HTMLParser):
    """Tags, and the text outside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.texts.append(data)

    @property
    def scripts(self) -> int:
        return [tag for tag, _ in self.tags].count("script")


def page_of(boundary: Boundary) -> str:
    return render(boundary, charts(boundary), {"base": "base.csv"})


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Twenty problems gained, texts of every hostile sort and of a megabyte, for two trained models."""
    path = tmp_path_factory.mktemp("hostile") / "samples.jsonl"
    with path.open("w") as file:
        for name, right in (("base" + "".join(HOSTILE), False), ("grpo" + "".join(HOSTILE), True), ("x" * 1000, True)):
            for index in range(24):
                problem = HOSTILE[index % len(HOSTILE)] + str(index) + ("id" * 500_000 if index == 23 else "")
                text = HOSTILE[index % len(HOSTILE)] * (30_000 if index < 2 else 500)
                row = {"model": name, "problem": problem, "correct": right, "text": text}
                file.write((json.dumps(row) + "\n") * 8)
    base, *trained = read_models(str(path))
    return page_of(Boundary.of(base, trained, question()))


def test_hostile_text_stays_text(hostile_page: str):
    page = Page(hostile_page)
    text = "".join(page.texts)
    assert page.scripts == 3
    assert {tag for tag, _ in page.tags}.isdisjoint({"b", "img", "iframe", "object", "link", "base", "form", "a"})
    assert "<script>alert(1)</script>" in text
    assert "{{ 7*7 }}{% raw %}" in text
    assert "[bold]x[/] [/]" in text
    assert "\\x1b[31mred" in text
    assert "nul\\x00x" in text
    assert "\\u202eround" in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u202a-\u202e\u2066-\u2069]", text)
    assert text.count("gained (probability") == 20, "20 problems on the page, 10 of each model"
    assert " more characters]" in text


def test_the_page_stays_small(hostile_page: str):
    assert len(hostile_page.encode()) < 3_000_000


def test_texts_and_names_are_made_printable():
    assert printable("a\tb\n\x1b[0m") == "a\tb\n\\x1b[0m"
    assert printable("naïve 日本語 😀") == "naïve 日本語 😀"
    assert one_line("a\nb\u202e") == "a\\nb\\u202e"
    assert one_line("abcdefghij", 5) == "ab…ij"
    assert one_line("abcde", 5) == "abcde"


CASES: dict[str, Any] = {
    "one": lambda: Boundary.of(WIDE, [NARROW], question()),
    "three": lambda: Boundary.of(
        spread_out("base", 1), [spread_out(name, seed, gain=1.5) for seed, name in enumerate("abc", 2)], question()
    ),
    "undefined": lambda: Boundary.of(
        spread_out("base", 1, [20, 64] * 30), [spread_out("grpo", 2)], question(ks=(1, 2, 16, 32, 64, 128))
    ),
    "single-k": lambda: Boundary.of(WIDE, [NARROW], question(ks=(8,))),
    "two-problems": lambda: Boundary.of(model("base", [1, 20]), [model("grpo", [30, 10])], question()),
}
POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:"


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: page_of(make()) for name, make in CASES.items()}


@pytest.fixture(scope="module")
def in_a_browser(
    pages: dict[str, str],
    hostile_page: str,
    draw: Callable[..., dict[str, tuple[str, str]]],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, tuple[str, str]]:
    """Every case as Chromium has it after drawing, dark and light, with its console; the network is forbidden."""
    policy = f'<head><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    alone = {
        name: page.replace("<head>", policy)
        for name, page in {**pages, "hostile": hostile_page, "dark": pages["three"]}.items()
    }
    dark, folder = {"dark": alone.pop("dark")}, tmp_path_factory.mktemp("browser")
    with ThreadPoolExecutor(2) as pool:
        light = pool.submit(draw, folder / "light", alone)
        return {**draw(folder / "dark", dark, "--force-dark-mode"), **light.result()}


@pytest.mark.parametrize("name", [*CASES, "hostile", "dark"])
def test_the_page_draws_without_a_network(in_a_browser: dict[str, tuple[str, str]], name: str):
    drawn, console = in_a_browser[name]
    assert 'data-charts="drawn"' in drawn
    assert console == "", "something was refused or failed"
    for chart in ("boundary", "moves"):
        start = drawn.index(f'<div id="{chart}"')
        assert "<svg" in drawn[start : start + 2000], f"{chart} was not drawn"
    assert "NaN" not in "".join(re.findall(r"<path[^>]*>", drawn))


def test_dark_screens_get_light_letters(in_a_browser: dict[str, tuple[str, str]]):
    light, dark = (re.findall(r'<text[^>]*fill="(#\w+)"', in_a_browser[name][0]) for name in ("three", "dark"))
    assert "#dddddd" in dark
    assert "#dddddd" not in light


def test_the_page_says_what_the_findings_say(pages: dict[str, str]):
    boundary = CASES["three"]()
    page = Page(pages["three"])
    text = "".join(page.texts)
    for name in boundary.trained:
        assert conclusion(boundary, name) in text
        for row in as_dict(boundary)["models"][list(boundary.trained).index(name)]["rows"]:
            assert number(row["difference"], "+.3f") in text
    assert page.scripts == 3
    assert not [attrs for _, attrs in page.tags if {"src", "href"} & attrs.keys()], "something would be fetched"
    assert len(pages["three"].encode()) < 3_000_000
