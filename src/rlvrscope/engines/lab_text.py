"""The lab's pretrained models as an engine: its text tasks, drawn from and scored as token trees.

A completion is what the lab evaluates: it ends with any stop of the task, which its text leaves out, or is cut off
after as many tokens as the longest right answer takes.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from rlvrscope import config
from rlvrscope.engines.engine import TRUNCATED, Completion, Failure, Request, Result
from rlvrscope.engines.memory import BatchSizes
from rlvrscope.engines.samplers import draw_tree, usual_tree_rows
from rlvrscope.errors import InputError, WorkError
from rlvrscope.lab.device import check_device
from rlvrscope.lab.pretrain import base_path, load_base
from rlvrscope.lab.prompts import evaluation_prompts
from rlvrscope.lab.recipe import Recipe
from rlvrscope.lab.tasks import TextTask
from rlvrscope.lab.token_tree import padded
from rlvrscope.lab.tokenised_task import TokenisedTask, tokenised
from rlvrscope.lab.tree_policy import TreePolicy
from rlvrscope.problem import Problem
from rlvrscope.scoring import Fact, ScoreRequest, TokenScores
from rlvrscope.seeding import uniform_rows

if TYPE_CHECKING:
    from rlvrscope.engines import Settings

SCORED_REQUESTS = 256
"""Completions scored at a time; each is read once, with every stop after it."""


def problems_of_text(recipe: Recipe, device: str = "cpu") -> list[Problem]:
    """Return the held-out prompts of a text task."""
    assert isinstance(recipe.task, TextTask)
    where = check_device(device)
    base = load_base(recipe, base_path(recipe, where), where)
    task = tokenised(recipe.task, base)
    assert isinstance(task, TokenisedTask)
    prompts_PT = evaluation_prompts(task, recipe.evaluate, recipe.select, base)
    return [recipe.task.problem(task.question(prompt_T)) for prompt_T in prompts_PT]


@dataclass(frozen=True)
class TextTasks:
    """The tasks of problems, in the tokens of one model."""

    policy: TreePolicy
    task_of: dict[str, TokenisedTask] = field(default_factory=dict)

    def of(self, problem: Problem) -> TokenisedTask:
        """Raises InputError for a problem that is not the lab's, or of a task that needs a tiny model."""
        if "lab" not in problem.metadata:
            raise InputError(
                f"problem {problem.id!r} is not the lab's: name a lab recipe as the task, or use the transformers "
                "engine"
            )
        key = json.dumps(problem.metadata["lab"], sort_keys=True)
        if key not in self.task_of:
            sections = {"task": json.loads(key), "model": self.policy.config.model_dump()}
            task = tokenised(config.parse(sections, Recipe, "the problem's task").task, self.policy)
            assert isinstance(task, TokenisedTask)  # a recipe pairs pretrained models with text tasks
            self.task_of[key] = task
        return self.task_of[key]


@dataclass(frozen=True, eq=False)
class TextLabEngine:
    """Draws from a pretrained model, or a checkpoint trained from one."""

    tasks: TextTasks
    settings: Settings
    identity: Mapping[str, Fact]
    honours_seeds: bool = True

    def run(self, requests: Iterator[Request]) -> Iterator[Result]:
        """Raises InputError for a problem that is not of a text task of the lab."""
        for task, same_task in itertools.groupby(requests, lambda request: self.tasks.of(request.problem)):
            max_rows = usual_tree_rows(task.completion_length, self.settings.requested)
            sizes = BatchSizes(self.tasks.policy.language_model, max_rows, task.completion_length, logits=1)
            while rows := list(itertools.islice(same_task, sizes.size(task.prompt_length))):
                results = sizes.run(task.prompt_length, rows, lambda part, _, task=task: self._draw(task, part))
                yield from results or [(row, Failure("the memory does not suffice for one sample")) for row in rows]

    def close(self) -> None:
        """Nothing to release but memory."""

    def _draw(self, task: TokenisedTask, requests: Sequence[Request]) -> list[Result]:
        prompts = [task.vocabulary.prompt_ids(request.prompt) for request in requests]
        uniform_BT = torch.from_numpy(uniform_rows([request.seed for request in requests], task.completion_length))
        tokens, logp_BT = draw_tree(self.tasks.policy, prompts, uniform_BT, task.stops, self.settings)
        return [
            (request, _completion(task, drawn, logp))
            for request, drawn, logp in zip(requests, tokens, logp_BT.sum(dim=1).tolist(), strict=True)
        ]


def _completion(task: TokenisedTask, drawn: Sequence[int], logp: float) -> Completion:
    stopped = drawn[-1] in task.stops
    text = task.vocabulary.text(drawn[: len(drawn) - stopped]).decode(errors="replace")
    return Completion(text, len(drawn), "stop" if stopped else TRUNCATED, logp)


@dataclass(frozen=True, eq=False)
class TextLabScorer:
    """Scores answers under a pretrained model; an answer that ended is followed by any stop of its task.

    The text is read as the tokenizer cuts it: other spellings of it do not count.
    """

    tasks: TextTasks
    identity: Mapping[str, Fact]

    def score(self, requests: Sequence[ScoreRequest]) -> list[TokenScores]:
        """Raises InputError for a problem that is not of a text task of the lab, and for a text of too many tokens."""
        scores: list[TokenScores] = []
        for first in range(0, len(requests), SCORED_REQUESTS):
            scores += self._score(requests[first : first + SCORED_REQUESTS])
        return scores

    def close(self) -> None:
        """Nothing to release but memory."""

    @torch.no_grad()
    def _score(self, requests: Sequence[ScoreRequest]) -> list[TokenScores]:
        rows = [self._spelled(request) for request in requests]
        lines = [(place, line) for place, (_, ids, ends) in enumerate(rows) for line in _lines(ids, ends)]
        completions_BT, prompts_PT = padded([line for _, line in lines]), padded([prompt for prompt, _, _ in rows])
        place_B = torch.tensor([place for place, _ in lines])
        device = self.tasks.policy.device
        arrays = (torch.from_numpy(prompts_PT).to(device), torch.from_numpy(completions_BT).to(device))
        logp_BT = self.tasks.policy.score(*arrays, place_B.to(device)).logp_KBT[0].double().cpu()
        if not torch.isfinite(logp_BT).all():
            raise WorkError("the model's log-probabilities are not finite: it has diverged, or its weights are damaged")
        scores = []
        for place, (_, ids, ends) in enumerate(rows):
            logp_ST = logp_BT[place_B == place]
            logps = logp_ST[0, : len(ids)].tolist()
            if ends:
                logps.append(logp_ST[:, len(ids)].logsumexp(dim=0).item())
            scores.append(TokenScores((*ids, *ends[:1]), tuple(logps)))
        return scores

    def _spelled(self, request: ScoreRequest) -> tuple[list[int], list[int], tuple[int, ...]]:
        """The tokens of a prompt and of its completion, and the stops that may follow."""
        task, context = self.tasks.of(request.problem), self.tasks.policy.context
        prompt, ids = task.vocabulary.prompt_ids(request.prompt), task.vocabulary.ids(request.completion)
        if len(prompt) + len(ids) > context:
            tokens, name = len(prompt) + len(ids), request.problem.id
            raise InputError(f"problem {name!r}: prompt and completion have {tokens} tokens; the model holds {context}")
        return prompt, ids, task.stops if request.ended else ()


def _lines(ids: Sequence[int], ends: Sequence[int]) -> list[list[int]]:
    return [[*ids, end] for end in ends] or [list(ids)]
