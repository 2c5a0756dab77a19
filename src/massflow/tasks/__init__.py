"""Problems. A task for the lab is one file here that satisfies `Task`, joined to AnyTask."""

from massflow.tasks.line import Line
from massflow.tasks.task import Split, Task, Tokens

AnyTask = Line
"""What the recipe section [task] may be: a union of tasks, told apart by their `name`."""

__all__ = ["AnyTask", "Line", "Split", "Task", "Tokens"]
