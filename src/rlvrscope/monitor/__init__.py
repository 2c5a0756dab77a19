"""Signals that tell which stage a run is in."""

from rlvrscope.monitor.alarms import Alarm
from rlvrscope.monitor.group_ledger import GroupLedger
from rlvrscope.monitor.mass_probe import Bank, MassProbe, Stored
from rlvrscope.monitor.saturation import saturated_at
from rlvrscope.monitor.stage import Reading, StageMonitor

__all__ = ["Alarm", "Bank", "GroupLedger", "MassProbe", "Reading", "StageMonitor", "Stored", "saturated_at"]
