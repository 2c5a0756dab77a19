"""A crash-safe store of samples and verdicts: one SQLite file."""

from rlvrscope.sampling.store.sample_store import Sample, SampleStore

__all__ = ["Sample", "SampleStore"]
