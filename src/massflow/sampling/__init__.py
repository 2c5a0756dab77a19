"""Samples of models: readers that make counts of them."""
