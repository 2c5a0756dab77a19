"""Signals that tell which stage a run is in."""

from rlvrscope.monitor.saturation import saturated_at

__all__ = ["saturated_at"]
