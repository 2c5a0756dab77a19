"""A crash-safe store of samples and verdicts: one SQLite file."""

from rlvrscope.sampling.store.store import Sample, SampleStore

__all__ = ["Sample", "SampleStore"]
