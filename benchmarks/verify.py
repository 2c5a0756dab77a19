"""Verdicts per second: rlvrscope against math-verify called plainly, on the same answers in the same run.

    python benchmarks/verify.py [--repeats 3] [--workers 2]

Answers like those of models to MATH problems: integers, fractions, decimals, radicals, polynomials, intervals, tuples,
words; three in four right, half of those in another form than the gold answer. math-verify is called as in its readme,
parse and verify, in this process. Every verdict of rlvrscope that is wrong is printed. Then: honest answers alone, next
to answers that hang, and after answers that take long.
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
KINDS = {
    (True, True): "both right",
    (True, False): "rlvrscope alone right",
    (False, True): "math-verify alone right",
    (False, False): "both wrong",
}
"""By (rlvrscope is right, math-verify is right)."""
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


def math_verify_agrees(gold: str, answer: str) -> bool:
    return plain_verify(parse(f"${gold}$"), parse(f"So the answer is $\\boxed{{{answer}}}$."))


def compare(repeats: int, workers: int) -> None:
    times: dict[str, list[float]] = {"rlvrscope": [], "math-verify": []}
    rates, agreement = [], Counter()
    for repeat in range(repeats):
        drawn = pairs(repeat)
        problems = [Problem(f"p{n}", "", gold) for n, (gold, *_) in enumerate(drawn)]
        texts = [f"So the answer is $\\boxed{{{answer}}}$." for _, answer, _ in drawn]
        with VerifierPool(workers) as pool:
            pool.map(["\\boxed{\\sqrt{8}}"] * workers, [Problem(f"w{n}", "", "2\\sqrt{2}") for n in range(workers)])
            started = time.perf_counter()
            verdicts = pool.map(texts, problems)
            times["rlvrscope"].append(time.perf_counter() - started)
        started = time.perf_counter()
        plain = [math_verify_agrees(gold, answer) for gold, answer, _ in drawn]
        times["math-verify"].append(time.perf_counter() - started)
        rates.append(times["math-verify"][-1] / times["rlvrscope"][-1])
        agreement.update(_agreement(drawn, verdicts, plain))
        if repeat == 0:
            print(f"decided by: {dict(Counter(verdict.path for verdict in verdicts).most_common())}")
    for name in times:
        seconds = statistics.median(times[name])
        print(f"{name:<12} {ITEMS / seconds:10,.0f} verdicts per second ({ITEMS:,} answers in {seconds:.2f} s)")
    print(f"ratio: {statistics.median(rates):.0f} (from {min(rates):.0f} to {max(rates):.0f} in {repeats} runs)")
    for kind in KINDS.values():
        print(f"{kind:<24} {agreement[kind]:,}")


def _agreement(drawn: list[tuple[str, str, bool]], verdicts: list[Verdict], plain: list[bool]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for (gold, answer, right), verdict, plain_agrees in zip(drawn, verdicts, plain, strict=True):
        is_right = (verdict.outcome == "correct") == right
        counts[KINDS[is_right, plain_agrees == right]] += 1
        if not is_right:
            print(f"  rlvrscope is wrong: gold {gold}, answer {answer}: {verdict.outcome}, {verdict.reason}")
    return counts


def next_to_hanging(workers: int, folder: str) -> None:
    """Honest answers that need a worker, without hanging items and with hanging items in all workers but one."""
    hanging = Problem("hanging", "", "x", f"{folder}/hang.py:hang")
    with open(f"{folder}/hang.py", "w") as file:
        file.write(HANGS)
    honest = [f"\\boxed{{\\frac{{{n}}}{{{n}\\sqrt{{2}}}}}}" for n in range(2, 402)]
    root = Problem("honest", "", "\\frac{\\sqrt{2}}{2}")
    with VerifierPool(workers, timeout=1.5) as pool:
        for num_hanging in (0, workers - 1):
            pool.map(honest[:50], [root] * 50)
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
        pool.map(["\\boxed{\\sqrt{8}}"] * workers, [Problem(f"w{n}", "", "2\\sqrt{2}") for n in range(workers)])
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
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    compare(arguments.repeats, arguments.workers)
    with tempfile.TemporaryDirectory() as folder:
        next_to_hanging(arguments.workers, folder)
    after_long(arguments.workers)


if __name__ == "__main__":
    main()
