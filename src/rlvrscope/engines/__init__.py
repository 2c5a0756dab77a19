"""Engines: language models to draw from and to score with. Each is one module, imported when it is opened."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from rlvrscope.engines.engine import Completion, Engine, Failure, Request, Result
from rlvrscope.errors import InputError, did_you_mean
from rlvrscope.extras import needs_extra
from rlvrscope.scoring import Scorer, ScoreRequest, TokenScores

ENGINES = {"lab": "lab", "transformers": "hf", "openai": "sample"}
"""Engines by name, with the extra that each needs. Module `rlvrscope.engines.<name>` has `open_engine(model, settings)`
and, for those in SCORERS, `open_scorer(model, settings)`."""
SCORERS = ("lab", "transformers")
MAX_PATIENCE = 7 * 24 * 3600.0


@dataclass(frozen=True)
class Settings:
    """Sampling settings; None: the engine's default. An engine refuses settings it does not support.

    max_tokens: of a completion. chat: apply the model's own chat template to prompts. batch: samples drawn at a time.
    urls: of servers. stop: texts that end a completion, which ends before the first of them. requested: samples of the
    whole run, which bounds the default batch. patience: seconds that a server in trouble is tried again. on_tokens:
    called with the number of tokens just drawn. on_wait: called with a line before the engine waits for a server.
    stopped: true after Ctrl-C.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = None
    chat: bool = False
    batch: int | None = None
    device: str | None = None
    urls: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    requested: int | None = None
    patience: float | None = None
    on_tokens: Callable[[int], None] | None = None
    on_wait: Callable[[str], None] = lambda line: None
    stopped: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        if not 0.0 < self.temperature <= 100.0:
            raise InputError(f"the temperature must be above 0 and at most 100; got {self.temperature}")
        if not 0.0 < self.top_p <= 1.0:
            raise InputError(f"top-p must be above 0 and at most 1; got {self.top_p}")
        for name in ("max_tokens", "batch", "requested"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} must be 1 or more; got {value}")
        if self.patience is not None and not 0.0 < self.patience <= MAX_PATIENCE:
            raise InputError(f"patience must be above 0 and at most {MAX_PATIENCE:g} seconds; got {self.patience}")
        if not all(self.stop):
            raise InputError("a stop string must not be empty")

    @property
    def stop_facts(self) -> dict[str, str]:
        """The stop strings as a fact of an engine's identity; none without them."""
        return {"stop": json.dumps(sorted(set(self.stop)), ensure_ascii=False)} if self.stop else {}

    def cut(self, text: str) -> str | None:
        """Return the text before the first stop string in it; None without one."""
        places = [place for stop in self.stop if (place := text.find(stop)) >= 0]
        return text[: min(places)] if places else None


def open_engine(name: str, model: str, settings: Settings | None = None) -> Engine:
    """Open a model to draw from. Raises InputError for an unknown name, and whatever the engine raises."""
    return _module(name).open_engine(model, settings or Settings())


def open_scorer(name: str, model: str, settings: Settings | None = None) -> Scorer:
    """Open a model to score completions with, at temperature 1 over all tokens.

    Raises InputError for an unknown name, an engine that can't score, and a temperature or top-p other than 1.
    """
    settings = settings or Settings()
    check_scorer(name)
    if settings.temperature != 1.0 or settings.top_p != 1.0:
        raise InputError("scores are log-probabilities at temperature 1 and top-p 1: leave those settings out")
    return _module(name).open_scorer(model, settings)


def check_scorer(name: str) -> None:
    """Raise InputError for an engine that can't score given completions."""
    if name in ENGINES and name not in SCORERS:
        raise InputError(f"the {name} engine can't score given completions: use one of {', '.join(SCORERS)}")


def _module(name: str) -> ModuleType:
    if name not in ENGINES:
        raise InputError(f"no engine is called {name!r}. {did_you_mean(name, list(ENGINES))}")
    with needs_extra(ENGINES[name], f"the {name} engine"):
        return importlib.import_module(f"rlvrscope.engines.{name}")


__all__ = [
    "ENGINES",
    "SCORERS",
    "Completion",
    "Engine",
    "Failure",
    "Request",
    "Result",
    "ScoreRequest",
    "Scorer",
    "Settings",
    "TokenScores",
    "check_scorer",
    "open_engine",
    "open_scorer",
]
