"""Single samples of a model, read from their files only when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from massflow.sampling.table import Batch
from massflow.sampling.tally import Reader
from massflow.sampling.values import label, message_text

_TEXT_ROWS = 256


@dataclass(frozen=True)
class SampleText:
    """One sample as it was written: a model's words, so anything may stand in them. Escape them where you show them."""

    text: str
    answer: str | None
    correct: bool
    base: str | None = None
    seed: str | None = None


@dataclass(frozen=True)
class Samples:
    """The samples of one model at one step, in the tables they lie in."""

    readers: Sequence[Reader]
    model: str | None
    step: int | None

    @property
    def has_texts(self) -> bool:
        return any("text" in reader.schema.names for reader in self.readers)

    @property
    def has_answers(self) -> bool:
        return all("answer" in reader.schema.names for reader in self.readers)

    def texts(self, problem: str, limit: int) -> list[SampleText]:
        """The first `limit` samples of a problem."""
        found: list[SampleText] = []
        for reader in self.readers if self.has_texts else ():
            for part in reader.table.parts:
                most = limit - len(found)
                if reader.table.columnar:
                    most = min(most, self._number_in(reader, part, problem))
                if most > 0:
                    found += self._texts_in(reader, part, problem, most)
        return found

    def answers(self) -> tuple[list[str], list[str | None], list[bool]]:
        """(problem, answer, correct) of every sample."""
        problems: list[str] = []
        answers: list[str | None] = []
        correct: list[bool] = []
        for reader in self.readers:
            name = reader.schema.names["answer"]
            for batch in reader.batches((name,)):
                batch = batch.only(self._mine(reader, batch))
                if len(batch.row_B):
                    problems += reader.problems(batch).list()
                    answers += batch.columns[name].map(label).list()
                    correct += reader.right(batch).tolist()
        return problems, answers, correct

    def _number_in(self, reader: Reader, part: int, problem: str) -> int:
        return sum(int(self._mine(reader, batch, problem).sum()) for batch in reader.batches(parts=[part]))

    def _texts_in(self, reader: Reader, part: int, problem: str, most: int) -> list[SampleText]:
        found: list[SampleText] = []
        names = reader.schema.names
        extra = tuple(names[ours] for ours in ("text", "answer") if ours in names)
        for batch in reader.batches(extra, parts=[part], rows=_TEXT_ROWS):
            found += self._written(reader, batch.only(self._mine(reader, batch, problem)))
            if len(found) >= most:
                break
        return found[:most]

    def _mine(self, reader: Reader, batch: Batch, problem: str | None = None) -> NDArray[np.bool_]:
        """(B,) is the row this model's, at this step (and of this problem)."""
        model, step, _, _, problems, _ = reader.keys(batch)
        mine_B = model.array(lambda value: value == self.model) & step.array(lambda value: value == self.step)
        return mine_B if problem is None else mine_B & problems.array(lambda value: value == problem)

    def _written(self, reader: Reader, batch: Batch) -> Iterator[SampleText]:
        if not len(batch.row_B):
            return
        _, _, base, seed, _, _ = reader.keys(batch)
        nothing: list[Any] = [None] * len(batch.row_B)
        text, answer = (
            batch.columns[reader.schema.names[ours]].list() if ours in reader.schema.names else nothing
            for ours in ("text", "answer")
        )
        rows = zip(text, answer, reader.right(batch).tolist(), base.list(), seed.list(), strict=True)
        for said, came_to, right, of_base, of_seed in rows:
            yield SampleText(message_text(said), label(came_to), right, of_base, of_seed)
