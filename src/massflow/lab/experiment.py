"""An experiment: bases, then runs of every objective and seed on each, in one folder that can be gone on with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from massflow import config
from massflow.errors import InputError, WorkError
from massflow.lab.pretrain import base_path, ensure_base, load_base
from massflow.lab.recipe import Recipe
from massflow.lab.train import train
from massflow.lab.workers import THREADS, Event, Job, OnEvent, Report, run_jobs
from massflow.runs import RunFolder, environment, read_json, write_atomic

LOCK_SECONDS = 60.0


@dataclass(frozen=True)
class Cell:
    """One run of an experiment: its name, its own recipe, its folder."""

    name: str
    recipe: Recipe
    folder: RunFolder


def cells(recipe: Recipe, out: Path) -> list[Cell]:
    """The runs of a comparison: bases x seeds x objectives, so that the first runs done already compare objectives."""
    if recipe.compare is None:
        raise InputError(f"recipe {recipe.name!r} has no [compare] section: say which objectives, bases and seeds")
    found = []
    for base in recipe.compare.bases:
        for seed in recipe.compare.seeds:
            for objective in recipe.compare.objectives:
                name = f"{objective.name}-base{base}-seed{seed}"
                pretrain = recipe.pretrain.model_copy(update={"seed": base})
                train = recipe.train.model_copy(update={"seed": seed, "objective": objective})
                changes = {"name": name, "pretrain": pretrain, "train": train, "compare": None}
                found.append(Cell(name, recipe.model_copy(update=changes), RunFolder(out / "runs" / name)))
    return found


def run_experiment(recipe: Recipe, out: Path, workers: int, device: str, on_event: OnEvent) -> list[Cell]:
    """Pre-train the bases that are not cached, then run every cell not done yet.

    Raises InputError if `out` holds another recipe's work, WorkError naming the runs that failed (after the rest).
    """
    check_device(device)
    found = cells(recipe, out)
    RunFolder(out).claim(config.dumps(recipe))
    for cell in found:
        cell.folder.claim(config.dumps(cell.recipe))
    todo = [cell for cell in found if not cell.folder.done]
    if todo:
        record_environment(out, device, workers)
        ensure_bases([cell.recipe for cell in todo], workers, device, on_event)
        run_cells(todo, workers, device, on_event)
    return found


def record_environment(out: Path, device: str, workers: int) -> None:
    """Write environment.json. Raises InputError if the work there was begun on another device."""
    path = out / "environment.json"
    begun = read_json(path).get("device", device) if path.exists() else device
    if begun != device:
        raise InputError(f"{out} was begun with --device {begun}: go on with that, or choose another --out")
    facts = environment(device=device, workers=workers, threads_per_worker=THREADS)
    write_atomic(path, json.dumps(facts, indent=2) + "\n")


def ensure_bases(recipes: Sequence[Recipe], workers: int, device: str, on_event: OnEvent) -> None:
    """Pre-train, side by side, every base of these recipes that is not in the cache."""
    where = torch.device(device)
    wanted = {base_path(recipe, where): recipe for recipe in recipes}
    missing = {path: recipe for path, recipe in wanted.items() if not path.exists()}
    for path in wanted.keys() - missing.keys():
        load_base(wanted[path], path, where)  # damage is told before anything starts
    jobs = [
        Job(f"base-{recipe.pretrain.seed}", recipe.pretrain.steps, partial(_pretrain, recipe, path, device))
        for path, recipe in missing.items()
    ]
    _raise_failures(run_jobs(jobs, workers, on_event), len(jobs), "bases")


def run_cells(todo: Sequence[Cell], workers: int, device: str, on_event: OnEvent) -> None:
    """Train every cell. A cell that fails leaves error.log in its folder, if there is a traceback to leave."""
    folders = {cell.name: cell.folder for cell in todo}
    where = torch.device(device)
    jobs = [
        Job(cell.name, cell.recipe.train.steps, partial(_train, cell, base_path(cell.recipe, where), device))
        for cell in todo
    ]
    failures = run_jobs(jobs, workers, on_event)
    for failure in failures:
        if failure.details:
            write_atomic(folders[failure.job.name].path / "error.log", failure.details)
    _raise_failures(failures, len(jobs), "runs")


def check_device(device: str) -> torch.device:
    """The torch device. Raises InputError for one that is not there."""
    if device.partition(":")[0] not in ("cpu", "cuda"):
        raise InputError(f"--device must be cpu, or cuda where there is one; got {device!r}")
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"--device {device} can't be used here ({reason}). Use cpu, or cuda where there is one."
        ) from error
    return found


def _pretrain(recipe: Recipe, path: Path, device: str, report: Report) -> None:
    def on_step(step: int, loss: float) -> None:
        if step % 10 == 0:
            report(step, {"loss": loss})

    ensure_base(recipe, path, torch.device(device), on_step)


def _train(cell: Cell, base_at: Path, device: str, report: Report) -> None:
    base = load_base(cell.recipe, base_at, torch.device(device))
    # A worker whose parent was killed ends at its next report: until then its folder is its own.
    lock = FileLock(cell.folder.path / ".lock", timeout=LOCK_SECONDS)
    try:
        with lock:
            (cell.folder.path / "error.log").unlink(missing_ok=True)  # of an earlier try
            train(cell.recipe, base, cell.folder, report)
    except Timeout as error:
        raise WorkError(f"another massflow is at work in {cell.folder.path}: wait for it, or end it") from error


def _raise_failures(failures: Sequence[Event], total: int, what: str) -> None:
    if failures and total == 1:
        raise WorkError(failures[0].error)
    if failures:
        reasons = "; ".join(f"{failure.job.name}: {failure.error}" for failure in failures[:3])
        more = f"; and {len(failures) - 3} more" if len(failures) > 3 else ""
        raise WorkError(f"{len(failures)} of {total} {what} failed ({reasons}{more}). The others are kept.")
