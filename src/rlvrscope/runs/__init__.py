"""The run folder and the rows in it."""

from rlvrscope.runs.environment import environment
from rlvrscope.runs.files import read_json, replacing, write_atomic
from rlvrscope.runs.folder import RunFolder
from rlvrscope.runs.rows import Row, at_temperature

__all__ = ["Row", "RunFolder", "at_temperature", "environment", "read_json", "replacing", "write_atomic"]
