"""Single samples of a model, read from their files only when asked for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlvrscope.readers.tally import Reader
from rlvrscope.tables.table import Batch
from rlvrscope.tables.values import label, message_text

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

    def texts(self, problems: Collection[str], limit: int, correct: bool | None = None) -> dict[str, list[SampleText]]:
        """The first `limit` samples of each problem, in one reading; `correct`: only right ones, or only wrong ones."""
        found: dict[str, list[SampleText]] = {problem: [] for problem in problems}
        for reader in self.readers if self.has_texts else ():
            for part in reader.table.parts:
                left = self._left(reader, part, found, limit, correct) if reader.table.columnar else math.inf
                if left > 0 and any(len(texts) < limit for texts in found.values()):
                    self._read(reader, part, found, limit, correct, left)
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

    def _left(
        self, reader: Reader, part: int, found: Mapping[str, Sequence[SampleText]], limit: int, correct: bool | None
    ) -> int:
        """How many texts this part has to give: read from the other columns, which cost little."""
        there: Counter[str] = Counter()
        for batch in reader.batches(parts=[part]):
            there.update(reader.problems(batch.only(self._mine(reader, batch, found, correct))).list())
        return sum(min(number, limit - len(found[problem])) for problem, number in there.items())

    def _read(
        self,
        reader: Reader,
        part: int,
        found: dict[str, list[SampleText]],
        limit: int,
        correct: bool | None,
        left: float,
    ) -> None:
        names = reader.schema.names
        extra = tuple(names[ours] for ours in ("text", "answer") if ours in names)
        for batch in reader.batches(extra, parts=[part], rows=_TEXT_ROWS):
            wanted = {problem for problem, texts in found.items() if len(texts) < limit}
            for problem, sample in self._written(reader, batch.only(self._mine(reader, batch, wanted, correct))):
                if len(found[problem]) < limit:
                    found[problem].append(sample)
                    left -= 1
            if left <= 0 or not wanted:
                break

    def _mine(
        self, reader: Reader, batch: Batch, wanted: Collection[str] | None = None, correct: bool | None = None
    ) -> NDArray[np.bool_]:
        """(B,) is the row this model's, at this step (and of a wanted problem, and right or wrong as asked)."""
        model, step, _, _, problems, _ = reader.keys(batch)
        mine_B = model.array(lambda value: value == self.model) & step.array(lambda value: value == self.step)
        if wanted is not None:
            mine_B &= problems.array(lambda value: value in wanted)
        return mine_B if correct is None else mine_B & (reader.right(batch) == correct)

    def _written(self, reader: Reader, batch: Batch) -> Iterator[tuple[str, SampleText]]:
        if not len(batch.row_B):
            return
        _, _, base, seed, problems, _ = reader.keys(batch)
        nothing: list[Any] = [None] * len(batch.row_B)
        text, answer = (
            batch.columns[reader.schema.names[ours]].list() if ours in reader.schema.names else nothing
            for ours in ("text", "answer")
        )
        right = reader.right(batch).tolist()
        rows = zip(problems.list(), text, answer, right, base.list(), seed.list(), strict=True)
        for problem, said, came_to, right, of_base, of_seed in rows:
            yield problem, SampleText(message_text(said), label(came_to), right, of_base, of_seed)
