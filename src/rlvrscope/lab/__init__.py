"""The embedded trainer: a tiny language model from scratch, RLVR on it, and exact evaluation. Needs `rlvrscope[lab]`.

Import its modules directly (`rlvrscope.lab.recipe` needs no torch, the others do).
"""
