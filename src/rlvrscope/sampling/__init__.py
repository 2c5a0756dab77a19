"""Samples of models: a store, and how it is filled."""

from rlvrscope.sampling.fill import Filled, fill
from rlvrscope.sampling.store import Sample, SampleStore

__all__ = ["Filled", "Sample", "SampleStore", "fill"]
