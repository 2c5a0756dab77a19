"""An experiment: bases, learning rates, then every arm and seed on each base, in one folder, resumable."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from rlvrscope import config
from rlvrscope.errors import InputError, WorkError
from rlvrscope.experiment.plan import Cell, cells, compared, tuning_cells
from rlvrscope.experiment.tuning import chosen_rates, read_rates
from rlvrscope.experiment.workers import Event, Job, OnEvent, Report, run_jobs
from rlvrscope.lab.device import THREADS, check_device
from rlvrscope.lab.pretrain import base_path, ensure_base, load_base
from rlvrscope.lab.recipe import Recipe
from rlvrscope.lab.run import train
from rlvrscope.runs import RunFolder, environment, read_json, write_atomic

LOCK_SECONDS = 60.0


def run_experiment(recipe: Recipe, out: Path, workers: int, device: str, on_event: OnEvent) -> list[Event]:
    """Pre-train the bases that are not cached, tune what is to be tuned, run every cell not done yet.

    Returns the failures: one run that fails stops no other, leaves its reason in error.log, and is tried again next
    time. A learning rate whose run fails is not chosen. Raises InputError if `out` holds another recipe's work,
    WorkError if a worker that tunes is killed: what it would have found is not known.
    """
    check_device(device)
    RunFolder(out).claim(config.dumps(recipe))
    if all(cell.folder.done for cell in cells(recipe, out)):
        return []
    record_environment(out, device, workers)
    rates = _tuned(recipe, out, workers, device, on_event) if recipe.tune else {}
    return run_cells(cells(recipe, out, rates), workers, device, on_event)


def _tuned(recipe: Recipe, out: Path, workers: int, device: str, on_event: OnEvent) -> dict[str, float]:
    """Each arm's learning rate: as tuning.json says, or found now and written there for good."""
    path = out / "tuning.json"
    if path.exists():
        return read_rates(path)
    tuning = tuning_cells(recipe, out)
    tried = [cell for by_rate in tuning.values() for found in by_rate.values() for cell in found]
    failures = run_cells(tried, workers, device, on_event, ahead=[cell.recipe for cell in cells(recipe, out)])
    raise_failures([failure for failure in failures if failure.died], len(tried), "runs to tune learning rates")
    return chosen_rates(tuning, compared(recipe).gains, path)


def record_environment(out: Path, device: str, workers: int) -> None:
    """Write environment.json. Raises InputError if the work there was begun on another device, or by other versions."""
    path = out / "environment.json"
    facts = environment(device=device, workers=workers, threads_per_worker=THREADS)
    begun = read_json(path) if path.exists() else {}
    for name in ("device", "rlvrscope", "numpy", "torch"):
        if begun.get(name, facts.get(name)) != facts.get(name):
            raise InputError(
                f"{out} was begun with {name} {begun[name]}, and this is {facts.get(name)}: runs of both can't stand "
                "side by side. Go on with that, or choose another --out."
            )
    write_atomic(path, json.dumps(facts, indent=2) + "\n")


def ensure_bases(recipes: Sequence[Recipe], workers: int, device: str, on_event: OnEvent) -> None:
    """Pre-train, side by side, every base of these recipes that is not in the cache."""
    jobs = base_jobs(recipes, device)
    raise_failures(run_jobs(list(jobs.values()), workers, on_event), len(jobs), "bases")


def base_jobs(recipes: Sequence[Recipe], device: str) -> dict[Path, Job]:
    """A job for every base that is not in the cache, by its path. Raises InputError for a damaged one that is."""
    where = check_device(device)
    wanted = {base_path(recipe, where): recipe for recipe in recipes}
    missing = {path: recipe for path, recipe in wanted.items() if not path.exists()}
    for path in wanted.keys() - missing.keys():
        load_base(wanted[path], path, where)  # damage is told before anything starts
    return {
        path: Job(f"base-{recipe.pretrain.seed}", recipe.pretrain.steps, partial(_pretrain, recipe, path, device))
        for path, recipe in missing.items()
    }


def run_cells(
    found: Sequence[Cell], workers: int, device: str, on_event: OnEvent, ahead: Sequence[Recipe] = ()
) -> list[Event]:
    """Train every cell that is not done, and the bases they need. Returns the failures, each in its error.log.

    ahead: recipes whose bases are wanted later, for workers that would have nothing to do.
    """
    for cell in found:
        cell.folder.claim(config.dumps(cell.recipe))
    todo = {cell.name: cell for cell in found if not cell.folder.done}
    if not todo:
        return []
    where = check_device(device)
    bases = base_jobs([cell.recipe for cell in todo.values()], device)
    jobs = []
    for cell in todo.values():
        path = base_path(cell.recipe, where)
        needs = (bases[path].name,) if path in bases else ()
        jobs.append(Job(cell.name, cell.recipe.train.steps, partial(_train, cell, path, device), needs))
    later = [job for path, job in base_jobs(ahead, device).items() if path not in bases]

    def tell(event: Event | None) -> None:
        if event and event.kind == "failed" and event.job.name in todo:
            write_atomic(todo[event.job.name].folder.error_log, f"{event.error}\n{event.details}")
        on_event(event)

    return run_jobs([*bases.values(), *jobs, *later], workers, tell)


def raise_failures(failures: Sequence[Event], total: int, what: str) -> None:
    """Raises WorkError naming what failed, if anything did."""
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


def _train(cell: Cell, base_at: Path, device: str, report: Report) -> None:
    base = load_base(cell.recipe, base_at, check_device(device))
    # A worker whose parent was killed ends at its next report: until then its folder is its own.
    lock = FileLock(cell.folder.path / ".lock", timeout=LOCK_SECONDS)
    try:
        with lock:
            if cell.folder.done:  # by a worker whose parent was killed
                return
            cell.folder.error_log.unlink(missing_ok=True)  # of an earlier try
            train(cell.recipe, base, cell.folder, report)
    except Timeout as error:
        raise WorkError(f"another rlvrscope is at work in {cell.folder.path}: wait for it, or end it") from error
