"""Names in training logs: of steps, and of the metrics that the stage monitor reads."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rlvrscope.errors import InputError
from rlvrscope.monitor.stage import SIGNALS
from rlvrscope.runs.rows import ADAPTER_PREFIX, METRIC_NAMES
from rlvrscope.tables.values import to_number

LogRow = dict[str, Any]
"""A step and its metrics: finite numbers under canonical names, and `levels`, shares of the reward levels."""
STEP_NAMES = (
    "train/global_step", "training/global_step", "trainer/global_step", "global_step", "global_step/max_steps",
    "step", "Step", "_step",
)  # fmt: skip
"""Names of a step, the trainers' own before those of loggers, which count calls. ms-swift writes 5/100."""
READ = (*SIGNALS, "top_level")
OTHER_NAMES = {"reward": ("mean_reward", "reward_mean", "reward/mean")}
"""Names that trainers of one's own often have, after those of METRIC_NAMES."""
MAX_STEP = 2**53
_LEVEL = re.compile(r"(?:levels/)(.+)")
_TRAIN = re.compile(r"(?:.+ - )?(?:train/)?")
"""Prefix of a name: W&B's section, and in the export of a chart the run."""
_SUMMED = re.compile(r"(?:train/)?rewards/(.+?)(?:/mean)?")
_MARKS = {"completions/", "completion_length", "reward_std", "frac_reward_zero_std", "clip_ratio/"}
"""Names that only TRL's loggers write."""


def canonical_name(logged: str) -> tuple[str, int] | None:
    """Return the canonical name of a metric that the monitor reads, and its rank among the names of that metric.

    >>> canonical_name("train/frac_reward_zero_std"), canonical_name("actor/entropy"), canonical_name("eval/reward")
    (('equal_reward_share', 0), ('entropy', 1), None)
    """
    name = logged[_TRAIN.match(logged).end() :].removeprefix(ADAPTER_PREFIX)  # type: ignore[union-attr]  # never None
    if name in _RANKS:
        return _RANKS[name]
    return ("levels", 0) if _LEVEL.fullmatch(name) else None


def _aliases(name: str) -> list[str]:
    of_trainers = [alias for of_trainer in METRIC_NAMES.get(name, {}).values() for alias in of_trainer]
    return [*of_trainers, *OTHER_NAMES.get(name, ())]


def _ranks() -> dict[str, tuple[str, int]]:
    ranks = {name: (name, 0) for name in (*READ, "levels")}
    for name in READ:
        ranks |= {alias: (name, rank) for rank, alias in enumerate(_aliases(name)) if alias not in ranks}
    return ranks


_RANKS = _ranks()


@dataclass
class LogNames:
    """Turns entries of one log into rows, and remembers the names it met.

    columns: the user's names for canonical ones, which take precedence. step_name: the log's name of the step, the
    first one of STEP_NAMES that an entry with metrics has.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    step_name: str | None = None
    used: dict[str, str] = field(default_factory=dict)
    """Canonical name -> the log's."""
    met: Counter[str] = field(default_factory=Counter)

    def row(self, entry: Mapping[str, Any]) -> LogRow | None:
        """Return the row of an entry; None for one without metrics or without a step.

        Raises InputError where two of its names mean the same metric, or its step is no whole number.
        """
        self.met.update(entry.keys() - self.met.keys())
        chosen = self._chosen(entry)
        if not chosen:
            return None
        step = self._step(entry)
        if step is None:
            return None
        row: LogRow = {"step": step}
        levels: dict[float, float] = {}
        for name, logged in chosen.items():
            if name == "levels":
                levels |= _levels(logged, entry)
            else:
                row[name] = to_number(entry[logged[0]])
                self.used[name] = logged[0]
        return row | ({"levels": levels} if levels else {})

    def _chosen(self, entry: Mapping[str, Any]) -> dict[str, list[str]]:
        """The log's names for each metric that the entry has a value of; several only for levels."""
        ranked: dict[str, tuple[int, list[str]]] = {}
        by_user = {logged: name for name, logged in self.columns.items() if name != "step"}
        for logged in entry:
            name, rank = (by_user[logged], -1) if logged in by_user else canonical_name(logged) or (None, 0)
            if name is None or (name in self.columns and rank >= 0) or not _has_value(name, entry[logged]):
                continue
            best, logged_names = ranked.get(name, (rank, []))
            if rank < best:
                logged_names = []
            if rank <= best:
                ranked[name] = (rank, [*logged_names, logged])
        for name, (_, logged_names) in ranked.items():
            if len(logged_names) > 1 and name != "levels":
                raise InputError(
                    f"{logged_names[0]!r} and {logged_names[1]!r} are both {name}: say which one, "
                    f"--column '{name}={logged_names[0]}'"
                )
        return {name: logged_names for name, (_, logged_names) in ranked.items()}

    def _step(self, entry: Mapping[str, Any]) -> int | None:
        only = self.columns.get("step") or self.step_name
        candidates: tuple[str, ...] = (only,) if only else STEP_NAMES
        name = next((name for name in candidates if entry.get(name) not in (None, "")), None)
        if name is None:
            return None
        value = entry[name]
        number = to_number(value.partition("/")[0] if isinstance(value, str) else value)
        if isinstance(value, bool) or not number.is_integer() or not 0 <= number < MAX_STEP:
            raise InputError(f"{name} must be a whole number from 0 up; got {value!r}")
        self.step_name = name
        return int(number)

    @property
    def reward_functions(self) -> list[str]:
        """The parts whose weighted sum TRL logs as reward, where there are several."""
        names = {match[1] for name in self.met if (match := _SUMMED.fullmatch(name)) and not name.endswith("/std")}
        return sorted(names) if len(names) > 1 and self.used.get("reward", "").endswith("reward") else []

    @property
    def trainer(self) -> str | None:
        """The trainer whose names the log has: "TRL" or "verl"; None for others."""
        bare = [name[_TRAIN.match(name).end() :] for name in self.met]  # type: ignore[union-attr]  # never None
        if any(name.startswith(("actor/", "critic/")) for name in bare):
            return "verl"
        return "TRL" if any(name.startswith(tuple(_MARKS)) for name in bare) else None


def looked_for(names: Iterable[str]) -> str:
    """The names in logs that mean each of these canonical ones, for an error message."""
    parts = []
    for name in names:
        aliases = [alias for alias in _aliases(name) if alias != name]
        parts.append(f"{name} ({', '.join(aliases)})" if aliases else name)
    return ", ".join(parts)


def _has_value(name: str, value: Any) -> bool:
    if name == "levels":
        return isinstance(value, Mapping) or math.isfinite(to_number(value))
    return not isinstance(value, bool) and math.isfinite(to_number(value))


def _levels(logged_names: Iterable[str], entry: Mapping[str, Any]) -> dict[float, float]:
    """Shares by level, from {"levels": {"0.5": share}} or from levels/0.5."""
    shares: dict[float, float] = {}
    for logged in logged_names:
        value = entry[logged]
        pairs = value.items() if isinstance(value, Mapping) else [(logged.rpartition("levels/")[2], value)]
        shares |= {to_number(level): to_number(share) for level, share in pairs}
    return {level: share for level, share in shares.items() if math.isfinite(level) and math.isfinite(share)}
