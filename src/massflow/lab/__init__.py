"""The embedded trainer: a tiny language model from scratch, RLVR on it, and exact evaluation. Needs `massflow[lab]`.

Import its modules directly (`massflow.lab.recipe` needs no torch, the others do).
"""
