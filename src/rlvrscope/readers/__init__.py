"""Readers of what other tools write: counts, and samples with their texts and answers."""

from rlvrscope.readers.formats import COLUMNS, Columns, ReadOptions
from rlvrscope.readers.model_counts import ModelCounts, read_models
from rlvrscope.readers.sample_texts import SampleText
from rlvrscope.readers.source import Source

__all__ = ["COLUMNS", "Columns", "ModelCounts", "ReadOptions", "SampleText", "Source", "read_models"]
