"""Problems as the Parquet files that verl reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rlvrscope.adapters.verl.recipe import Instruction, TaskConfig
from rlvrscope.adapters.verl.reward import problem_to_json
from rlvrscope.errors import InputError
from rlvrscope.extras import needs_extra
from rlvrscope.problem import Problem
from rlvrscope.problems import TEMPLATES
from rlvrscope.problems.task_catalogue import load_task
from rlvrscope.problems.templates import LETTER, STEPS
from rlvrscope.runs import replacing

Message = dict[str, str]


def messages(problem: Problem, instruction: Instruction) -> list[Message]:
    """The chat that asks a problem: the question with the instruction, or the instruction as system message."""
    choices = bool(problem.metadata.get("choices"))
    text = LETTER if choices else STEPS
    instructed = TEMPLATES["choice" if choices else "plain"].render(problem).strip()
    if instruction == "user":
        return [{"role": "user", "content": instructed}]
    question = {"role": "user", "content": instructed.removesuffix(text).strip()}
    return [question] if instruction == "none" else [{"role": "system", "content": text}, question]


def write_problems(problems: Sequence[Problem], source: str, instruction: Instruction, path: Path) -> None:
    """Write problems with the columns of verl's data sets: data_source, prompt, ability, reward_model, extra_info."""
    with needs_extra("parquet", "a data set for verl"):
        import pyarrow as pa
        import pyarrow.parquet as pq

    rows = [
        {
            "data_source": source,
            "prompt": messages(problem, instruction),
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": problem.answer},
            "extra_info": {"index": index, "id": problem.id, "problem": problem_to_json(problem)},
        }
        for index, problem in enumerate(problems)
    ]
    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows), temporary)


def problems_of(task: TaskConfig, needed: int) -> list[Problem]:
    """Load the problems of a recipe. Raises InputError where there are fewer than `needed`."""
    source = None if task.source is None else Path(task.source)
    problems = load_task(task.task, task.split, count=task.count, source=source).problems
    if len(problems) < needed:
        raise InputError(
            f"task {task.task!r} has {len(problems)} problems, and a step takes {needed}: lower train.prompts_per_step"
        )
    return problems
