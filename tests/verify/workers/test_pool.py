"""The verifier pool: order, limits, workers that die, plug-in verifiers."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import rlvrscope
from rlvrscope.errors import InputError, MissingExtraError, WorkError
from rlvrscope.verify import Problem, VerifierPool, verify_answer
from rlvrscope.verify.verifiers import Work, start
from rlvrscope.verify.workers.worker_process import WorkerProcess

ROOT_HALF = Problem("root", "", "\\frac{\\sqrt{2}}{2}")
OWN = """
import os, time

def check(text, problem):
    word, _, rest = text.partition(" ")
    if word == "sleep": time.sleep(float(rest))
    if word == "spin":
        while True: pass
    if word == "memory": return len(bytearray(3 << 30))
    if word == "die": os._exit(7)
    if word == "raise": raise ValueError("not today")
    if word == "print": print('{"id": 1, "outcome": "correct"}', flush=True)
    if word == "none": return None
    if word == "score": return float(rest)
    return problem.answer == rest and problem.metadata["plus"] == 1

def many():
    pass
"""


@pytest.fixture
def own(tmp_path: Path) -> Problem:
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    return Problem("q", "?", "gold", f"{path}:check", metadata={"plus": 1})


@pytest.fixture(scope="module")
def one_worker():
    with VerifierPool(workers=1) as pool:
        yield pool


@pytest.fixture(scope="module")
def two_workers():
    with VerifierPool(workers=2) as pool:
        yield pool


def answers(count: int) -> list[str]:
    """Different right answers that all need computer algebra."""
    return [f"\\boxed{{\\frac{{{n}}}{{{n}\\sqrt{{2}}}}}}" for n in range(2, count + 2)]


def workers(pool: VerifierPool) -> list[WorkerProcess]:
    return list(pool._processes)


def _keeper(worker: WorkerProcess) -> int | None:
    return None if worker.process is None else worker.process.pid


def test_verify_answer():
    verdict = verify_answer("so \\boxed{\\frac{1}{\\sqrt{2}}}", ROOT_HALF)
    assert (verdict.outcome, verdict.score, verdict.extracted) == ("correct", 1.0, "\\frac{1}{\\sqrt{2}}")
    assert (verdict.path, verdict.verifier) == ("algebra", "math")
    assert "math-verify" in verdict.version
    assert verify_answer("so \\boxed{\\frac{1}{\\sqrt{3}}}", ROOT_HALF).outcome == "wrong"
    assert verify_answer("so 1", ROOT_HALF).outcome == "no_answer"


@pytest.mark.parametrize("answer", ["\\ln(e^x)", "\\sqrt{x^2}", "x+10^{-20}\\sqrt{2}"])
def test_computer_algebra_has_the_last_word(answer: str):
    """Each agrees with x at positive points, to sixteen digits; only the first is x wherever both are real."""
    assert verify_answer(f"\\boxed{{{answer}}}", Problem("p", "", "x")).outcome == (
        "correct" if answer.startswith("\\ln") else "wrong"
    )


def test_a_batch_keeps_its_order_and_reports_progress(two_workers: VerifierPool):
    texts = [text for pair in zip(answers(20), ["\\boxed{1}"] * 20, strict=True) for text in pair]
    progress: list[tuple[int, int]] = []
    verdicts = two_workers.map(texts, [ROOT_HALF] * 40, lambda done, total: progress.append((done, total)))
    again = two_workers.map(texts, [ROOT_HALF] * 40)
    assert [verdict.outcome for verdict in verdicts] == ["correct", "wrong"] * 20
    assert verdicts == again  # except for the time, which is not compared
    assert progress == [(n, 40) for n in range(1, 41)]


def test_the_same_comparison_is_made_once(one_worker: VerifierPool):
    one_worker.map(answers(1), [ROOT_HALF])
    (process,) = one_worker._processes
    before = process._tasks
    verdicts = one_worker.map([answers(1)[0], " so " + answers(1)[0]] * 5, [ROOT_HALF] * 10)
    assert process._tasks == before + 1
    assert {verdict.outcome for verdict in verdicts} == {"correct"}


LONG = "+".join(f"\\sqrt{{{n}}}" for n in range(2, 30))
MANY = "".join(f"+x_{{{n}}}" for n in range(20))


@pytest.mark.parametrize(
    ("answer", "problem", "outcome", "path"),
    [
        (LONG, Problem("p", "", LONG.replace("+", " + ")), "correct", "string"),
        ("+".join(reversed(LONG.split("+"))), Problem("p", "", LONG), "correct", "algebra"),
        (f"\\sqrt{{5+2\\sqrt{{6}}}}{MANY}", Problem("p", "", f"\\sqrt{{2}}+\\sqrt{{3}}{MANY}"), "correct", "algebra"),
        (LONG, Problem("p", "", LONG.replace("7", "8")), "wrong", "algebra"),
        (",".join(["1"] * 60), Problem("p", "", "1"), "rejected", "rules"),
        ("word " * 100, Problem("p", "", "word " * 99 + "word", "exact"), "correct", "string"),
        ("1+" * 100 + "1", Problem("p", "", "2", "countdown", metadata={"numbers": (1, 1)}), "wrong", "exact"),
        ("7 cm", Problem("p", "in cm " * 2_000, "7"), "correct", "algebra"),
    ],
)
def test_a_long_answer_is_judged_by_a_worker_with_the_same_verdict(
    answer: str, problem: Problem, outcome: str, path: str, one_worker: VerifierPool
):
    text = f"\\boxed{{{answer}}}"
    work = start(text, problem)
    assert isinstance(work, Work)
    assert work.is_long
    (verdict,) = one_worker.map([text], [problem])
    assert (verdict.outcome, verdict.path, verdict.extracted) == (outcome, path, answer)


def test_long_answers_wait_for_short_ones():
    """Five long answers come first in the list and last for the worker."""
    order: list[int] = []
    long = [f"\\boxed{{{LONG}+{n}}}" for n in range(5)]
    texts = long + answers(20)
    with VerifierPool(workers=1) as pool:
        ask = WorkerProcess.ask

        def asked(self: WorkerProcess, task: dict, timeout: float):
            order.append(len(task["answer"]))
            return ask(self, task, timeout)

        WorkerProcess.ask = asked
        try:
            pool.map(texts, [ROOT_HALF] * len(texts))
        finally:
            WorkerProcess.ask = ask
    assert [length > 80 for length in order] == [False] * 20 + [True] * 5


def test_an_empty_batch_and_lists_of_different_lengths():
    with VerifierPool() as pool:
        assert pool.map([], []) == []
        with pytest.raises(InputError, match="2 texts, 1 problems"):
            pool.map(["a", "b"], [ROOT_HALF])
        with pytest.raises(InputError, match="must be a string"):
            pool.map([None], [ROOT_HALF])


@pytest.mark.parametrize(
    "settings", [{"workers": 0}, {"timeout": 0.0}, {"timeout": float("nan")}, {"timeout": float("inf")}]
)
def test_impossible_settings_are_refused(settings: dict):
    with pytest.raises(InputError):
        VerifierPool(**settings)


def test_a_plugin_verifier(own: Problem, one_worker: VerifierPool):
    verdicts = one_worker.map(["is gold", "is other", "score 0.25", "score 0.75", "none", "print gold"], [own] * 6)
    assert [(v.outcome, v.score) for v in verdicts] == [
        ("correct", 1.0), ("wrong", 0.0), ("wrong", 0.25), ("correct", 0.75), ("no_answer", 0.0), ("correct", 1.0),
    ]  # fmt: skip
    assert {v.path for v in verdicts} == {"own"}
    (raised, out) = one_worker.map(["raise", "score 2"], [own] * 2)
    assert raised.outcome == out.outcome == "error"
    assert "ValueError: not today (mine.py, line 11)" in raised.reason
    assert "from 0 to 1" in out.reason


def test_a_missing_or_broken_plugin_is_refused(own: Problem, tmp_path: Path):
    with pytest.raises(InputError, match="has no function 'missing'"):
        verify_answer("x", Problem("q", "", "a", own.verifier.replace(":check", ":missing")))
    with pytest.raises(InputError, match=r"nothing\.py can't be read"):
        verify_answer("x", Problem("q", "", "a", f"{tmp_path}/nothing.py:check"))
    (tmp_path / "broken.py").write_text("1 / 0")
    with pytest.raises(InputError, match=r"broken\.py can't be loaded: ZeroDivisionError"):
        verify_answer("x", Problem("q", "", "a", f"{tmp_path}/broken.py:check"))
    with pytest.raises(InputError, match=r"unknown verifier .mth.\. Did you mean .math."):
        verify_answer("x", Problem("q", "", "a", "mth"))


def test_a_hanging_item_costs_only_its_own_time(own: Problem):
    texts = ["is gold", "spin", "is gold", "memory", "is gold", "die", "is gold"] + ["is gold"] * 20
    with VerifierPool(workers=2, timeout=0.5) as pool:
        started = time.perf_counter()
        verdicts = pool.map(texts, [own] * len(texts))
        seconds = time.perf_counter() - started
    assert [verdict.outcome for verdict in verdicts[:6]] == [
        "correct",
        "timeout",
        "correct",
        "rejected",
        "correct",
        "error",
    ]
    assert {verdict.outcome for verdict in verdicts[6:]} == {"correct"}
    assert 0.5 <= verdicts[1].seconds < 1.0
    assert "memory" in verdicts[3].reason
    assert "died 3 times" in verdicts[5].reason
    assert seconds < 8.0


def test_the_pool_survives_the_death_of_its_workers(own: Problem):
    """kill -9 of the workers, then of their keepers, repeatedly during the work."""
    with VerifierPool(workers=2) as pool:
        pool.map(["is gold"] * 2, [own] * 2)
        done = threading.Event()

        def kill() -> None:
            for turn in range(4):
                time.sleep(0.15)
                for worker in workers(pool):
                    pid = worker.pid if turn < 3 else _keeper(worker)
                    if pid is not None:
                        os.kill(pid, signal.SIGKILL)
            done.set()

        killer = threading.Thread(target=kill)
        killer.start()
        verdicts = pool.map(["sleep 0.02"] * 40 + ["is gold"] * 5, [own] * 45)
        killer.join()
    assert [verdict.outcome for verdict in verdicts[-5:]] == ["correct"] * 5
    assert {verdict.outcome for verdict in verdicts[:40]} == {"wrong"}


@contextlib.contextmanager
def _killing(pool: VerifierPool, limit: int):
    """kill -9 of every keeper and worker as soon as there is one, `limit` times in all."""
    killed: set[int] = set()
    over = threading.Event()

    def kill() -> None:
        while not over.is_set() and len(killed) < limit:
            for worker in workers(pool):
                keeper = _keeper(worker)
                if keeper is not None and keeper not in killed:
                    killed.add(keeper)
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(keeper, signal.SIGKILL)
            time.sleep(0.002)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield killed
    finally:
        over.set()
        killer.join()


def test_the_pool_recovers_when_starts_fail_for_a_while(own: Problem, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rlvrscope.verify.workers.worker_process._MAX_PAUSE_SECONDS", 0.02)
    with VerifierPool(workers=1) as pool, _killing(pool, limit=12) as killed:
        verdicts = pool.map(["is gold"] * 5, [own] * 5)
    assert len(killed) == 12
    assert {verdict.outcome for verdict in verdicts} == {"correct"}


def test_the_pool_gives_up_when_every_start_fails(own: Problem, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rlvrscope.verify.workers.worker_process._MAX_PAUSE_SECONDS", 0.002)
    with VerifierPool(workers=1) as pool, _killing(pool, limit=1000) as killed:
        with pytest.raises(WorkError, match="killed 20 times in a row before they gave a verdict"):
            pool.map(["is gold"] * 5, [own] * 5)
        assert len(killed) == 20
        assert pool._processes == []


def test_a_worker_that_can_not_start_reports_why(own: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho starting >&2\necho no room >&2\nexit 3\n")
    python.chmod(0o755)
    monkeypatch.setattr("rlvrscope.verify.workers.worker_process.sys.executable", str(python))
    with VerifierPool(workers=1) as pool, pytest.raises(WorkError, match="does not start: no room"):
        pool.map(["is gold"], [own])
    monkeypatch.setattr("rlvrscope.verify.workers.worker_process.sys.executable", str(tmp_path / "nothing"))
    with VerifierPool(workers=1) as pool, pytest.raises(WorkError, match=r"cannot start a worker .*No such file"):
        pool.map(["is gold"], [own])


def test_closing_leaves_no_process(own: Problem):
    with VerifierPool(workers=1) as pool:
        pool.map(["is gold"] * 2, [own] * 2)
        pids = [pid for worker in workers(pool) for pid in (worker.pid, _keeper(worker)) if pid is not None]
        assert len(pids) >= 2
    deadline = time.monotonic() + 5
    while any(_alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.parametrize("text", ["is gold", "sleep 1"])
def test_workers_end_when_their_pool_is_killed(own: Problem, text: str):
    """Idle workers, and workers whose reply nobody reads."""
    code = f"""
