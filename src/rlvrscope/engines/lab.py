"""The lab's own models: a checkpoint, sampled in batches of one shape, so that a cell's text is its seed's alone.

A batch is PROMPTS prompts with ROWS rows each, whatever is left to fill: matrix products of another shape round
otherwise. Sample i of a problem is always row i mod ROWS of its prompt.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rlvrscope import config
from rlvrscope.engines.engine import Completion, Fact, Request, Result
from rlvrscope.errors import InputError, file_errors
from rlvrscope.extras import needs_extra
from rlvrscope.problem import Problem
from rlvrscope.seeding import uniform_rows

if TYPE_CHECKING:
    from rlvrscope.engines import Settings
    from rlvrscope.lab.model import Transformer
    from rlvrscope.lab.recipe import Recipe
    from rlvrscope.lab.tasks import Task

PROMPTS, ROWS = 32, 8
Block = list[Request]
"""Cells of one prompt that are rows of one batch."""


@dataclass(frozen=True, eq=False)
class LabEngine:
    """A checkpoint of the lab, and how to sample it."""

    model: Transformer
    identity: Mapping[str, Fact]
    honours_seeds: bool = True

    def run(self, requests: Iterator[Request]) -> Iterator[Result]:
        """Raises InputError for a problem that is not the lab's, or of a task that the model does not fit."""
        blocks = itertools.groupby(requests, lambda request: (request.problem.id, request.index // ROWS))
        open_blocks: list[Block] = []
        for block in (list(cells) for _, cells in blocks):
            if open_blocks and (len(open_blocks) == PROMPTS or _task_key(block[0]) != _task_key(open_blocks[0][0])):
                yield from self._batch(open_blocks)
                open_blocks = []
            open_blocks.append(block)
        if open_blocks:
            yield from self._batch(open_blocks)

    def close(self) -> None:
        """Nothing is held but memory."""

    def _batch(self, blocks: Sequence[Block]) -> list[Result]:
        import torch

        from rlvrscope.lab.sampler import draw

        task = self._task(blocks[0][0].problem)
        cells = [
            (slot * ROWS + request.index % ROWS, request) for slot, block in enumerate(blocks) for request in block
        ]
        seed_B = [0] * (PROMPTS * ROWS)
        for row, request in cells:
            seed_B[row] = request.seed
        prompts = [block[0].problem.metadata["tokens"] for block in blocks]
        prompts_PT = torch.tensor(prompts + prompts[:1] * (PROMPTS - len(blocks)), device=self.model.device)
        uniform_TB = np.ascontiguousarray(uniform_rows(seed_B, task.completion_length).T)
        drawn = draw(
            self.model,
            prompts_PT,
            torch.from_numpy(uniform_TB),
            temperature=float(self.identity["temperature"] or 1.0),
            top_p=float(self.identity["top_p"] or 1.0),
        )
        tokens_BT = drawn.completions_BT.cpu().numpy()
        logp_B = drawn.logp_BT.double().sum(dim=1).tolist()
        length = task.completion_length
        return [(request, Completion(task.text(tokens_BT[row]), length, "stop", logp_B[row])) for row, request in cells]

    def _task(self, problem: Problem) -> Task:
        found = problem.metadata
        if "lab" not in found or "tokens" not in found:
            raise InputError(
                f"problem {problem.id!r} is not of the lab, and its models know no other: name a lab recipe as the task"
            )
        task = _parsed_task(json.dumps(found["lab"], sort_keys=True))
        sizes = task.vocab_size, task.prompt_length + task.completion_length
        if sizes != (self.model.vocab_size, self.model.context):
            raise InputError(
                f"the model has {self.model.vocab_size} tokens and a context of {self.model.context}, and the task "
                f"needs {sizes[0]} and {sizes[1]}: it is a model of another task"
            )
        return task


def open_engine(model: str, settings: Settings) -> LabEngine:
    """model: a run's folder (its final checkpoint) or a checkpoint file.

    Raises InputError for what is no checkpoint, and for a limit of tokens: the task says how long a completion is.
    """
    with needs_extra("lab", "the lab engine"):
        import torch

        from rlvrscope.lab import checkpoint
    if settings.max_tokens is not None or settings.batch is not None or settings.urls or settings.chat:
        raise InputError(
            "the lab engine has completions and batches of a fixed size, no server and no chat: leave those out"
        )
    path = _checkpoint(Path(model))
    torch.set_num_threads(1)  # more lose time on such small products
    loaded, _, _ = checkpoint.load(path, _device(settings.device))
    with file_errors("read", path):
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    identity: dict[str, Fact] = {
        "engine": "lab", "model": str(path), "model_hash": sha256, "temperature": settings.temperature,
        "top_p": settings.top_p, "logprobs": "raw",
    }  # fmt: skip
    return LabEngine(loaded, identity)


def problems_of(recipe: Recipe, device: str = "cpu") -> list[Problem]:
    """The held-out prompts that runs of this recipe are evaluated on, as problems.

    A problem's metadata holds its tokens, its task and every right answer. A recipe with a [select] needs its base,
    which is pre-trained first if it is not in the cache.
    """
    with needs_extra("lab", "the lab's problems"):
        from rlvrscope.lab.prompts import evaluation_prompts

    base: Any = None if recipe.select is None else _base(recipe, device)
    prompts_PT = evaluation_prompts(recipe.task, recipe.evaluate, recipe.select, base)
    return [_problem(recipe, prompt_T) for prompt_T in prompts_PT]


def _problem(recipe: Recipe, prompt_T: Any) -> Problem:
    text = recipe.task.text(prompt_T)
    right = [recipe.task.text(completion_T) for completion_T in recipe.task.solutions(prompt_T)]
    if not right:
        raise InputError(f"the prompt {text!r} has no right answer")
    metadata = {
        "tokens": prompt_T.tolist(),
        "lab": recipe.task.model_dump(mode="json"),
        "also": right[1:],
        "forms": ["whole"],
    }
    return Problem(id=text, prompt=text, answer=right[0], verifier="exact", metadata=metadata)


def _base(recipe: Recipe, device: str) -> Transformer:
    from rlvrscope.lab.pretrain import base_path, ensure_base, load_base

    where = _device(device)
    return load_base(recipe, ensure_base(recipe, base_path(recipe, where), where), where)


def _checkpoint(path: Path) -> Path:
    found = path / "checkpoints" / "final.safetensors" if path.is_dir() else path
    if not found.is_file():
        raise InputError(
            f"{path}: the lab engine takes a run's folder or a .safetensors file; there is no {found}. "
            "`rlvrscope lab pretrain RECIPE` prints where a base lies."
        )
    return found


def _device(name: str | None) -> Any:
    from rlvrscope.lab.device import check_device

    return check_device(name or "cpu")


def _task_key(request: Request) -> str:
    return json.dumps(request.problem.metadata.get("lab"), sort_keys=True)


@cache
def _parsed_task(text: str) -> Task:
    from rlvrscope.lab.recipe import Recipe

    return config.parse({"task": json.loads(text)}, Recipe, "the problem's task").task
