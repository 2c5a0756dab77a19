"""The simulator: groups sampled from the policy, update after update, over many seeds."""
