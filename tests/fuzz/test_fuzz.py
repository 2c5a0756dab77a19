"""Damage of every kind, seeded: one line or a sound result, in bounded time and memory, and never a traceback.

RLVRSCOPE_FUZZ: rounds of each test; more with `make soak`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import tomli_w
import torch

import filler
from mutations import VALUES, mutated, mutated_bytes, mutated_lines, pick
from quick_run import QUICK, quick_run
from rlvrscope import config
from rlvrscope.engines.engine import Completion
from rlvrscope.engines.openai_reply import RefusedError, TroubleError, read_reply
from rlvrscope.errors import RlvrscopeError
from rlvrscope.experiment.plan import Plan
from rlvrscope.experiment.tuning import Tuning
from rlvrscope.lab import checkpoint
from rlvrscope.lab.finished import read_run
from rlvrscope.lab.memory import check_memory
from rlvrscope.lab.recipe import Recipe
from rlvrscope.problem import Problem, Verdict
from rlvrscope.readers import read_models
from rlvrscope.readers.monitored_log import MonitoredLog
from rlvrscope.report.runs.view import read_runs
from rlvrscope.runs import RunFolder, read_json
from rlvrscope.sampling import Sample, SampleStore, fill
from rlvrscope.sampling.store.check import check, stats
from rlvrscope.sampling.store.export import export
from rlvrscope.sampling.store.integrity import SMALL_TABLES, _sums, seal
from rlvrscope.seeding import generator

resource = pytest.importorskip("resource")
ROUNDS = int(os.environ.get("RLVRSCOPE_FUZZ", "60"))
CASE_SECONDS = 20
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _bounded_memory() -> Iterator[None]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20, "a gigabyte more than before"


@contextlib.contextmanager
def bounded(what: str) -> Iterator[None]:
    """End a case that takes too long."""

    def end(*_: object) -> None:
        raise TimeoutError(f"{what} took more than {CASE_SECONDS} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(CASE_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(what: str, work: Callable[..., Any], *arguments: Any) -> Any:
    """What the work returns, or the one line that refuses it."""
    with bounded(what):
        try:
            return work(*arguments)
        except RlvrscopeError as error:
            message = str(error)
    assert "\n" not in message.strip(), f"{what}: {message}"
    assert 5 < len(message) < 2000, f"{what}: {message[:200]}"
    return RlvrscopeError(message)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = quick_run(tmp_path_factory.mktemp("fuzz") / "run").path
    (folder / "error.log").write_text("because\n")
    return folder


ROW_FILES = ("telemetry.jsonl", "evaluation.jsonl", "ledger.jsonl", "timing.jsonl", "interpolation.jsonl")


def test_run_folders(run: Path, tmp_path: Path):
    """Rows with a value of another kind, and files with damaged bytes. Sound rows are all that a reader returns."""
    rng, ends = generator(0, "fuzz runs"), Counter[str]()
    files = [*ROW_FILES, "recipe.toml", "error.log", "checkpoints/final.safetensors"]
    for number in range(ROUNDS):
        name = pick(rng, files)
        folder = tmp_path / "run"
        shutil.copytree(run, folder)
        content = (run / name).read_bytes()
        if name in ROW_FILES and rng.random() < 0.7:
            (folder / name).write_text(mutated_lines(content.decode(), rng))
        else:
            (folder / name).write_bytes(mutated_bytes(content, rng))
        what = f"round {number}, {name}"
        read = outcome(what, read_run, folder)
        if not isinstance(read, RlvrscopeError):
            ends["read"] += 1
            for scores in (read.success_SP(), read.on("training prompts").success_SP()):
                assert ((scores >= 0) & (scores <= 1)).all(), what
            assert np.isfinite(read.distinct_SP()).all(), what
        else:
            ends["refused"] += 1
        outcome(what, read_models, str(folder))
        outcome(what, MonitoredLog(folder).poll, True)
        outcome(what, read_runs, [folder])
        outcome(what, RunFolder(folder).claim, "x = 1\n")
        outcome(what, getattr, RunFolder(folder), "failure")
        shutil.rmtree(folder)
    assert min(ends["read"], ends["refused"]) > ROUNDS / 20


def test_json_documents(tmp_path: Path):
    rng = generator(0, "fuzz documents")
    tuning = {
        "format_version": 3, "boundary_k": 256, "gains": [0.02],
        "arms": {"grpo": {"chosen": 1e-3, "edge": "lowest", "failed": {"a": None}, "scores": []}},
    }  # fmt: skip
    path = tmp_path / "tuning.json"
    for number in range(ROUNDS):
        text = json.dumps(mutated(tuning, rng)).encode()
        path.write_bytes(text if rng.random() < 0.7 else mutated_bytes(text, rng))
        outcome(f"round {number}", Tuning.read, path)
        outcome(f"round {number}", read_json, path)


def test_recipes(tmp_path: Path):
    """Values of another kind or size, in the file and by --set; what is accepted is planned."""
    rng, ends = generator(0, "fuzz recipes"), Counter[str]()
    full = {
        **QUICK, "format_version": 2, "compare": {"objectives": ["grpo"], "arms": {"slow": {"learning_rate": 1e-5}}},
        "tune": {"rates": [1e-4, 1e-3], "prompts": 4}, "select": {"success": [0.0, 1.0]}, "pretrain": {"steps": 3},
    }  # fmt: skip
    path = tmp_path / "recipe.toml"

    def planned(overrides: list[str]) -> Plan:
        recipe = config.load(path, Recipe, overrides)
        config.dumps(recipe)
        recipe.evaluate.count(recipe.train.steps)
        check_memory(recipe, 1, CPU)
        return Plan.of(recipe, tmp_path)

    for number in range(ROUNDS):
        overrides: list[str] = []
        try:
            text = tomli_w.dumps(mutated(full, rng)).encode("utf-8", "surrogatepass")
        except (TypeError, ValueError):  # TOML has no null
            text = tomli_w.dumps(full).encode()
            section = pick(rng, ["train", "evaluate", "model", "compare", "tune"])
            key = pick(rng, [*full[section], "steps", "x"])
            overrides = [f"{section}.{key}={json.dumps(pick(rng, VALUES))}"]
        path.write_bytes(text if rng.random() < 0.8 else mutated_bytes(text, rng))
        ends[type(outcome(f"round {number}: {overrides}", planned, overrides)).__name__] += 1
    assert min(ends["Plan"], ends["RlvrscopeError"]) > ROUNDS / 20


def test_checkpoints(run: Path, tmp_path: Path):
    """The model that is read is the one that was written, or none is."""
    rng, whole = generator(0, "fuzz checkpoints"), RunFolder(run).final_checkpoint
    model, _, header = checkpoint.load(whole, CPU)
    weights = {name: weight.detach().clone() for name, weight in model.module.named_parameters()}
    tensors = safetensors.torch.load_file(whole)
    path = tmp_path / "a.safetensors"
    for number in range(ROUNDS):
        if rng.random() < 0.5:
            path.write_bytes(mutated_bytes(whole.read_bytes(), rng))
        else:
            claims = json.dumps(mutated(header, rng))
            safetensors.torch.save_file(tensors, path, {"rlvrscope": claims})
        what = f"round {number}"
        read = outcome(what, checkpoint.load, path, CPU)
        if not isinstance(read, RlvrscopeError):
            for name, weight in read[0].module.named_parameters():
                assert torch.equal(weight, weights[name]), what


def test_stores(tmp_path: Path):
    """Cells with another value: found by their checksum, and where somebody has made that fit, no traceback."""
    rng, folder, ends = generator(0, "fuzz stores"), tmp_path / "store", Counter[str]()
    with SampleStore(tmp_path / "whole") as store:
        fill(store, filler.PROBLEMS, filler.Guesser(), 5)
    tables = ("runs", "problems", "dictionaries", "samples", "verifiers", "verdicts", "batches", "seals")
    plain = [value for value in VALUES if not isinstance(value, dict | list) and _storable(value)] + [b"", b"\0" * 40]
    for number in range(ROUNDS):
        folder.mkdir()
        path = Path(shutil.copy(store.path, folder))
        table, sealed = pick(rng, tables), rng.random() < 0.5
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            column = pick(rng, [row[1] for row in connection.execute(f"PRAGMA table_info({table})")])
            with contextlib.suppress(sqlite3.Error):  # a constraint of the table
                value = pick(rng, plain)
                places = [row[0] for row in connection.execute(f"SELECT DISTINCT {column} FROM {table}")]
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE {column} IS ?", (value, pick(rng, places)))
            if sealed and table in ("samples", "verdicts", *SMALL_TABLES):
                _make_checksums_fit(connection)
        what = f"round {number}, {table}.{column}"
        ends[type(outcome(what, _read_store, path, tmp_path / "export.jsonl")).__name__] += 1
        outcome(what, read_models, str(path))
        shutil.rmtree(folder)
    assert ends["RlvrscopeError"] > ROUNDS / 4


def _read_store(path: Path, out: Path) -> int:
    with SampleStore(path, write=False) as store:
        stats(store)
        export(store, out)
        return check(store)


def _storable(value: Any) -> bool:
    """Whether SQLite takes the value."""
    return value != "\ud800" and not (isinstance(value, int) and abs(value) >= 2**63)


def _make_checksums_fit(connection: sqlite3.Connection) -> None:
    with contextlib.suppress(sqlite3.Error, ValueError):
        seal(connection, *SMALL_TABLES)
        for table in ("samples", "verdicts"):
            connection.execute(f"UPDATE batches SET {table} = 0, {table}_sum = 0")
            for batch, (count, total) in _sums(connection, table).items():
                connection.execute(
                    f"UPDATE batches SET {table} = ?, {table}_sum = ? WHERE id = ?", (count, total, batch)
                )


REPLIES: list[Any] = [
    {
        "choices": [
            {"index": 0, "text": "1", "finish_reason": "stop", "logprobs": {"token_logprobs": [-0.5, -0.25]}},
            {"index": 1, "text": "2", "finish_reason": "length", "logprobs": None},
        ],
        "usage": {"completion_tokens": 7},
    },
    {
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "1", "reasoning": "so", "refusal": None, "tool_calls": []},
                "logprobs": {"content": [{"token": "1", "logprob": -0.5}]},
                "finish_reason": "stop",
            }
        ],
        "usage": {"completion_tokens": 7},
    },
    {"choices": [{"message": {"content": [{"type": "text", "text": "1"}]}, "finish_reason": "stop"}]},
]


def test_server_answers(tmp_path: Path):
    """Whatever is taken for a completion can be stored, and is in the store as it was taken."""
    rng, taken = generator(0, "fuzz replies"), []
    for number in range(4 * ROUNDS):
        reply = pick(rng, REPLIES)
        for _ in range(int(rng.integers(1, 4))):
            reply = mutated(reply, rng)
        body = json.dumps(reply).encode()
        body = body if rng.random() < 0.8 else mutated_bytes(body, rng)
        status = pick(rng, [200] * 9 + [429])
        with bounded(f"round {number}"), contextlib.suppress(TroubleError, RefusedError):
            taken += read_reply(status, {"retry-after": str(pick(rng, VALUES))[:50]}, body, 2)
    assert len(taken) > ROUNDS
    assert all(isinstance(one, Completion) for one in taken)
    right = Verdict("correct", 1.0, "1", "exact", "1", "exact", "")
    with SampleStore(tmp_path) as store:
        store.begin("samples", {}, [Problem("p", "?", "1")])
        for start in range(0, len(taken), 50):
            batch = [Sample("p", start + at, 0, one) for at, one in enumerate(taken[start : start + 50])]
            store.add("samples", batch, [right] * len(batch))
        assert [one.completion for one in store.samples("samples")] == taken
        assert check(store) == len(taken)
    with SampleStore(tmp_path, write=False) as store:
        assert check(store) == len(taken)
