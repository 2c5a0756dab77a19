"""The stage of a live run: exploitation, saturated or exploration, row by row and without looking ahead."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from rlvrscope.errors import InputError
from rlvrscope.monitor.alarms import Alarm, AlarmName
from rlvrscope.monitor.saturation import Saturation
from rlvrscope.monitor.trend import MIN_WINDOW, Lasting, Slope, Trend
from rlvrscope.runs.rows import Row

Stage = Literal["not enough yet", "exploitation", "saturated", "exploration"]
STAGES: tuple[Stage, ...] = get_args(Stage)
Basis = Literal["probe", "ledger", "telemetry"]

SHARE_OF_FALL: Mapping[Basis, float] = {"probe": 0.03, "ledger": 0.1, "telemetry": 0.1}
"""A turn is a rise of at least this share of the fall before it."""
MIN_RISE: Mapping[Basis, float] = {"probe": 0.03, "ledger": 0.03, "telemetry": 0.01}
"""Smallest rise that is a turn: nats of log-mass, share of groups, nats of token entropy."""
COLLAPSED, EXPLODED = 0.1, 2.0
"""Token entropy as a share of its first rows' that is a collapse, and an explosion."""
LOST_REWARD = 0.5
"""Share of the best reward (above the first rows') whose loss is a collapse."""
NO_CONTRAST = 0.9
"""Share of groups with equal rewards from which there is next to no gradient."""
MISMATCH = 0.05
"""KL(sampler || policy) per token, nats, from which updates are off-policy."""
DYING = math.log(4.0)
"""Fall of the mean log-mass of rare right answers that is an alarm: to a quarter."""
CLEAR = 3.0
"""Standard errors by which a mean over noisy rows must be above its limit."""
SIGNALS = (
    "reward", "entropy", "equal_reward_share", "sampler_kl", "pass_at_group", "top_at_group", "rare_log_mass",
)  # fmt: skip
"""Fields of a row that the monitor reads; any may be missing."""
MOVING = {"reward": 1, "entropy": -1}
"""Signals that move while a run exploits, and their directions."""

WANDERING = ("entropy",)
"""Signals that are states of the model, correlated from row to row; rewards of rollouts are drawn anew at each step."""


@dataclass(frozen=True)
class Reading:
    """What the rows so far say. since: the step at which the stage began. basis: the signal that decides between
    exploitation and exploration, the best that the run logs. evidence: the numbers behind the stage. missing: what
    would make it surer.
    """

    step: int
    stage: Stage
    since: int
    basis: Basis | None
    evidence: str
    missing: tuple[str, ...] = ()
    alarms: tuple[Alarm, ...] = ()


