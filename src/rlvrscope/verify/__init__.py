"""Answer verification. A model's text is treated as hostile input."""

from rlvrscope.problem import Problem, Verdict
from rlvrscope.verify.verifiers import VERIFIERS, check_problem
from rlvrscope.verify.workers.pool import VerifierPool, verify_answer

__all__ = ["VERIFIERS", "Problem", "Verdict", "VerifierPool", "check_problem", "verify_answer"]
