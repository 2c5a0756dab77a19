"""Is an answer right: verifiers that take a model's text for what it is, hostile input."""

from massflow.rewards.pool import VerifierPool, verify
from massflow.rewards.verifiers import VERIFIERS, check_problem
from massflow.types import Problem, Verdict

__all__ = ["VERIFIERS", "Problem", "Verdict", "VerifierPool", "check_problem", "verify"]
