"""How far sampling is: a live line in a terminal, a line now and then elsewhere; and Ctrl-C that ends the batch."""

from __future__ import annotations

import signal
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from rlvrscope.cli.shared.progress import duration

if TYPE_CHECKING:
    from rlvrscope.sampling import FillProgress

EVERY = 30.0
"""Seconds between lines where there is no terminal."""


class SamplingProgress:
    """Shows a `FillProgress` as it grows. `stopped` is true after the first Ctrl-C; a second one ends all at once."""

    def __init__(self, console: Console) -> None:
        self.stopped = False
        self._console = console
        words = TextColumn("{task.description}", table_column=Column(overflow="fold"))
        self._bar = Progress(BarColumn(10), words, console=console, transient=True)
        self._task = self._bar.add_task("", total=None)
        self._told = time.monotonic()

    def __enter__(self) -> Self:
        self._handler = signal.getsignal(signal.SIGINT)
        if self._handler is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._interrupt)
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._console.is_terminal:
            self._bar.stop()
        signal.signal(signal.SIGINT, self._handler)

    def show(self, filled: FillProgress) -> None:
        far = f"{filled.done:,} of {filled.total:,}"
        if self._console.is_terminal:
            words = "\n".join([far, *_lines(filled)])
            self._bar.update(self._task, completed=filled.done, total=filled.total, description=words)
        elif time.monotonic() - self._told > EVERY:
            self._told = time.monotonic()
            self._say(f"{far}: {told(filled)}")

    def _interrupt(self, *_: Any) -> None:
        if self.stopped:
            raise KeyboardInterrupt
        self.stopped = True
        self._say("finishing the batch at hand; Ctrl-C again to end at once")

    def _say(self, line: str) -> None:
        self._console.print(line)


def told(filled: FillProgress) -> str:
    """How fast it goes, and what was found, in one line."""
    return ", ".join(_lines(filled))


def _lines(filled: FillProgress) -> list[str]:
    """Rate, tokens and time left; and the shares of outcomes among the new samples.

    The shares are of what was verified, which is all that is committed.
    """
    seconds = max(filled.seconds, 1e-9)
    rate = filled.new / seconds
    pace = [f"{rate:,.1f}/s", f"{filled.tokens / seconds:,.0f} tokens/s"]
    if filled.new and filled.done < filled.total:
        pace.append(f"about {duration((filled.total - filled.done - filled.failed) / rate)} left")
    found, verified = [], sum(filled.outcomes.values())
    if verified:
        found.append(f"{verified / max(filled.new, 1):.0%} verified")
        found += [f"{outcome} {count / verified:.1%}" for outcome, count in filled.outcomes.most_common()]
    if filled.identical:
        found.append("all samples of a problem alike")
    if filled.failed:
        found.append(f"{filled.failed:,} failed")
    return [", ".join(words) for words in (pace, found) if words]
