"""Problems. A task for the lab is one file here that satisfies `Task`, joined to AnyTask.

Problems for language models - data sets, generated ones, your files - come from `massflow.tasks.load`.
"""

from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, Field

from massflow.config import nearest
from massflow.tasks.catalogue import load
from massflow.tasks.countdown import Countdown
from massflow.tasks.line import Line
from massflow.tasks.problems import Defaults, read_problems
from massflow.tasks.task import RIGHT, Split, Task, Tokens
from massflow.tasks.templates import TEMPLATES, Template

LabTask = Line | Countdown
_NAMES = [task.model_fields["name"].default for task in get_args(LabTask)]


def _named(table: Any) -> Any:
    """A table without a name is Line's."""
    if not isinstance(table, dict):
        return table
    name = table.get("name", "line")
    if name not in _NAMES:
        raise ValueError(f"no task is called {name!r}. {nearest(str(name), _NAMES)}")
    return {**table, "name": name}


AnyTask = Annotated[LabTask, Field(discriminator="name"), BeforeValidator(_named)]
"""What the recipe section [task] may be: a union of tasks, told apart by their `name`."""

__all__ = [
    "RIGHT",
    "TEMPLATES",
    "AnyTask",
    "Countdown",
    "Defaults",
    "Line",
    "Split",
    "Task",
    "Template",
    "Tokens",
    "load",
    "read_problems",
]
