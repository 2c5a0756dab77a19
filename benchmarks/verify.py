"""Verdicts a second: rlvrscope against math-verify called plainly, on the same answers in the same run.

    python benchmarks/verify.py [--repeats 3] [--workers 2]

Answers as models give them to problems like those of MATH: integers, fractions, decimals, radicals, polynomials,
intervals, tuples, words; three in four right, half of those in another form than the gold one. math-verify is called as
its readme says, parse and verify, in this process. Where they disagree, each pair is printed with what both say. Then:
honest answers alone, and beside hostile ones: that hold a worker until they are killed, and that are long to read.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
from collections import Counter

from math_verify import parse
from math_verify import verify as plain_verify

from rlvrscope.problem import Problem, Verdict
from rlvrscope.seeding import generator
from rlvrscope.verify import VerifierPool

ITEMS = 2_000
HANGS = "def hang(text, problem):\n    while True:\n        pass\n"


def pairs(seed: int) -> list[tuple[str, str, bool]]:
    """(gold, answer, is it right) of ITEMS answers, drawn anew for each."""
    rng = generator(seed, "answers")
    kinds = ("integer", "fraction", "decimal", "radical", "polynomial", "interval", "tuple", "word", "pi", "set")
    shares = (0.46, 0.16, 0.06, 0.08, 0.07, 0.03, 0.05, 0.03, 0.04, 0.02)  # a guess at MATH's
    found = []
    for _ in range(ITEMS):
        kind = kinds[rng.choice(len(kinds), p=shares)]
        a, b, c = (int(n) for n in rng.integers(2, 60, size=3))
        forms = _forms(kind, a, b, c)
        wrong = _forms(kind, a + 1, b, c)
        right = bool(rng.random() < 0.75)
        other = bool(rng.random() < 0.5)
        answer = (forms if right else wrong)[int(rng.integers(1, len(forms))) if other else 0]
        found.append((forms[0], answer, right))
    return found


def _forms(kind: str, a: int, b: int, c: int) -> list[str]:
    """Ways of writing one value; the first is the gold answer's."""
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


def plainly(gold: str, answer: str) -> bool:
    return plain_verify(parse(f"${gold}$"), parse(f"So the answer is $\\boxed{{{answer}}}$."))


def compare(repeats: int, workers: int) -> None:
    times: dict[str, list[float]] = {"ours": [], "plain": []}
    rates, disagreed = [], Counter()
    for repeat in range(repeats):
        drawn = pairs(repeat)
        problems = [Problem(f"p{n}", "", gold) for n, (gold, *_) in enumerate(drawn)]
        texts = [f"So the answer is $\\boxed{{{answer}}}$." for _, answer, _ in drawn]
        with VerifierPool(workers) as pool:
            pool.map(["\\boxed{\\sqrt{8}}"] * workers, [Problem(f"w{n}", "", "2\\sqrt{2}") for n in range(workers)])
            started = time.perf_counter()
            verdicts = pool.map(texts, problems)
            times["ours"].append(time.perf_counter() - started)
        started = time.perf_counter()
        plain = [plainly(gold, answer) for gold, answer, _ in drawn]
        times["plain"].append(time.perf_counter() - started)
        rates.append(times["plain"][-1] / times["ours"][-1])
        disagreed.update(_disagreements(drawn, verdicts, plain))
        if repeat == 0:
            print(f"decided by: {dict(Counter(verdict.path for verdict in verdicts).most_common())}")
    for name in times:
        taken = statistics.median(times[name])
        print(f"{name:<6} {ITEMS / taken:10,.0f} verdicts a second ({ITEMS:,} answers in {taken:.2f} s)")
    print(f"ratio: {statistics.median(rates):.0f} (from {min(rates):.0f} to {max(rates):.0f} in {repeats} runs)")
    for what in ("both right", "ours alone right", "math-verify alone right", "both wrong"):
        print(f"{what:<24} {disagreed[what]:,}")


def _disagreements(drawn: list[tuple[str, str, bool]], verdicts: list[Verdict], plain: list[bool]) -> Counter[str]:
    found: Counter[str] = Counter()
    for (gold, answer, right), verdict, theirs in zip(drawn, verdicts, plain, strict=True):
        ours = (verdict.outcome == "correct") == right
        kind = {(True, True): "both right", (True, False): "ours alone right", (False, True): "math-verify alone right"}
        found[kind.get((ours, theirs == right), "both wrong")] += 1
        if not ours:
            print(f"  we are wrong: gold {gold}, answer {answer}: {verdict.outcome}, {verdict.reason}")
    return found


def beside_hostile(workers: int, folder: str) -> None:
    """Honest answers that need a worker, with and without as many hanging items as leave one worker free."""
    own = Problem("hostile", "", "x", f"{folder}/hang.py:hang")
    with open(f"{folder}/hang.py", "w") as file:
        file.write(HANGS)
    honest = [f"\\boxed{{\\frac{{{n}}}{{{n}\\sqrt{{2}}}}}}" for n in range(2, 402)]
    root = Problem("honest", "", "\\frac{\\sqrt{2}}{2}")
    with VerifierPool(workers, timeout=1.5) as pool:
        for hostile in (0, workers - 1):
            pool.map(honest[:50], [root] * 50)
            started = time.perf_counter()
            verdicts = pool.map(["hang"] * hostile + honest, [own] * hostile + [root] * len(honest))
            taken = time.perf_counter() - started
            mean = statistics.mean(verdict.seconds for verdict in verdicts[hostile:])
            outcomes = dict(Counter(verdict.outcome for verdict in verdicts))
            print(f"{hostile} hanging: {taken:.2f} s in all, {mean * 1e3:.1f} ms an honest answer; {outcomes}")


def beside_long(workers: int) -> None:
    """200 honest answers, one in five for a worker, after 50 long lists of radicals: when have 200 a verdict?"""
    kinds = ("integer", "fraction", "polynomial", "tuple", "radical")
    forms = [_forms(kinds[n % 5], n + 2, 3, 5) for n in range(200)]
    honest = [(f"\\boxed{{{given}}}", Problem(f"h{n}", "", gold)) for n, (gold, given, *_) in enumerate(forms)]
    hostile = []
    for n in range(50):
        gold, given = (",".join([f"{form}+\\ln({n + 2})"] * 22) for form in ("2\\sqrt{2}", "\\sqrt{8}"))
        hostile.append((f"\\boxed{{{given}}}", Problem(f"x{n}", "", gold)))
    with VerifierPool(workers) as pool:
        pool.map(["\\boxed{\\sqrt{8}}"] * workers, [Problem(f"w{n}", "", "2\\sqrt{2}") for n in range(workers)])
        for items, name in ((honest, "honest alone"), (hostile + honest, "with 50 long ones before them")):
            when: list[float] = []
            started = time.perf_counter()
            texts, problems = zip(*items, strict=True)
            pool.map(texts, problems, lambda done, total, when=when: when.append(time.perf_counter()))
            print(f"{name}: 200 verdicts after {when[199] - started:.2f} s, all after {when[-1] - started:.2f} s")


def main() -> None:
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    compare(arguments.repeats, arguments.workers)
    with tempfile.TemporaryDirectory() as folder:
        beside_hostile(arguments.workers, folder)
    beside_long(arguments.workers)


if __name__ == "__main__":
    main()
