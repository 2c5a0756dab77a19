"""The lab's models as an engine: a checkpoint of the tiny transformer, sampled in batches of a fixed shape, or used to
score completions. Pretrained models: `lab_text`.

A batch has PROMPTS prompts with ROWS rows each, however few samples are left to draw: matrix products of another shape
round differently. Sample i of a problem is always row i mod ROWS of its prompt, so its text depends on its seed alone.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rlvrscope import config
from rlvrscope.arrays import Ints
from rlvrscope.engines.engine import Completion, Request, Result
from rlvrscope.errors import InputError
from rlvrscope.files import sha256_of
from rlvrscope.lab import checkpoint
from rlvrscope.lab.device import check_device
from rlvrscope.lab.model import Transformer, token_logp
from rlvrscope.lab.pretrain import base_path, ensure_base, load_base
from rlvrscope.lab.prompts import evaluation_prompts
from rlvrscope.lab.recipe import PretrainedConfig, Recipe
from rlvrscope.lab.sampler import draw
from rlvrscope.lab.tasks import TextTask, TokenTasks
from rlvrscope.problem import Problem
from rlvrscope.scoring import Fact, ScoreRequest, TokenScores
from rlvrscope.seeding import uniform_rows

if TYPE_CHECKING:
    from rlvrscope.engines import Settings
    from rlvrscope.engines.lab_text import TextLabEngine, TextLabScorer
    from rlvrscope.lab.tree_policy import TreePolicy

PROMPTS, ROWS = 32, 8
MAX_SCORED_ROWS = 2048
Block = list[Request]
"""Requests of one prompt that are rows of one batch."""


@dataclass(frozen=True, eq=False)
class LabEngine:
    """Draws from a checkpoint of the lab."""

    model: Transformer
    identity: Mapping[str, Fact]
    honours_seeds: bool = True

    def run(self, requests: Iterator[Request]) -> Iterator[Result]:
        """Raises InputError for a problem that is not the lab's, or of a task that the model does not fit."""
        blocks = itertools.groupby(requests, lambda request: (request.problem.id, request.index // ROWS))
        batch: list[Block] = []
        for block in (list(block) for _, block in blocks):
            if batch and (len(batch) == PROMPTS or _task_key(block[0].problem) != _task_key(batch[0][0].problem)):
                yield from self._draw(batch)
                batch = []
            batch.append(block)
        if batch:
            yield from self._draw(batch)

    def close(self) -> None:
        """Nothing to release but memory."""

    def _draw(self, blocks: Sequence[Block]) -> list[Result]:
        task = _fitting_task(blocks[0][0].problem, self.model)
        request_of = {
            slot * ROWS + request.index % ROWS: request for slot, block in enumerate(blocks) for request in block
        }
        seed_B = [request_of[row].seed if row in request_of else 0 for row in range(PROMPTS * ROWS)]
        prompts = [block[0].problem.metadata["tokens"] for block in blocks]
        prompts_PT = torch.tensor(prompts + prompts[:1] * (PROMPTS - len(blocks)), device=self.model.device)
        uniform_TB = np.ascontiguousarray(uniform_rows(seed_B, task.completion_length).T)
        rollouts = draw(
            self.model,
            prompts_PT,
            torch.from_numpy(uniform_TB),
            temperature=float(self.identity["temperature"] or 1.0),
            top_p=float(self.identity["top_p"] or 1.0),
        )
        tokens_BT = rollouts.completions_BT.cpu().numpy()
        logp_B = rollouts.logp_BT.double().sum(dim=1).tolist()
        return [
            (request, Completion(task.text(tokens_BT[row]), task.completion_length, "stop", logp_B[row]))
            for row, request in request_of.items()
        ]


@dataclass(frozen=True, eq=False)
class LabScorer:
    """Scores completions, written in the task's token names, under a checkpoint of the lab."""

    model: Transformer
    identity: Mapping[str, Fact]

    def score(self, requests: Sequence[ScoreRequest]) -> list[TokenScores]:
        """Score completions of any length up to the task's.

        Raises InputError for a problem that is not the lab's or of another task, and for a completion that is too long
        or holds words that are not tokens.
        """
        scores: list[TokenScores] = []
        for _, same_task in itertools.groupby(requests, lambda request: request.problem.metadata.get("lab")):
            while batch := list(itertools.islice(same_task, MAX_SCORED_ROWS)):
                scores += self._score(batch)
        return scores

    def close(self) -> None:
        """Nothing to release but memory."""

    @torch.no_grad()
    def _score(self, requests: Sequence[ScoreRequest]) -> list[TokenScores]:
        """Score completions of one task; each prompt is read once. The padding follows a row, so it changes nothing."""
        task = _fitting_task(requests[0].problem, self.model)
        ids = _token_ids(_task_key(requests[0].problem))
        rows = [_completion_ids(task, ids, request) for request in requests]
        padded_BT = [[*row, *[0] * (task.completion_length - len(row))] for row in rows]
        prompt_B = [tuple(request.problem.metadata["tokens"]) for request in requests]
        place_of = {prompt: place for place, prompt in enumerate(dict.fromkeys(prompt_B))}
        prompts_PT, completions_BT, place_B = (
            torch.tensor(ids, device=self.model.device)
            for ids in (list(place_of), padded_BT, [place_of[prompt] for prompt in prompt_B])
        )
        logits_BTV = self.model.completion_logits(prompts_PT, completions_BT, place_B)
        logp_BT = token_logp(logits_BTV, completions_BT).double().tolist()
        return [TokenScores(tuple(row), tuple(logps[: len(row)])) for row, logps in zip(rows, logp_BT, strict=True)]


def open_engine(model: str, settings: Settings) -> LabEngine | TextLabEngine:
    """Open a run's folder (its final checkpoint), a checkpoint file or the folder of a pretrained model to draw from.

    Raises InputError for a path without a checkpoint, and for a token limit: the task sets the completion length.
    """
    loaded, identity = _open(model, settings)
    identity |= {"temperature": settings.temperature, "top_p": settings.top_p, "logprobs": "raw"}
    if isinstance(loaded, Transformer):
        return LabEngine(loaded, identity)
    from rlvrscope.engines.lab_text import TextLabEngine, TextTasks

    return TextLabEngine(TextTasks(loaded), settings, identity)


def open_scorer(model: str, settings: Settings) -> LabScorer | TextLabScorer:
    """Open what `open_engine` opens, to score with. Raises InputError."""
    loaded, identity = _open(model, settings)
    if isinstance(loaded, Transformer):
        return LabScorer(loaded, identity)
    from rlvrscope.engines.lab_text import TextLabScorer, TextTasks

    return TextLabScorer(TextTasks(loaded), identity)


def problems_of(recipe: Recipe, device: str = "cpu") -> list[Problem]:
    """Return the held-out prompts that runs of this recipe are evaluated on, as problems.

    A problem's metadata holds its task, every right answer and, unless it is a text, its tokens. A recipe with a
    [select] needs its base, which is pre-trained first if it is not in the cache.
    """
    if isinstance(recipe.task, TextTask):
        from rlvrscope.engines.lab_text import problems_of_text

        return problems_of_text(recipe, device)
    base: Any = None  # without a [select] none is needed
    if recipe.select is not None:
        where = check_device(device)
        base = load_base(recipe, ensure_base(recipe, base_path(recipe, where), where), where)
    prompts_PT = evaluation_prompts(recipe.token_task, recipe.evaluate, recipe.select, base)
    return [_problem(recipe.token_task, prompt_T) for prompt_T in prompts_PT]


def _open(model: str, settings: Settings) -> tuple[Transformer | TreePolicy, dict[str, Fact]]:
    if settings.max_tokens is not None or settings.batch is not None or settings.urls or settings.chat or settings.stop:
        raise InputError(
            "the lab engine has completions and batches of a fixed size, no stop strings, no server and no chat: leave "
            "those out"
        )
    device = check_device(settings.device or "cpu")
    torch.set_num_threads(1)  # more threads are slower on such small products
    if (Path(model) / "config.json").is_file():
        from rlvrscope.lab.tree_policy import TreePolicy

        base = TreePolicy.load(PretrainedConfig(pretrained=model), device)
        return base, {"engine": "lab", "model": model, "model_hash": base.sha256}
    path = Path(model)
    path = path / "checkpoints" / "final.safetensors" if path.is_dir() else path
    if not path.is_file():
        raise InputError(
            f"{model}: the lab engine takes a run's folder, a .safetensors file or the folder of a pretrained model; "
            f"there is no {path}. `rlvrscope lab pretrain RECIPE` prints where a base is."
        )
    loaded: Any = checkpoint.load(path, device)[0]
    return loaded, {"engine": "lab", "model": str(path), "model_hash": sha256_of(path)}


def _problem(task: TokenTasks, prompt_T: Ints) -> Problem:
    text = task.text(prompt_T)
    answers = [task.text(completion_T) for completion_T in task.solutions(prompt_T)]
    if not answers:
        raise InputError(f"the prompt {text!r} has no right answer")
    metadata = {
        "tokens": prompt_T.tolist(),
        "lab": task.model_dump(mode="json"),
        "also": answers[1:],
        "forms": ["whole"],
    }
    return Problem(id=text, prompt=text, answer=answers[0], verifier="exact", metadata=metadata)


def _fitting_task(problem: Problem, model: Transformer) -> TokenTasks:
    task = _task(_task_key(problem)) if "lab" in problem.metadata else None
    if task is None or "tokens" not in problem.metadata:
        raise InputError(
            f"problem {problem.id!r} is not the lab's, and the lab's models know no others: name a lab recipe as the "
            "task"
        )
    vocabulary, context = task.vocab_size, task.prompt_length + task.completion_length
    if (vocabulary, context) != (model.vocab_size, model.context):
        raise InputError(
            f"the model has {model.vocab_size} tokens and a context of {model.context}, and the task needs "
            f"{vocabulary} and {context}: it is a model of another task"
        )
    return task


def _completion_ids(task: TokenTasks, ids: Mapping[str, int], request: ScoreRequest) -> list[int]:
    words = request.completion.split()
    unknown = next((word for word in words if word not in ids), None)
    if unknown is not None:
        raise InputError(f"problem {request.problem.id!r}: {unknown!r} is no token of the task")
    if len(words) > task.completion_length:
        limit = task.completion_length
        raise InputError(f"problem {request.problem.id!r}: a completion has at most {limit} tokens; got {len(words)}")
    return [ids[word] for word in words]


def _task_key(problem: Problem) -> str:
    return json.dumps(problem.metadata.get("lab"), sort_keys=True)


@cache
def _task(key: str) -> TokenTasks:
    return config.parse({"task": json.loads(key)}, Recipe, "the problem's task").token_task


@cache
def _token_ids(key: str) -> dict[str, int]:
    task = _task(key)
    return {task.text(np.array([token])): token for token in range(task.vocab_size)}
