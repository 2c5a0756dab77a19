"""The report of an experiment in the lab."""
