"""The simulator: training as it is, many seeds."""
