"""The page of a monitored log: charts, hostile names, a browser without a network, a page that updates itself."""

from __future__ import annotations

import html
import json
import math
import re
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlvrscope.cli.shared.page_server import serving
from rlvrscope.cli.shared.watching import page_of
from rlvrscope.readers.monitored_log import MonitoredLog
from rlvrscope.report.monitor import charts
from rlvrscope.report.monitor.page import render
from rlvrscope.report.monitor.terminal import bars
from rlvrscope.report.monitor.words import MEANING, as_dict
from rlvrscope.seeding import generator

POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:"
FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --dump-dom"


def rows(steps: int = 150, seed: int = 0) -> list[dict[str, Any]]:
    """A graded run that turns at step 60; from 100 on most groups are equal."""
    noise = generator(seed).normal(size=steps)
    return [
        {
            "step": step,
            "reward": 0.3 + step / 400 + 0.01 * noise[step - 1],
            "entropy": 1.0 - step / 300,
            "equal_reward_share": 0.3 if step < 100 else 0.95,
            "pass_at_group": 0.9,
            "top_at_group": 0.3 + abs(step - 60) / 200,
            "top_level": 1.0,
            "levels": {"0.0": 0.5, "0.5": 0.4, "1.0": 0.1},
        }
        for step in range(1, steps + 1)
    ]


def write(path: Path, entries: list[dict[str, Any]], mode: str = "w") -> Path:
    with path.open(mode) as file:
        file.writelines(json.dumps(entry) + "\n" for entry in entries)
    return path


def monitored(path: Path) -> MonitoredLog:
    log = MonitoredLog(path)
    log.poll(final=True)
    return log


@pytest.fixture
def turning(tmp_path: Path) -> MonitoredLog:
    return monitored(write(tmp_path / "log.jsonl", rows()))


def specs(page: str) -> dict[str, Any]:
    return json.loads(re.findall(r'id="specs">(.*)</script>', page)[0])


def test_bands_and_alarms_are_drawn_where_they_were_read(turning: MonitoredLog):
    page = render(turning)
    (chart,) = specs(page).values()
    first = chart["vconcat"][0]["layer"]
    bands = [(row["stage"], row["step"], row["end"]) for row in first[0]["data"]["values"]]
    stages = turning.timeline.stages
    assert [(name, start) for name, start, _ in bands] == [(span.name, span.first) for span in stages]
    assert [end for *_, end in bands] == [*(span.first for span in stages[1:]), 150]
    assert [name for name, *_ in bands] == ["not enough yet", "exploitation", "exploration"]
    (alarm,) = first[1]["data"]["values"]
    assert alarm["alarm"] == "no contrast"
    assert 100 < alarm["step"] < alarm["end"] == 150
    assert len(chart["vconcat"]) == 6, "five signals, and the share at each reward"
    assert all(meaning in page for name, meaning in MEANING.items() if name != "not enough yet")


def test_long_runs_stay_small():
    value_T = generator(1).normal(size=20_000)
    points = charts._points([{"step": 2 * step, "value": value} for step, value in enumerate(value_T)], "value")
    assert len(points) == charts.MAX_POINTS
    assert points[-1]["step"] == 39_998
    assert math.isclose(np.mean([point["value"] for point in points]), value_T.mean(), abs_tol=1e-12)


def test_bars_by_hand():
    assert bars([(0, 1.0), (1, 2.0), (1, 4.0), (3, 5.0)], 4) == "▁▅ █"
    assert bars([(0, 0.5), (1, 0.5)], 2) == "▁▁"


def test_hostile_names_stay_text(tmp_path: Path):
    path = write(tmp_path / "<script>alert(1)<a\x1b[31m>.jsonl", rows(20))
    page = render(monitored(path))
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "\x1b" not in page


def test_json_has_no_nan(turning: MonitoredLog):
    assert json.loads(json.dumps(as_dict(turning), allow_nan=False))["reading"]["stage"] == "exploration"


CASES: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "graded": rows,
    "one-step": lambda: rows(1),
    "reward-only": lambda: [{"step": row["step"], "reward": row["reward"]} for row in rows(30)],
    "with-gaps": lambda: [
        row if row["step"] % 5 else {"step": row["step"], "reward": row["reward"]} for row in rows(60)
    ],
}


@pytest.fixture(scope="module")
def in_a_browser(
    draw: Callable[..., dict[str, tuple[str, str]]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[str, str]]:
    """Every case as Chromium has it after drawing, with its console; the network is forbidden."""
    folder = tmp_path_factory.mktemp("monitor")
    policy = f'<head><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    pages = {
        name: render(monitored(write(folder / f"{name}.jsonl", make()))).replace("<head>", policy)
        for name, make in CASES.items()
    }
    return draw(folder / "pages", pages)


@pytest.mark.parametrize("name", CASES)
def test_the_page_draws_without_a_network(in_a_browser: dict[str, tuple[str, str]], name: str):
    drawn, console = in_a_browser[name]
    assert 'data-charts="drawn"' in drawn
    assert console == "", "something was refused or failed"
    start = drawn.index('<div id="timeline"')
    assert "<svg" in drawn[start : start + 2000]
    assert "NaN" not in "".join(re.findall(r"<path[^>]*>", drawn))


def test_the_served_page_updates_itself(chromium: str, tmp_path: Path):
    """New steps are logged while the page is open: after its second look they are on it, drawn, without a reload."""
    entries = rows()
    path = write(tmp_path / "log.jsonl", entries[:50])
    log = MonitoredLog(path)
    log.poll()
    page, looks = page_of(log, threading.Lock()), []

    def grown(known: int | None) -> tuple[int, str]:
        looks.append(known)
        if len(looks) == 3:
            write(path, entries[50:], "a")
            log.poll()
        return page(known)

    with serving(0, grown) as url:
        command = [chromium, *FLAGS.split(), "--virtual-time-budget=15000", f"--user-data-dir={tmp_path / 'chromium'}"]
        dom = subprocess.run([*command, url], capture_output=True, timeout=120).stdout.decode()
    assert looks[0] is None
    assert looks[1:3] == [1, 1]
    assert 2 in looks, "the browser has the second version"
    text = html.unescape(dom)
    assert 'data-monitor="running"' in text
    assert 'data-charts="drawn"' in text
    assert "150 steps 1 to 150" in text
    assert "50 steps 1 to 50 " not in text
    assert "exploration since step" in text
    start = text.index('<div id="timeline"')
    assert "<svg" in text[start : start + 2000]
    assert "no contrast" in text
