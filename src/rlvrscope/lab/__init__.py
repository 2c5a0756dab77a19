"""The lab: a tiny language model trained from scratch, RLVR on it, and exact evaluation.

Import its modules directly. `recipe` and `tasks` need no torch.
"""
