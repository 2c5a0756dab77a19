"""Adapters: the objectives and instruments of rlvrscope in other trainers. They convert and call; no mathematics."""
