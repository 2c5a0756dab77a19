"""rlvrscope against math-verify called plainly: verdicts per second, and errors of both kinds.

    python benchmarks/verify.py [--repeats 3] [--workers 2] [--outputs FILE]

Speed: answers like those of models to MATH problems: integers, fractions, decimals, radicals, polynomials, intervals,
tuples, words; three in four right, half of those in another form than the gold answer. math-verify is called as in its
readme, parse and verify, in this process. Then: honest answers alone, next to answers that hang, and after answers that
take long.

Agreement: right answers refused and wrong ones accepted, on these answers and on the cases of the tests. --outputs
names a file of real outputs, as `rlvrscope verify` reads it; where the two differ, both verdicts are printed.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
from collections import Counter
from pathlib import Path

from math_verify import parse
from math_verify import verify as plain_verify

from rlvrscope.problem import Problem
from rlvrscope.problems.answer_files import read_answers
from rlvrscope.seeding import generator
from rlvrscope.verify import VerifierPool

ITEMS = 2_000
CASES = Path(__file__).resolve().parents[1] / "tests" / "verify" / "cases.jsonl"
Outcomes = list[tuple[bool, bool, bool]]
"""(the answer is right, rlvrscope says so, math-verify says so)."""
HANGS = "def hang(text, problem):\n    while True:\n        pass\n"


def pairs(seed: int) -> list[tuple[str, str, bool]]:
    """Draw ITEMS times (gold, answer, whether it is right)."""
    rng = generator(seed, "answers")
    kinds = ("integer", "fraction", "decimal", "radical", "polynomial", "interval", "tuple", "word", "pi", "set")
    shares = (0.46, 0.16, 0.06, 0.08, 0.07, 0.03, 0.05, 0.03, 0.04, 0.02)  # an estimate for MATH
    drawn = []
    for _ in range(ITEMS):
        kind = kinds[rng.choice(len(kinds), p=shares)]
        a, b, c = (int(n) for n in rng.integers(2, 60, size=3))
        forms = _forms(kind, a, b, c)
        wrong = _forms(kind, a + 1, b, c)
        right = bool(rng.random() < 0.75)
        other = bool(rng.random() < 0.5)
        answer = (forms if right else wrong)[int(rng.integers(1, len(forms))) if other else 0]
        drawn.append((forms[0], answer, right))
    return drawn


def _forms(kind: str, a: int, b: int, c: int) -> list[str]:
    """Return ways of writing one value; the first is that of the gold answer."""
    names = ("Evelyn", "Tuesday", "even", "Alice", "hyperbola")
    return {
        "integer": lambda: [f"{a * b * c}", f"{a * b * c:,}", f"x = {a * b * c}", f"{a * b * c}.0"],
        "fraction": lambda: [f"\\frac{{{a}}}{{61}}", f"\\dfrac{{{a}}}{{61}}", f"{a}/61", f"\\frac{{{2 * a}}}{{122}}"],
        "decimal": lambda: [f"{a}.{b}5", f"{a}.{b}50", f"\\frac{{{a}{b}5}}{{{10 ** (len(str(b)) + 1)}}}"],
        "radical": lambda: [f"{a}\\sqrt{{3}}", f"\\sqrt{{{3 * a * a}}}", f"{a} \\sqrt 3"],
        "polynomial": lambda: [f"x^2+{a}x+{b}", f"{b} + {a}x + x^2", f"x^{{2}} + {a} x + {b}"],
        "interval": lambda: [f"[{-a},{b})", f"[-{a}, {b})", f"\\left[-{a},{b}\\right)"],
        "tuple": lambda: [f"({a},{b},{c})", f"({a}, {b}, {c})", f"\\left({a},{b},{c}\\right)"],
        "word": lambda: [f"\\text{{{names[a % 5]}}}", names[a % 5], f"\\textbf{{{names[a % 5]}}}"],
        "pi": lambda: [f"{a}\\pi", f"{a} \\pi", f"\\frac{{{2 * a}\\pi}}{{2}}"],
        "set": lambda: [f"{a}, {a + b + 1}", f"{a + b + 1}, {a}", f"{a} \\text{{ and }} {a + b + 1}"],
    }[kind]()


def math_verify_agrees(gold: str, text: str) -> bool:
    return plain_verify(parse(f"${gold}$"), parse(text))


def compare(repeats: int, workers: int) -> None:
    times: dict[str, list[float]] = {"rlvrscope": [], "math-verify": []}
    rates, outcomes = list[float](), Outcomes()
    for repeat in range(repeats):
        drawn = pairs(repeat)
        problems = [Problem(f"p{n}", "", gold) for n, (gold, *_) in enumerate(drawn)]
        texts = [f"So the answer is $\\boxed{{{answer}}}$." for _, answer, _ in drawn]
        with VerifierPool(workers) as pool:
            _warm_up(pool)
            started = time.perf_counter()
            verdicts = pool.map(texts, problems)
            times["rlvrscope"].append(time.perf_counter() - started)
        started = time.perf_counter()
        plain = [math_verify_agrees(gold, text) for (gold, *_), text in zip(drawn, texts, strict=True)]
        times["math-verify"].append(time.perf_counter() - started)
        rates.append(times["math-verify"][-1] / times["rlvrscope"][-1])
        ours = [verdict.outcome == "correct" for verdict in verdicts]
        outcomes += list(zip([right for *_, right in drawn], ours, plain, strict=True))
        if repeat == 0:
            print(f"decided by: {dict(Counter(verdict.path for verdict in verdicts).most_common())}")
    for name in times:
        seconds = statistics.median(times[name])
        print(f"{name:<12} {ITEMS / seconds:10,.0f} verdicts per second ({ITEMS:,} answers in {seconds:.2f} s)")
    print(f"ratio: {statistics.median(rates):.0f} (from {min(rates):.0f} to {max(rates):.0f} in {repeats} runs)")
    _print_errors("drawn answers", outcomes)


def _warm_up(pool: VerifierPool) -> None:
    """Start every worker and wait until all are ready."""
    roots = [Problem(f"w{n}", "", f"\\sqrt{{{n}}}+\\sqrt{{2}}") for n in range(3, 503)]
    for _ in range(2):
        pool.map(["\\boxed{\\sqrt{2}-\\sqrt{3}}"] * len(roots), roots)
        time.sleep(1.0)


def on_cases(workers: int) -> None:
    """Count the errors on the cases of the tests."""
    cases = [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()]
    forms = [{"forms": case["forms"]} if "forms" in case else {} for case in cases]
    problems = [Problem(f"c{n}", case["prompt"], case["answer"], metadata=forms[n]) for n, case in enumerate(cases)]
    with VerifierPool(workers) as pool:
        verdicts = pool.map([case["text"] for case in cases], problems)
    plain = [math_verify_agrees(case["answer"], case["text"]) for case in cases]
    ours = [verdict.outcome == "correct" for verdict in verdicts]
    _print_errors("cases of the tests", list(zip([case["right"] for case in cases], ours, plain, strict=True)))


def on_outputs(path: Path, workers: int) -> None:
    """Print where the two differ on real outputs."""
    answers = read_answers(path)
    with VerifierPool(workers) as pool:
        verdicts = pool.map(answers.texts, answers.problems)
    count = Counter[tuple[bool, bool]]()
    for text, problem, verdict in zip(answers.texts, answers.problems, verdicts, strict=True):
        pair = (verdict.outcome == "correct", math_verify_agrees(problem.answer, text))
        count[pair] += 1
        if pair[0] != pair[1]:
            print(
                f"  gold {problem.answer!r}, answer {verdict.extracted!r}: rlvrscope {pair[0]}, math-verify {pair[1]}"
            )
    print(
        f"real outputs: {len(verdicts):,}; both say right {count[True, True]:,}, both wrong {count[False, False]:,}, "
        f"rlvrscope alone right {count[True, False]:,}, math-verify alone right {count[False, True]:,}"
    )


def _print_errors(name: str, outcomes: Outcomes) -> None:
    for place, who in ((1, "rlvrscope"), (2, "math-verify")):
        refused = sum(outcome[0] and not outcome[place] for outcome in outcomes)
        accepted = sum(outcome[place] and not outcome[0] for outcome in outcomes)
        right = sum(outcome[0] for outcome in outcomes)
        print(
            f"{name}: {who:<12} right ones refused {refused:,} of {right:,}, "
            f"wrong ones accepted {accepted:,} of {len(outcomes) - right:,}"
        )


def next_to_hanging(workers: int, folder: str) -> None:
    """Honest answers that need a worker, without hanging items and with hanging items in all workers but one."""
    hanging = Problem("hanging", "", "x", f"{folder}/hang.py:hang")
    with open(f"{folder}/hang.py", "w") as file:
        file.write(HANGS)
    honest = [f"\\boxed{{\\frac{{{n}}}{{{n}\\sqrt{{2}}}}}}" for n in range(2, 402)]
    root = Problem("honest", "", "\\frac{\\sqrt{2}}{2}")
    with VerifierPool(workers, timeout=1.5) as pool:
        for num_hanging in (0, workers - 1):
            _warm_up(pool)
            started = time.perf_counter()
            verdicts = pool.map(["hang"] * num_hanging + honest, [hanging] * num_hanging + [root] * len(honest))
            seconds = time.perf_counter() - started
            mean = statistics.mean(verdict.seconds for verdict in verdicts[num_hanging:])
            outcomes = dict(Counter(verdict.outcome for verdict in verdicts))
            print(f"{num_hanging} hanging: {seconds:.2f} s in all, {mean * 1e3:.1f} ms per honest answer; {outcomes}")


def after_long(workers: int) -> None:
    """Time to 200 verdicts: 200 honest answers, one in five for a worker, alone and after 50 long lists of radicals."""
    kinds = ("integer", "fraction", "polynomial", "tuple", "radical")
    forms = [_forms(kinds[n % 5], n + 2, 3, 5) for n in range(200)]
    honest = [(f"\\boxed{{{answer}}}", Problem(f"h{n}", "", gold)) for n, (gold, answer, *_) in enumerate(forms)]
    hostile = []
    for n in range(50):
        gold, answer = (",".join([f"{form}+\\ln({n + 2})"] * 22) for form in ("2\\sqrt{2}", "\\sqrt{8}"))
        hostile.append((f"\\boxed{{{answer}}}", Problem(f"x{n}", "", gold)))
    with VerifierPool(workers) as pool:
        _warm_up(pool)
        for items, name in ((honest, "honest alone"), (hostile + honest, "after 50 long ones")):
            times: list[float] = []
            started = time.perf_counter()
            texts, problems = zip(*items, strict=True)
            pool.map(texts, problems, lambda done, total, times=times: times.append(time.perf_counter()))
            print(f"{name}: 200 verdicts after {times[199] - started:.2f} s, all after {times[-1] - started:.2f} s")


def main() -> None:
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--outputs", type=Path)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    compare(arguments.repeats, arguments.workers)
    on_cases(arguments.workers)
    if arguments.outputs:
        on_outputs(arguments.outputs, arguments.workers)
    with tempfile.TemporaryDirectory() as folder:
        next_to_hanging(arguments.workers, folder)
    after_long(arguments.workers)


if __name__ == "__main__":
    main()
