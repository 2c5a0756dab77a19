"""Accounts: what was read from a source, in one line, and what is doubtful about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rlvrscope.readers.copies import Copies
from rlvrscope.tables.values import join_names

MIN_REPEATED_SHARE = 0.01
"""Share of samples that repeat a long text from which it is said."""


@dataclass(frozen=True, eq=False)
class Account:
    """What was read from a source.

    layout: the tool that wrote it, or the kind of table. rating: the file's column that says what is right. rows: of
    its files, used: those that were counted. samples: (fewest, most) of a problem, summed over training runs where
    there are several. left_out: rows left out, by reason; files: files left out. other_words: values of the rating that
    --right leaves wrong. completions: the most completions of a row of which the rating grades one. notes: further
    doubts. sha256: of each file that was read; stores have none, since they grow. choices: models and steps in the
    files, of which `models` were chosen.
    """

    source: str
    layout: str
    rating: str
    rows: int
    used: int
    models: int
    problems: int
    samples: tuple[int, int]
    left_out: Mapping[str, int] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    other_words: Mapping[str, int] = field(default_factory=dict)
    completions: int = 1
    copies: Copies | None = None
    notes: tuple[str, ...] = ()
    sha256: Mapping[str, str] = field(default_factory=dict)
    choices: int = 1

    @property
    def line(self) -> str:
        """One line: layout, problems, samples, rows, rating.

        >>> Account("base", "verl", "score", 240, 240, 1, 30, (8, 8)).line
        "base (verl): 30 problems, 8 samples each, 240 of 240 rows used; right by 'score'"
        """
        fewest, most = self.samples
        samples = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
        parts = [f"{self.models} models"] if self.models > 1 else []
        parts += [f"{self.problems:,} problem{'s' * (self.problems != 1)}", f"{samples} sample{'s' * (most != 1)} each"]
        of = f" of all {self.choices} models and steps" if self.choices > self.models else ""
        parts.append(f"{self.used:,} of {self.rows:,} rows used{of}")
        reasons = [f"{reason}: {number:,}" for reason, number in self.left_out.items() if number]
        parts += [f"left out: {', '.join(reasons)}"] if reasons else []
        parts += [f"{len(self.sha256)} files: {join_names(self.sha256)}"] if len(self.sha256) > 1 else []
        parts += [f"files left out: {join_names(self.files)}"] if self.files else []
        return f"{self.source} ({self.layout}): {', '.join(parts)}; right by {self.rating!r}"

    @property
    def warnings(self) -> list[str]:
        """Doubts: copies among the samples, words that count as wrong, several completions behind one verdict."""
        lines = [f"{self.source}: {note}" for note in self.notes]
        if self.other_words:
            words = join_names(f"{word} ({number:,})" for word, number in self.other_words.items())
            lines.append(f"{self.source}: these values of {self.rating!r} count as wrong: {words}")
        if self.completions > 1:
            lines.append(
                f"{self.source}: a row has up to {self.completions:,} completions and one verdict, so it counts as one "
                f"sample, of what the tool chose among them. Verify the completions to count each: rlvrscope verify"
            )
        return [*lines, *self._copies()]

    def _copies(self) -> list[str]:
        copies = self.copies
        if copies is None:
            return []
        mean, distinct = copies.samples / copies.problems, copies.distinct / copies.problems
        if copies.each > 1:
            return [
                f"{self.source}: of {mean:.3g} samples of a problem only {distinct:.3g} are different, and each text "
                f"comes {copies.each} times or a multiple of it: written again, not drawn again. n is "
                f"{mean / copies.each:.3g}, not {mean:.3g}: --drop-copies counts each text of a problem once"
            ]
        if copies.all_alike:
            return [
                f"{self.source}: all samples of a problem are the same text ({mean:.3g} each), as from greedy decoding "
                "or copies: n is 1. --drop-copies counts each text of a problem once"
            ]
        if copies.long_repeats > MIN_REPEATED_SHARE * copies.samples:
            return [
                f"{self.source}: {copies.long_repeats:,} of {copies.samples:,} samples repeat a long text of the same "
                "problem word for word. If they were written twice, --drop-copies counts each text of a problem once"
            ]
        return []
