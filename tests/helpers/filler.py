"""An engine without a model, and a command that fills a store with it, which tests kill, starve and compare.

python tests/helpers/filler.py FOLDER SAMPLES [SECONDS A BATCH]
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlvrscope.engines import Completion, Failure, Request, Result
from rlvrscope.errors import RlvrscopeError
from rlvrscope.problem import Problem
from rlvrscope.sampling import SampleStore, fill
from rlvrscope.seeding import uniform_rows

PROBLEMS = [Problem(f"p{number}", f"What is {number}+1?", str(number + 1)) for number in range(6)]


@dataclass
class Guesser:
    """Answers with a number from 0 to 9, or none, drawn with the sample's seed. Batches in order, or reversed."""

    identity: Mapping[str, Any] = field(default_factory=lambda: {"engine": "guesser", "temperature": 1.0})
    honours_seeds: bool = True
    batch: int = 64
    pause: float = 0.0
    reverse: bool = False
    fails: frozenset[tuple[str, int]] = frozenset()
    requested: list[tuple[str, int]] = field(default_factory=list)

    def run(self, requests: Iterator[Request]) -> Iterator[Result]:
        while cells := list(itertools.islice(requests, self.batch)):
            time.sleep(self.pause)
            for request in reversed(cells) if self.reverse else cells:
                self.requested.append((request.problem.id, request.index))
                broken = (request.problem.id, request.index) in self.fails
                yield request, Failure("the line went dead") if broken else self._guess(request)

    def close(self) -> None:
        """Nothing to release."""

    def _guess(self, request: Request) -> Completion:
        draws = uniform_rows([request.seed], 20)[0]
        guess = int(draws[0] * 11)
        thought = " ".join(str(int(draw * 1000)) for draw in draws)
        return Completion(
            f"{thought} so \\boxed{{{guess}}}" if guess < 10 else thought, 20, "stop", float(-draws.sum())
        )


def verified_samples(path: Path | str) -> dict[tuple[str, int], Any]:
    """Return every sample of a store with its verdict, by (problem, index)."""
    verdicts = (
        "SELECT p.name, v.number, v.outcome, v.extracted, v.path FROM verdicts v JOIN problems p ON p.id = v.problem"
    )
    with SampleStore(path, write=False) as store:
        samples = {(sample.problem, sample.index): sample for run in store.runs() for sample in store.samples(run)}
        verdict_of = {(name, index): verdict for name, index, *verdict in store.connection.execute(verdicts)}
    assert verdict_of.keys() == samples.keys()
    return {cell: (sample, verdict_of[cell]) for cell, sample in samples.items()}


if __name__ == "__main__":
    folder, samples, *pause = sys.argv[1:]
    try:
        with SampleStore(folder) as store:
            fill(
                store,
                PROBLEMS,
                Guesser(pause=float(pause[0]) if pause else 0.0),
                int(samples),
                on_progress=lambda progress: print(progress.done, flush=True),
            )
    except RlvrscopeError as error:
        sys.exit(f"error: {error}")
