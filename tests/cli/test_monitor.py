"""`rlvrscope monitor` end to end: what it reads and says, alarms for job scripts, following, and its page."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlvrscope.seeding import generator
from terminal import COLUMNS, on_terminal

RLVRSCOPE = [sys.executable, "-m", "rlvrscope"]
T = 120


def rlvrscope(*words: str | Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*RLVRSCOPE, "monitor", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == expect, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def entries(steps: int = T) -> list[dict[str, Any]]:
    """A run in TRL's names whose reward rises while its entropy collapses from 1 nat to under .1."""
    time_T = np.arange(steps) / T
    noise_T = generator(0, "monitor").normal(size=steps)
    reward_T, entropy_T = 0.2 + 0.5 * time_T + 0.02 * noise_T, 1.0 - 0.97 * time_T + 0.002 * noise_T
    return [
        {"step": step + 1, "reward": reward, "reward_std": 0.4, "entropy": entropy, "frac_reward_zero_std": 0.2}
        for step, (reward, entropy) in enumerate(zip(reward_T.tolist(), entropy_T.tolist(), strict=True))
    ]


def write(path: Path, rows: Sequence[dict[str, Any]], mode: str = "w") -> Path:
    with path.open(mode) as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write(tmp_path / "log.jsonl", entries())


def test_the_timeline(log: Path):
    lines = rlvrscope(log).stdout.splitlines()
    assert lines[0] == "120 steps 1 to 120 (TRL): reward, entropy, equal_reward_share; no ledger, no probe"
    assert re.match(r"exploitation since step \d+, judged by the telemetry: entropy -0\.\d+ over its last", lines[1])
    assert lines[2].startswith("Not logged: the rewards of each group (GroupLedger), log-masses of rare right")
    chart = {line[:15].strip(): line[15:] for line in lines[4:9]}
    assert chart["stage"].startswith("·")
    assert chart["stage"].rstrip().endswith("▼")
    assert chart["reward"].startswith("▁")
    assert chart["token entropy"].startswith("█")
    assert re.search(r"0\.9\d+ → 0\.0\d+", chart["token entropy"])
    assert any(line.startswith("! entropy collapse, steps ") for line in lines)
    assert any("raise the upper clip bound" in line for line in lines)


def test_the_view_fits_a_terminal(log: Path):
    code, lines = on_terminal(["-m", "rlvrscope", "monitor", log])
    assert code == 0
    assert max(map(len, lines)) <= COLUMNS
    assert any("▁" in line and "█" in line for line in lines)


def test_json(log: Path):
    result = json.loads(rlvrscope(log, "--json").stdout)
    assert (result["format_version"], result["source"]) == (1, str(log))
    assert result["reading"]["stage"] == "exploitation"
    assert result["reading"]["alarms"] == ["entropy collapse"]
    assert [stage["name"] for stage in result["stages"]] == ["not enough yet", "exploitation"]
    assert result["stages"][0]["last"] + 1 == result["stages"][1]["first"]
    (alarm,) = result["alarms"]
    assert alarm["now"]
    assert alarm["last"] == T
    assert alarm["action"]
    assert alarm["reference"]


def test_an_alarm_stops_a_job(log: Path):
    done = rlvrscope(log, "--fail-on", "entropy-collapse", expect=3)
    assert re.fullmatch(r"alarm: entropy collapse, steps \d+ to 120, now: 0\.0\d+ nats from 0\.9\d*\n", done.stderr)
    assert "120 steps" in done.stdout, "the view is printed all the same"
    rlvrscope(log, "--fail-on", "reward collapse", "--fail-on", "exploration")


def test_an_alarm_that_has_ended_counts(tmp_path: Path):
    """A job that was followed would have been stopped by it."""
    rows = entries()
    for row in rows[30:70]:
        row["frac_reward_zero_std"] = 1.0
    path = write(tmp_path / "log.jsonl", rows)
    done = rlvrscope(path, "--fail-on", "no contrast", expect=3)
    assert "alarm: no contrast, steps " in done.stderr
    assert re.search(r"! no contrast, steps \d\d to 7\d: ", done.stdout)


def test_names_of_ones_own(tmp_path: Path):
    rows = [{"iteration": row["step"], "mean": row["reward"], "h": row["entropy"]} for row in entries()]
    path = write(tmp_path / "log.jsonl", rows)
    columns = [word for pair in ("step=iteration", "reward=mean", "entropy=h") for word in ("--column", pair)]
    assert "120 steps 1 to 120 (canonical names): reward, entropy; no" in rlvrscope(path, *columns).stdout
    done = rlvrscope(path, "--column", "step=iteration", expect=2)
    assert "has no steps with a reward" in done.stderr
    assert "It logs h, iteration, mean" in done.stderr


