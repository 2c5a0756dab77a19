"""The lab's tasks. A new one is a file here that implements `Task`, or one in `text` for `TextTask`, added below."""

from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, Field

from rlvrscope.errors import did_you_mean
from rlvrscope.lab.tasks.countdown import Countdown
from rlvrscope.lab.tasks.line import Line
from rlvrscope.lab.tasks.task import MIN_CORRECT_REWARD, Split, Task, Tokens
from rlvrscope.lab.tasks.text.add import Add
from rlvrscope.lab.tasks.text.mul import Mul
from rlvrscope.lab.tasks.text.multiples import Multiples
from rlvrscope.lab.tasks.text.text_task import TextTask
from rlvrscope.lab.tasks.text.triples import Triples
from rlvrscope.lab.tasks.text.word import Word

TokenTasks = Line | Countdown
LabTask = TokenTasks | Add | Mul | Multiples | Triples | Word
_NAMES = [task.model_fields["name"].default for task in get_args(LabTask)]


def _with_name(table: Any) -> Any:
    """Select the task by name; a table without a name is a Line task."""
    if not isinstance(table, dict):
        return table
    name = table.get("name", "line")
    if name not in _NAMES:
        raise ValueError(f"no task is called {name!r}. {did_you_mean(str(name), _NAMES)}")
    return {**table, "name": name}


AnyTask = Annotated[LabTask, Field(discriminator="name"), BeforeValidator(_with_name)]
"""Schema of the recipe section [task]: a union of tasks, discriminated by `name`."""

__all__ = [
    "MIN_CORRECT_REWARD",
    "Add",
    "AnyTask",
    "Countdown",
    "Line",
    "Mul",
    "Multiples",
    "Split",
    "Task",
    "TextTask",
    "TokenTasks",
    "Tokens",
    "Triples",
    "Word",
]
