"""Timeline of a run's stages and alarms: for a terminal, as a page, as JSON."""
