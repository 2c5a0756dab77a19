"""Progress of sampling, and Ctrl-C that finishes the current batch."""

from __future__ import annotations

import contextlib
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console

from rlvrscope.cli.shared.console import MESSAGES
from rlvrscope.cli.shared.guard import on_interrupt
from rlvrscope.cli.shared.progress import duration, progress_bar
from rlvrscope.cli.shared.truncation import finished_rate
from rlvrscope.report.text import one_line

if TYPE_CHECKING:
    from rlvrscope.sampling import FillProgress

WAIT_SECONDS = 10.0
"""Pause between lines on a server that is waited for, in seconds."""
LINE_SECONDS = 30.0
"""Longest pause between progress lines where there is no terminal, in seconds."""


class SamplingProgress:
    """A context manager that shows a FillProgress as it grows.

    stopped: Ctrl-C was pressed once, and the current batch is being finished; a second one interrupts at once.
    """

    def __init__(self, console: Console = MESSAGES) -> None:
        self.stopped = False
        self._console = console
        self._progress: FillProgress | None = None
        self._tokens = 0
        self._waited = -WAIT_SECONDS
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(on_interrupt(self._interrupt))
        bar = progress_bar("sampling", line_every=LINE_SECONDS, console=self._console)
        self._advance = self._stack.enter_context(bar)
        self._tokens = 0
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def show(self, progress: FillProgress) -> None:
        self._progress = progress
        self._advance(progress.done, progress.total, "\n".join(_lines(progress, self._tokens)))

    def count_tokens(self, count: int) -> None:
        """Add tokens just drawn, of samples that may not be finished."""
        self._tokens += count
        if self._progress is not None:
            self.show(self._progress)

    def wait(self, line: str) -> None:
        """Say what is waited for, at most every WAIT_SECONDS."""
        now = time.monotonic()
        if now - self._waited >= WAIT_SECONDS:
            self._waited = now
            self._console.print(f"waiting: {one_line(line)} (--patience)")

    def _interrupt(self, *_: Any) -> None:
        if self.stopped:
            raise KeyboardInterrupt
        self.stopped = True
        self._console.print("finishing the current batch; Ctrl-C again to end at once")


def summary(progress: FillProgress) -> str:
    """Return rate and outcomes in one line."""
    return ", ".join(_lines(progress))


def _lines(progress: FillProgress, drawn: int = 0) -> list[str]:
    """Rate and time left; and the outcomes' shares of the new samples, all of which are verified when committed.

    drawn: tokens, of samples that are not committed too.
    """
    seconds = max(progress.seconds, 1e-9)
    rate, tokens = progress.new / seconds, max(progress.tokens, drawn)
    speed = [f"{rate:,.1f} samples/s" if progress.new or not tokens else f"{tokens:,} tokens drawn"]
    if tokens:
        speed.append(f"{tokens / seconds:,.0f} tokens/s")
    if progress.new and progress.done < progress.total:
        speed.append(f"about {duration((progress.total - progress.done - progress.failed) / rate)} left")
    results = []
    if verified := progress.outcomes.total():
        results.append(f"{verified / max(progress.new, 1):.0%} verified")
        results += [f"{outcome} {count / verified:.1%}" for outcome, count in progress.outcomes.most_common()]
    if (rates := progress.rates).truncated:
        results += [f"truncated {rates.truncated_share:.1%}", finished_rate(rates)]
    if progress.identical:
        results.append("all samples of a problem are identical")
    if progress.failed:
        results.append(f"{progress.failed:,} failed")
    return [", ".join(words) for words in (speed, results) if words]
