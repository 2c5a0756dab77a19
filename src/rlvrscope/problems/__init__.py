"""Sets of problems for language models: data sets, generated ones, your files."""

from rlvrscope.problems.problem_files import Defaults, read_problems
from rlvrscope.problems.task_catalogue import load
from rlvrscope.problems.templates import TEMPLATES, Template

__all__ = ["TEMPLATES", "Defaults", "Template", "load", "read_problems"]
