"""Samples of models: a crash-safe store, and how it is filled."""

from rlvrscope.sampling.fill import FillProgress, fill
from rlvrscope.sampling.store import Sample, SampleStore

__all__ = ["FillProgress", "Sample", "SampleStore", "fill"]
