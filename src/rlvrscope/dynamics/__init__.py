"""How probability mass moves in theory: exact expectations, mean field, closed forms, simulation."""

from rlvrscope.dynamics.closed_forms import kappa, lowest_mass, transition_time
from rlvrscope.dynamics.exact import effective_advantage, expected_update
from rlvrscope.dynamics.flow import flow
from rlvrscope.dynamics.sequence_flow import sequence_flow
from rlvrscope.dynamics.sequences import simulate_sequences
from rlvrscope.dynamics.simulator.record import Interrupted
from rlvrscope.dynamics.simulator.simulate import simulate
from rlvrscope.dynamics.trajectory import Trajectory

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
