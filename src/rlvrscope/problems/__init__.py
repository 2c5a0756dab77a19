"""Sets of problems for language models: hub data sets, generated problems, the user's files."""

from rlvrscope.problems.problem_files import Defaults, read_problems
from rlvrscope.problems.task_catalogue import load
from rlvrscope.problems.templates import TEMPLATES, Template

__all__ = ["TEMPLATES", "Defaults", "Template", "load", "read_problems"]
