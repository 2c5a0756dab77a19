"""How probability mass moves in theory: exact expectations, mean field, closed forms, simulation."""

from massflow.dynamics.closed import kappa, lowest_mass, transition_time
from massflow.dynamics.exact import effective_advantage, expected_update
from massflow.dynamics.flow import flow
from massflow.dynamics.record import Interrupted
from massflow.dynamics.sequence_flow import sequence_flow
from massflow.dynamics.sequences import simulate_sequences
from massflow.dynamics.simulate import simulate
from massflow.dynamics.trajectory import Trajectory

__all__ = [
    "Interrupted",
    "Trajectory",
    "effective_advantage",
    "expected_update",
    "flow",
    "kappa",
    "lowest_mass",
    "sequence_flow",
    "simulate",
    "simulate_sequences",
    "transition_time",
]
