"""Figures of the dynamics: what to run, what to read off it, how to draw it."""
