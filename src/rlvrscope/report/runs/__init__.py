"""The page of several runs of any trainer: frontier, stages, masses."""
