"""The report of a boundary: a base against models trained from it."""
