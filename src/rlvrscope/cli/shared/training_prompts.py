"""The prompts and rewards of a recipe's [task]: a text task of the lab, or problems with their verifiers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvrscope.config import Section, parse
from rlvrscope.problem import Problem
from rlvrscope.seeding import derive_seed

if TYPE_CHECKING:
    from rlvrscope.adapters.trl.prompts import TaskPrompts
    from rlvrscope.lab.tasks import TextTask

HELD_OUT_SHARE = 0.2
"""Share of a task's problems that is held out, by a hash of their ids, where [task] sets none."""


@contextmanager
def training_prompts(table: dict[str, Any]) -> Iterator[TaskPrompts]:
    """Prompts of a [task] table; verifiers run while the context is open. Raises InputError for unknown names."""
    from rlvrscope.lab.tasks import AnyTask, TextTask

    names = [kind.model_fields["name"].default for kind in TextTask.__subclasses__()]
    if table["name"] in names:

        class _Holder(Section):
            task: AnyTask

        task = parse({"task": table}, _Holder, "the recipe").task
        assert isinstance(task, TextTask)
        yield _of_text_task(task)
        return
    from rlvrscope.verify import VerifierPool

    with VerifierPool() as pool:
        yield _of_problems(table, pool)


def _of_text_task(task: TextTask) -> TaskPrompts:
    """A completion is right if it is, up to the end of its line, one of the question's answers."""
    from rlvrscope.adapters.trl.prompts import TaskPrompts

    def rewards(problems: Sequence[Problem], completions: Sequence[str]) -> list[float]:
        return [task.answers(one.id).get(text, 0.0) for one, text in zip(problems, completions, strict=True)]

    training, held_out = (tuple(map(task.problem, task.questions(split))) for split in ("train", "held_out"))
    return TaskPrompts(training, held_out, rewards, ("\n",), lambda one: [f"{text}\n" for text in task.answers(one.id)])


def _of_problems(table: dict[str, Any], pool: Any) -> TaskPrompts:
    """Problems of `rlvrscope tasks` or of a file, with their template; rewards are the verifiers' scores."""
    from rlvrscope.adapters.trl.prompts import TaskPrompts
    from rlvrscope.cli.sample import problems_of_task, template_of_task
    from rlvrscope.problems.templates import template_of

    settings = parse(table, _ProblemTask, "[task]")
    source = None if settings.source is None else Path(settings.source)
    loaded = problems_of_task(settings.name, settings.split, settings.count, settings.seed, source, settings.fields)
    name = template_of_task(settings.name, loaded.problems, settings.template)
    template = None if name is None else template_of(name)
    original = {one.id: one for one in loaded.problems}
    shown = [one if template is None else replace(one, prompt=template.render(one)) for one in loaded.problems]

    def rewards(problems: Sequence[Problem], completions: Sequence[str]) -> list[float]:
        return [verdict.score for verdict in pool.map(list(completions), [original[one.id] for one in problems])]

    parts: dict[bool, list[Problem]] = {False: [], True: []}
    for one in shown:
        parts[derive_seed(0, "held out", one.cluster or one.id) < settings.held_out_share * 2**63].append(one)
    return TaskPrompts(parts[False], parts[True], rewards)


class _ProblemTask(Section):
    """[task] for problems: a name of `rlvrscope tasks list`, or a file."""

    name: str
    split: str | None = None
    count: int | None = None
    seed: int = 0
    source: str | None = None
    fields: tuple[str, ...] = ()
    template: str | None = None
    held_out_share: float = HELD_OUT_SHARE
