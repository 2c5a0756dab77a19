"""What other tools write, read as counts and samples."""

from rlvrscope.readers.columns import COLUMNS, Columns
from rlvrscope.readers.models import ModelCounts, read_models
from rlvrscope.readers.sample_texts import SampleText

__all__ = ["COLUMNS", "Columns", "ModelCounts", "SampleText", "read_models"]
