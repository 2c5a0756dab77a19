"""Samples of models: readers that make counts of them."""

from massflow.sampling.columns import COLUMNS, Columns
from massflow.sampling.counts import ModelCounts, read_models
from massflow.sampling.samples import SampleText

__all__ = ["COLUMNS", "Columns", "ModelCounts", "SampleText", "read_models"]
