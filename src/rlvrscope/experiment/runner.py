"""Running an experiment: bases, tuning, then all runs of the comparison, in one resumable folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from rlvrscope import config
from rlvrscope.errors import InputError, WorkError
from rlvrscope.experiment.plan import Plan, PlannedRun
from rlvrscope.experiment.tuning import Tuning, choose_rates
from rlvrscope.experiment.workers import Event, Job, OnEvent, Report, run_jobs
from rlvrscope.lab.device import THREADS, check_device
from rlvrscope.lab.memory import check_memory
from rlvrscope.lab.pretrain import base_path, ensure_base, load_base
from rlvrscope.lab.recipe import Recipe
from rlvrscope.lab.run import train
from rlvrscope.runs import RunFolder, environment, read_json, write_atomic

LOCK_SECONDS = 60.0


def run_experiment(recipe: Recipe, out: Path, workers: int, device: str, on_event: OnEvent) -> list[Event]:
    """Pre-train missing bases, tune learning rates and train every run that is not done; returns the failures.

    A failed run does not stop the others; its reason is in its error.log, and the next call tries it again. Raises
    InputError if `out` holds the work of another recipe, WorkError if a tuning worker was killed, since the best
    learning rate is then unknown.
    """
    check_device(device)
    RunFolder(out).claim(config.dumps(recipe))
    plan = Plan.of(recipe, out)
    if all(run.folder.done for run in plan.runs()):
        return []
    record_environment(out, device, workers)
    rates = _tuned_rates(plan, workers, device, on_event) if recipe.tune else {}
    return train_runs(plan.runs(rates), workers, device, on_event)


def _tuned_rates(plan: Plan, workers: int, device: str, on_event: OnEvent) -> dict[str, float]:
    """Learning rate of each arm: read from tuning.json, or chosen now and written there."""
    path = plan.out / "tuning.json"
    if path.exists():
        return Tuning.read(path).rates
    later = [run.recipe for run in plan.runs()]
    failures = train_runs(plan.tuning_runs, workers, device, on_event, later)
    killed = [failure for failure in failures if failure.killed]
    raise_failures(killed, len(plan.tuning_runs), "runs that tune learning rates")
    return choose_rates(plan.tuning, plan.compare.gains, path).rates


def record_environment(out: Path, device: str, workers: int) -> None:
    """Write environment.json. Raises InputError if the folder was begun on another device or with other versions."""
    path = out / "environment.json"
    facts = environment(device=device, workers=workers, threads_per_worker=THREADS)
    before = read_json(path) if path.exists() else {}
    for name in ("device", "rlvrscope", "numpy", "torch"):
        if before.get(name, facts.get(name)) != facts.get(name):
            raise InputError(
                f"{out} was begun with {name} {before[name]}, and this is {facts.get(name)}: runs of both can't "
                "be compared. "
                "Resume it with the former, or choose another --out."
            )
    write_atomic(path, json.dumps(facts, indent=2) + "\n")


def ensure_bases(recipes: Sequence[Recipe], workers: int, device: str, on_event: OnEvent) -> None:
    """Pre-train, in parallel, the bases of these recipes that are not in the cache."""
    jobs = base_jobs(recipes, device)
    raise_failures(run_jobs(list(jobs.values()), workers, on_event), len(jobs), "bases")


def base_jobs(recipes: Sequence[Recipe], device: str) -> dict[Path, Job]:
    """Jobs for the bases that are not in the cache, by path. Raises InputError if a cached one is damaged."""
    torch_device = check_device(device)
    for recipe in {repr((recipe.model, recipe.pretrain)): recipe for recipe in recipes}.values():
        check_memory(recipe, 1, torch_device)
    by_path = {base_path(recipe, torch_device): recipe for recipe in recipes}
    missing = {path: recipe for path, recipe in by_path.items() if not path.exists()}
    for path in by_path.keys() - missing.keys():
        if by_path[path].pretrain is not None:
            load_base(by_path[path], path, torch_device)  # so that damage is reported before any work
    return {
        path: Job(f"base-{recipe.base_number}", recipe.pretrain.steps, partial(_pretrain, recipe, path, device))
        for path, recipe in missing.items()
        if recipe.pretrain is not None
    }


def train_runs(
    planned: Sequence[PlannedRun], workers: int, device: str, on_event: OnEvent, later: Sequence[Recipe] = ()
) -> list[Event]:
    """Train every run that is not done, and the bases they need; returns the failures, also written to error.log.

    later: recipes whose bases will be needed afterwards, for workers that would be idle.
    """
    for run in planned:
        run.folder.claim(config.dumps(run.recipe))
    todo = {run.name: run for run in planned if not run.folder.done}
    if not todo:
        return []
    torch_device = check_device(device)
    bases = base_jobs([run.recipe for run in todo.values()], device)
    check_memory(next(iter(todo.values())).recipe, min(workers, len(todo)), torch_device)
    jobs = []
    for run in todo.values():
        path = base_path(run.recipe, torch_device)
        needs = (bases[path].name,) if path in bases else ()
        jobs.append(Job(run.name, run.recipe.train.steps, partial(_train, run, path, device), needs))
    later_bases = [job for path, job in base_jobs(later, device).items() if path not in bases]

    def log_failure(event: Event | None) -> None:
        if event and event.kind == "failed" and event.job.name in todo:
            write_atomic(todo[event.job.name].folder.error_log, f"{event.error}\n{event.details}")
        on_event(event)

    return run_jobs([*bases.values(), *jobs, *later_bases], workers, log_failure)


def raise_failures(failures: Sequence[Event], total: int, what: str) -> None:
    """Raise WorkError, naming the failures, if there are any."""
    if failures and total == 1:
        raise WorkError(failures[0].error)
    if failures:
        reasons = "; ".join(f"{failure.job.name}: {failure.error}" for failure in failures[:3])
        more = f"; and {len(failures) - 3} more" if len(failures) > 3 else ""
        raise WorkError(f"{len(failures)} of {total} {what} failed ({reasons}{more}). The others are kept.")


def _pretrain(recipe: Recipe, path: Path, device: str, report: Report) -> None:
    def on_step(step: int, loss: float) -> None:
        if step % 10 == 0:
            report(step, {"loss": loss})

    ensure_base(recipe, path, check_device(device), on_step)


def _train(run: PlannedRun, base_file: Path, device: str, report: Report) -> None:
    base = load_base(run.recipe, base_file, check_device(device))
    # The worker of a parent that was killed ends at its next report; until then it owns the folder.
    lock = FileLock(run.folder.path / ".lock", timeout=LOCK_SECONDS)
    try:
        with lock:
            if run.folder.done:  # by such a worker
                return
            run.folder.error_log.unlink(missing_ok=True)
            train(run.recipe, base, run.folder, report)
    except Timeout as error:
        raise WorkError(f"another process is training in {run.folder.path}: wait for it, or end it") from error
