"""Shared value types, and the legend of shape suffixes used throughout.

P problem (prompt) · G rollout in a group · B row of a batch (usually P x G, flattened) · T token ·
V action or vocabulary entry · K the k's asked for · R bootstrap resample · S training step or seed · Y completion

So `rewards_PG` has one row per problem and one column per rollout.
"""

from __future__ import annotations

from typing import Any

Array = Any
"""A NumPy array or a torch tensor. Functions typed so return the kind they were given."""
