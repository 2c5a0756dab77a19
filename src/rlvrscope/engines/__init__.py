"""Engines: what draws samples. One is one file here with an `open_engine`; it is imported when it is asked for."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from rlvrscope.engines.engine import Completion, Engine, Failure, Request, Result
from rlvrscope.errors import InputError, did_you_mean

ENGINES = {name: f"rlvrscope.engines.{name}" for name in ("lab", "transformers", "openai")}
"""The module of each, with `open_engine(model, settings) -> Engine`."""


@dataclass(frozen=True)
class Settings:
    """How to sample; None: the engine's own default. An engine refuses what it can't do.

    max_tokens: of a completion. chat: put the model's own chat template around prompts. batch: cells at a time. urls:
    of servers. They say nothing of which cells to fill.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = None
    chat: bool = False
    batch: int | None = None
    device: str | None = None
    urls: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 < self.temperature <= 100.0:
            raise InputError(f"the temperature must be above 0 and at most 100; got {self.temperature}")
        if not 0.0 < self.top_p <= 1.0:
            raise InputError(f"top-p must be above 0 and at most 1; got {self.top_p}")
        for name in ("max_tokens", "batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} must be 1 or more; got {value}")


def open_engine(name: str, model: str, settings: Settings | None = None) -> Engine:
    """The engine of this name with a model. Raises InputError for an unknown name, and what the engine raises."""
    if name not in ENGINES:
        raise InputError(f"no engine is called {name!r}. {did_you_mean(name, list(ENGINES))}")
    return importlib.import_module(ENGINES[name]).open_engine(model, settings or Settings())


__all__ = ["ENGINES", "Completion", "Engine", "Failure", "Request", "Result", "Settings", "open_engine"]