import time
from rlvrscope.verify import Problem, VerifierPool
pool = VerifierPool(1, timeout=30.0)
problem = Problem("q", "", "gold", {own.verifier!r}, metadata={{"plus": 1}})
pool.map(["is gold"], [problem])
print(pool._processes[0].pid, pool._processes[0].process.pid, flush=True)
pool.map([{text!r}] * 20, [problem] * 20)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    time.sleep(0.3)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while any(_alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rlvrscope.verify.math.math_verifier.importlib.util.find_spec", lambda name: None)
    assert verify_answer("\\boxed{0.5}", Problem("p", "", "\\frac{1}{2}")).outcome == "correct"
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[math\]'"):
        verify_answer("\\boxed{\\sqrt{8}}", Problem("p", "", "2\\sqrt{2}"))


def run_script(folder: Path, code: str, package: Path) -> str:
    """Run a script in its folder with this copy of the package on its path; return what it prints."""
    script = folder / "script.py"
    script.write_text(f"import sys\nsys.path.insert(0, {str(package.parent)!r})\n{code}")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=folder, env=environment)
    assert done.stderr == ""
    return done.stdout


def test_a_script_without_a_main_guard_can_verify(tmp_path: Path):
    (tmp_path / "sympy.py").write_text("raise SystemExit('a file next to the script was imported')")
    code = """
import rlvrscope as rs
print(rs.verify.verify_answer(r'\\boxed{\\sqrt{8}}', rs.problem.Problem('p', '', r'2\\sqrt{2}')).outcome)
"""
    assert run_script(tmp_path, code, Path(rlvrscope.__file__).parent) == "correct\n"


def test_workers_run_the_package_of_their_pool_also_from_a_folder_with_a_space(tmp_path: Path):
    folder = tmp_path / "a folder"
    package = folder / "the package" / "rlvrscope"
    shutil.copytree(Path(rlvrscope.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "mine.py").write_text(
        "def check(text, problem):\n    import rlvrscope\n    return rlvrscope.__file__ == text\n"
    )
    code = """
import rlvrscope as rs
problem = rs.problem.Problem('p', '', 'x', 'mine.py:check')
print(rs.verify.verify_answer(rs.__file__, problem).outcome, rs.__file__)
"""
    assert run_script(folder, code, package) == f"correct {package / '__init__.py'}\n"
