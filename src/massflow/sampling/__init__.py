"""Samples of models: a store that is filled and never loses one, and readers that make counts of samples."""

from massflow.sampling.columns import COLUMNS, Columns
from massflow.sampling.counts import ModelCounts, read_models
from massflow.sampling.fill import Filled, fill
from massflow.sampling.samples import SampleText
from massflow.sampling.store import Sample, SampleStore

__all__ = ["COLUMNS", "Columns", "Filled", "ModelCounts", "Sample", "SampleStore", "SampleText", "fill", "read_models"]