@dataclass
class StageMonitor:
    """Tells the stage from rows of telemetry, of the group ledger and of a mass probe.

    *exploration*: the mass of rare better answers has turned up. Seen by the probe (log-mass of the base's rare right
    answers), else by the ledger (share of groups that reach the highest reward), else by the token entropy rising after
    a fall, which misses most turns. *saturated*: the fall of the token entropy has ended, and nothing has turned up.
    *exploitation*: neither, and something has moved: the reward up, or the entropy or the deciding signal down. *not
    enough yet*: nothing has moved so far.
    """

    series: dict[str, Trend] = field(default_factory=dict)
    _added: set[str] = field(default_factory=set)
    _step: int = -1
    _stage: Stage = "not enough yet"
    _since: int = 0
    _top_level: float = math.nan
    _graded: bool = False
    _saturation: Saturation = field(default_factory=Saturation)
    _turned: dict[str, Lasting] = field(default_factory=dict)
    _fell: dict[str, Lasting] = field(default_factory=dict)
    _has_fallen: set[str] = field(default_factory=set)
    _moving: dict[str, Lasting] = field(default_factory=dict)
    _moved: str = ""
    """The first clear slope of a signal that moves while a run exploits, and its step."""
    _saturated_since: int = 0
    _alarms: dict[AlarmName, Lasting] = field(default_factory=dict)

    @property
    def saturated_at(self) -> int | None:
        """The row at which the fall of the token entropy has ended."""
        return self._saturation.at

    def update(self, row: Mapping[str, object] | Row) -> Reading:
        """Add a row; return the reading at its step. Raises InputError for a step that is missing or does not rise."""
        values = row.model_dump() if isinstance(row, Row) else row
        step = values.get("step")
        if isinstance(step, bool) or not isinstance(step, int) or step <= self._step:
            raise InputError(f"a row needs a step, and steps must rise; got {step!r} after {self._step}")
        self._step = step
        self._note_levels(values)
        self._added = {name for name in SIGNALS if self._add(name, values.get(name))}
        if "entropy" in self._added and self.saturated_at is None:
            self._saturation.add(self.series["entropy"].values[-1])
            self._saturated_since = step
        stage, basis, evidence = self._judge(step)
        if stage != self._stage:
            self._stage, self._since = stage, step
        return Reading(
            step, self._stage, self._since, basis, evidence, tuple(self._missing()), tuple(self._alarms_at(step))
        )

    def _note_levels(self, values: Mapping[str, object]) -> None:
        """Start the series of the highest reward again where a higher one appears."""
        levels = values.get("levels")
        self._graded = self._graded or (isinstance(levels, Mapping) and len(levels) > 2)
        top = values.get("top_level")
        if isinstance(top, float) and math.isfinite(top) and top != self._top_level:
            self._top_level = top
            for memory in (self.series, self._turned, self._fell):
                memory.pop("top_at_group", None)

    def _add(self, name: str, value: object) -> bool:
        """Add a value to its series unless it is missing."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return False
        self.series.setdefault(name, Trend(wanders=name in WANDERING)).add(float(value))
        return True

    def _judge(self, step: int) -> tuple[Stage, Basis | None, str]:
        basis, name = self._basis()
        if basis is None:
            rows = max((len(trend.values) for trend in self.series.values()), default=0)
            if rows < MIN_WINDOW:
                return "not enough yet", None, f"{MIN_WINDOW} rows are needed, {rows} so far"
            return (
                "not enough yet",
                None,
                f"{' and '.join(self.series)} alone tell{'s' * (len(self.series) == 1)} no stage",
            )
        up, evidence = self._has_turned(step, basis, name)
        if up:
            return "exploration", basis, evidence
        if self.saturated_at is not None:
            return "saturated", basis, f"the entropy stopped falling at step {self._saturated_since}; {evidence}"
        if not self._has_moved(step, name):
            rows = max(len(self.series[other].values) for other in {name, *MOVING} & self.series.keys())
            return "not enough yet", basis, f"in {rows} rows nothing has risen or fallen clearly"
        falls = self.series[name].clearest(-1) is not None
        return "exploitation", basis, evidence if falls else f"{evidence}; {self._moved}"

    def _has_moved(self, step: int, name: str) -> bool:
        """Return whether the reward has risen, or the entropy or the deciding signal fallen, at any row so far."""
        for other, sign in {**MOVING, name: -1}.items():
            if not self._moved and other in self._added:
                slope = self.series[other].clearest(sign)
                if self._moving.setdefault(other, Lasting()).update(step, slope is not None) and slope is not None:
                    self._moved = f"at step {step} {other} moved: {_words(slope)}"
        return bool(self._moved)

    def _basis(self) -> tuple[Basis | None, str]:
        """The best signal of a turn with enough rows, and its series."""
        choices: list[tuple[Basis, str]] = [
            ("probe", "rare_log_mass"),
            ("ledger", "top_at_group" if self._graded else "pass_at_group"),
            ("telemetry", "entropy"),
        ]
        for basis, name in choices:
            if name in self.series and len(self.series[name].values) >= MIN_WINDOW:
                return basis, name
        return None, ""

    def _has_turned(self, step: int, basis: Basis, name: str) -> tuple[bool, str]:
        """Whether a signal has turned up and not down again, with the numbers."""
        trend, turned, fell = self.series[name], self._turned.setdefault(name, Lasting()), self._fell
        up = trend.clearest(1, MIN_RISE[basis], SHARE_OF_FALL[basis])
        down = trend.clearest(-1, MIN_RISE[basis])
        fell.setdefault(name, Lasting())
        if name in self._added:  # rows without a value of it, between two probes, say nothing
            if fell[name].update(step, down is not None and up is None):
                self._has_fallen.add(name)
            needs_fall = basis == "telemetry" or name == "pass_at_group"
            rises = up is not None and (not needs_fall or name in self._has_fallen)
            turned.update(step, rises or (turned.lasts and not fell[name].lasts))
        clearest = up or down
        return turned.lasts, f"{name} {'has no clear slope' if clearest is None else _words(clearest)}"

    def _missing(self) -> list[str]:
        """What the run does not log and would make the reading surer."""
        lacks = {
            "the token entropy": "entropy",
            "the rewards of each group (GroupLedger)": "pass_at_group",
            "log-masses of rare right answers (MassProbe)": "rare_log_mass",
        }
        lacking = [words for words, name in lacks.items() if name not in self.series]
        return lacking if len(lacking) == len(lacks) else [words for words in lacking if lacks[words] != "entropy"]

    def _alarms_at(self, step: int) -> list[Alarm]:
        alarms: list[Alarm] = []
        for name, evidence in self._conditions().items():
            lasting = self._alarms.setdefault(name, Lasting())
            if lasting.update(step, evidence is not None):
                alarms.append(Alarm(name, lasting.since or step, evidence or ""))
        return alarms

    def _conditions(self) -> dict[AlarmName, str | None]:
        """The evidence for each alarm at this row; None where there is none."""
        return {
            "entropy collapse": self._entropy_collapse(),
            "entropy explosion": self._entropy_explosion(),
            "reward collapse": self._reward_collapse(),
            "no contrast": self._level(
                "equal_reward_share", NO_CONTRAST, "of the groups have equal rewards", prior=1.0
            ),
            "sampler mismatch": self._level("sampler_kl", MISMATCH, "nats per token between sampler and policy"),
            "boundary shrinking": self._shrinking(),
            "rare answers dying": self._dying(),
        }

    def _long_enough(self, name: str) -> Trend | None:
        trend = self.series.get(name)
        return trend if trend is not None and len(trend.values) > MIN_WINDOW else None

    def _entropy_collapse(self) -> str | None:
        trend = self._long_enough("entropy")
        now = math.inf if trend is None else trend.mean(MIN_WINDOW)
        return None if trend is None or now >= COLLAPSED * trend.start else _from_start(trend)

    def _entropy_explosion(self) -> str | None:
        """Evidence of an entropy above EXPLODED times its start, by CLEAR standard errors of both means."""
        trend = self._long_enough("entropy")
        if trend is None or trend.start <= 0.0:
            return None
        error = trend.noise * math.sqrt((1.0 + EXPLODED**2) / MIN_WINDOW)
        exploded = trend.mean(MIN_WINDOW) - CLEAR * error > EXPLODED * trend.start
        return _from_start(trend) if exploded else None

    def _level(self, name: str, limit: float, words: str, prior: float = 0.0) -> str | None:
        trend = self._long_enough(name)
        if trend is None or not trend.exceeds(limit, CLEAR, prior):
            return None
        return f"{trend.mean(MIN_WINDOW):.3g} {words}"

    def _reward_collapse(self) -> str | None:
        """Evidence that most of a clear gain has been lost, over a window of any length."""
        trend = self._long_enough("reward")
        if trend is None or trend.clearest(-1) is None:
            return None
        for window, best in zip(trend.windows, trend.highest, strict=True):
            gain, now = best - trend.start, trend.mean(window)
            error = trend.noise * math.sqrt(1.0 / MIN_WINDOW + 1.0 / window)
            if gain > CLEAR * error and best - now > LOST_REWARD * gain:
                return f"{now:.3g} from {best:.3g}"
        return None

    def _shrinking(self) -> str | None:
        boundary, reward = self._long_enough("pass_at_group"), self._long_enough("reward")
        if boundary is None or reward is None:
            return None
        down, up = boundary.clearest(-1, MIN_RISE["ledger"]), reward.clearest(1)
        return None if down is None or up is None else f"pass_at_group {_words(down)} while reward {_words(up)}"

    def _dying(self) -> str | None:
        trend = self._long_enough("rare_log_mass")
        if trend is None or trend.clearest(-1, MIN_RISE["probe"]) is None:
            return None
        fall = trend.start - trend.mean(MIN_WINDOW)
        return f"their mean log-mass has fallen by {fall:.2f} nats" if fall > DYING else None


def _from_start(trend: Trend) -> str:
    return f"{trend.mean(MIN_WINDOW):.3g} nats from {trend.start:.3g}"


def _words(slope: Slope) -> str:
    return f"{slope.rise:+.3g} over its last {slope.window} values (z = {slope.z:+.1f})"
