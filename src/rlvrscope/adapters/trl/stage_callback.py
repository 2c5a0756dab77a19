"""Callback: the stage monitor on a live TRL run, which may stop it or change its objective."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from transformers import TrainerCallback

from rlvrscope.adapters.trl.ledger_callback import LedgerCallback
from rlvrscope.adapters.trl.probe_callback import ProbeCallback
from rlvrscope.adapters.trl.run_rows import RunRows, log_last
from rlvrscope.errors import InputError, did_you_mean
from rlvrscope.monitor import Reading, StageMonitor
from rlvrscope.monitor.alarms import ALARMS, Alarm
from rlvrscope.monitor.stage import STAGES
from rlvrscope.objectives import Objective, objective_from
from rlvrscope.runs.rows import ADAPTER_PREFIX, LedgerRow, ProbeRow, TelemetryRow, canonical_metrics, monitored

AnyCallback = TypeVar("AnyCallback", bound=TrainerCallback)


class StageCallback(TrainerCallback):
    """Stage and alarms after every step, from TRL's metrics, the ledger's, and the probe's where a ProbeCallback runs.

        trainer.add_callback(StageCallback(trainer, stop_on=["entropy collapse"], then={"exploration": "grpo"}))

    They are logged as rlvrscope/stage (0 not enough yet, 1 exploitation, 2 saturated, 3 exploration) and
    rlvrscope/alarms (their number), and each new one is printed in a line. Telemetry goes to telemetry.jsonl of the
    output folder. A LedgerCallback is added if the trainer has none. stop_on: stages and alarms at which training
    stops. then: stage -> objective from there on, on
    `rlvrscope.adapters.trl.GRPOTrainer` only; its loss must be that of the first one, so it changes signs, weights,
    baseline or shape. Raises InputError for unknown names, and for `then` with TRL's own trainer.
    """

    def __init__(
        self,
        trainer: Any,
        *,
        stop_on: Collection[str] = (),
        then: Mapping[str, str | Objective] | None = None,
    ) -> None:
        self.trainer, self.stop_on = trainer, set(stop_on)
        self.then = {stage: objective_from(objective).load() for stage, objective in (then or {}).items()}
        for name, known in [*((name, [*STAGES, *ALARMS]) for name in stop_on), *((name, STAGES) for name in self.then)]:
            if name not in known:
                raise InputError(f"no stage or alarm is called {name!r}. {did_you_mean(name, known)}")
        if self.then and not hasattr(trainer, "objective"):
            raise InputError("`then` changes the objective, which needs rlvrscope.adapters.trl.GRPOTrainer")
        for objective in self.then.values():
            trainer.check_change(objective)
        self.reading: Reading | None = None
        self._monitor = StageMonitor()
        self._kept = RunRows(trainer, TelemetryRow)
        self._seen: dict[str, int] = {}
        self._named: set[str] = set()
        present = _find(trainer, LedgerCallback)
        self._ledger = LedgerCallback(trainer) if present is None else present
        if present is None:
            trainer.add_callback(self._ledger)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        callbacks = self.trainer.callback_handler.callbacks
        if self._probe is not None and callbacks.index(self._probe) > callbacks.index(self):
            raise InputError("add the ProbeCallback before the StageCallback, which reads its rows")
        probes = {} if self._probe is None else {row.step: row for row in self._probe.rows}
        ledgers = {row.step: row for row in self._ledger.kept.rows}
        if 0 in probes:
            self._monitor.update(probes[0])
        for row in self._kept.begin():
            self._read(row, ledgers.get(row.step), probes.get(row.step))
            self._act(control, resumed=True)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        metrics = self._new_metrics()
        named = canonical_metrics(metrics, "trl")
        shares = {
            name: metrics.get(f"{ADAPTER_PREFIX}{name}", math.nan) for name in ("positive_share", "negative_share")
        }
        objective = getattr(self.trainer, "objective", None)
        row = TelemetryRow(
            step=state.global_step,
            objective=None if objective is None or not self.then else objective.name,
            **named,
            **shares,
        )
        self._kept.append(row)
        rows = [] if self._probe is None else self._probe.rows[-1:]
        reading = self._read(row, self._ledger.row, next((probe for probe in rows if probe.step == row.step), None))
        log_last(self.trainer, {"stage": STAGES.index(reading.stage), "alarms": len(reading.alarms)})
        self._act(control)

    def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.trainer.model.training:  # TRL clears its training metrics after this log
            self._seen.clear()

    def _new_metrics(self) -> dict[str, float]:
        """Means of what TRL has measured since the last step."""
        new = {}
        for name, values in self.trainer._metrics["train"].items():
            recent = [value for value in values[self._seen.get(name, 0) :] if not math.isnan(value)]
            self._seen[name] = len(values)
            if recent:
                new[name] = sum(recent) / len(recent)
        return new

    @property
    def _probe(self) -> ProbeCallback | None:
        return _find(self.trainer, ProbeCallback)

    def _read(self, row: TelemetryRow, ledger: LedgerRow | None, probe: ProbeRow | None) -> Reading:
        self.reading = self._monitor.update(monitored(row, ledger, probe))
        return self.reading

    def _act(self, control: Any, resumed: bool = False) -> None:
        reading = self.reading
        assert reading is not None
        alarms: dict[str, Alarm] = {alarm.name: alarm for alarm in reading.alarms}
        present = {reading.stage, *alarms}
        for name in sorted(present - self._named):
            if not resumed and self.trainer.accelerator.is_main_process and name != "not enough yet":
                alarm = alarms.get(name)
                detail = reading.evidence if alarm is None else f"{alarm.evidence}: {alarm.advice.action}"
                print(f"step {reading.step}: {name}: {detail}")
        self._named = present
        if reading.stage in self.then and self.trainer.objective != self.then[reading.stage]:
            self.trainer.change_objective(self.then[reading.stage])
        if present & self.stop_on:
            control.should_training_stop = True


def _find(trainer: Any, kind: type[AnyCallback]) -> AnyCallback | None:
    return next((callback for callback in trainer.callback_handler.callbacks if isinstance(callback, kind)), None)
