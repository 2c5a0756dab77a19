"""Readers of what other tools write: counts, and samples with their texts and answers."""

from rlvrscope.readers.formats import COLUMNS, Columns
from rlvrscope.readers.model_counts import ModelCounts, read_models
from rlvrscope.readers.sample_texts import SampleText

__all__ = ["COLUMNS", "Columns", "ModelCounts", "SampleText", "read_models"]