REFUSED: dict[str, tuple[list[str], str]] = {
    "unknown alarm": (
        ["--fail-on", "entropy colapse"],
        "no such alarm or stage. Did you mean 'entropy collapse'? Allow",
    ),
    "every run exploits": (["--fail-on", "exploitation"], "no such alarm or stage. Did you mean 'exploration'?"),
    "unknown metric": (["--column", "rewards=reward"], "unknown column 'rewards'. Did you mean 'reward'?"),
    "no pair": (["--column", "reward"], "--column takes OURS=THEIRS, such as reward=mean_reward"),
    "until what": (["--until", "10"], "--until and --idle end --follow or --serve"),
    "page over a folder": (["--html", "."], "is a folder; give a file name"),
    "another picture": (["--png", "chart.gif"], "--png must end in .png or .svg; got chart.gif"),
    "one file twice": (["--html", "x.svg", "--png", "x.svg"], "x.svg is already read or written by this command"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_options_are_one_line(log: Path, case: str):
    words, message = REFUSED[case]
    done = rlvrscope(log, *words, expect=2)
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_bad_sources_are_one_line(tmp_path: Path, log: Path):
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "text.txt").write_text("hello\n")
    for name, message in {
        "missing": "there is no such file or folder", "empty.jsonl": "is empty: no step has been logged yet",
        "text.txt": "holds no step. Looked for a trainer_state.json", ".": "holds no training log. Looked for",
    }.items():  # fmt: skip
        done = rlvrscope(tmp_path / name, expect=2)
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    before = log.read_bytes()
    assert "is already read or written by this command" in rlvrscope(log, "--html", log, expect=2).stderr
    assert log.read_bytes() == before


def test_the_page_is_written(log: Path, tmp_path: Path):
    done = rlvrscope(log, "--html", tmp_path / "page.html", "--png", tmp_path / "chart.svg")
    assert f"Written: {tmp_path / 'page.html'}" in done.stdout
    assert "<svg" in (tmp_path / "chart.svg").read_text()
    page = (tmp_path / "page.html").read_text()
    assert "exploitation since step" in page
    assert "entropy collapse" in page
    assert "fetch(" not in page.rpartition('id="specs"')[2], "the file does not look for a server"


# Following.


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    processes = []

    def started(*words: str | Path) -> subprocess.Popen[str]:
        command = [*RLVRSCOPE, "monitor", *map(str, words)]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return processes[-1]

    yield started
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_follow_until_a_step(tmp_path: Path, start: Callable[..., subprocess.Popen[str]]):
    """The log appears after the monitor, and grows; the result is that of the finished log gives."""
    rows, path = entries(), tmp_path / "log.jsonl"
    process = start(path, "--follow", "--until", str(T))
    assert process.stderr is not None
    assert process.stderr.readline() == f"waiting for {path}\n"
    write(path, rows[:20])
    assert process.stderr.readline().startswith("step 20: ")
    write(path, rows[20:], "a")
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert re.search(r"step 120: exploitation since step \d+.* ALARM entropy collapse: ", errors)
    assert out == rlvrscope(path).stdout


def test_follow_stops_at_an_alarm(log: Path, start: Callable[..., subprocess.Popen[str]]):
    process = start(log, "--follow", "--fail-on", "entropy-collapse")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "alarm: entropy collapse, steps" in errors


def test_follow_ends_when_idle(log: Path, start: Callable[..., subprocess.Popen[str]]):
    process = start(log, "--follow", "--idle", "1", "--json")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(out)["reading"]["step"] == T


def test_follow_ends_with_control_c(log: Path, start: Callable[..., subprocess.Popen[str]]):
    process = start(log, "--follow")
    assert process.stderr is not None
    assert process.stderr.readline().startswith("step 120: ")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "! entropy collapse" in out


def test_follow_in_a_terminal(log: Path):
    code, lines = on_terminal(["-m", "rlvrscope", "monitor", log, "--follow", "--until", str(T)])
    assert code == 0
    assert any("token entropy" in line for line in lines)
    assert max(map(len, lines)) <= COLUMNS


# The page of --serve.


def address_of(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    match = re.match(r"(http://127\.0\.0\.1:\d+/) shows .*; Ctrl-C ends it\n", process.stderr.readline())
    assert match
    return match[1]


def get(url: str, **headers: str) -> tuple[int, str, int]:
    """Status, text and version."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as reply:
            return reply.status, reply.read().decode(), int(reply.headers["X-Version"])
    except urllib.error.HTTPError as error:
        return error.code, "", 0


def test_serve(tmp_path: Path, start: Callable[..., subprocess.Popen[str]]):
    rows = entries()
    path = write(tmp_path / "log.jsonl", rows[:60])
    url = address_of(start(path, "--serve", "--port", "0"))
    status, page, version = get(url)
    deadline = time.monotonic() + 30
    while "60 steps" not in page and time.monotonic() < deadline:  # the first request may come before the first read
        status, page, version = get(url)
    assert status == 200
    assert "60 steps 1 to 60 (TRL)" in page
    assert get(f"{url}?since={version}")[0] == 204, "nothing has changed"
    write(path, rows[60:], "a")
    while (reply := get(f"{url}?since={version}"))[0] == 204 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "120 steps 1 to 120 (TRL)" in reply[1]
    assert len(reply[1]) < 200_000, "a change comes without the code of the charts"
    assert get(f"{url}etc/passwd")[0] == 404
    assert get(url, Host="example.com:80")[0] == 403, "another site's name for this address"
    assert get(f"{url}?since=9999999999999999999999")[0] == 200


def test_a_taken_port_is_one_line(log: Path, start: Callable[..., subprocess.Popen[str]]):
    port = address_of(start(log, "--serve", "--port", "0")).rpartition(":")[2].strip("/")
    done = rlvrscope(log, "--serve", "--port", port, expect=2)
    assert f"port {port} can't be used" in done.stderr
    assert done.stderr.count("\n") == 1
