"""Learning dynamics of probability mass: exact expectations, mean field, closed forms and simulation.

`exact` has the expected update, `flow` iterates it, `closed_forms` has times and lowest masses, `simulator` samples
groups (its `kernel` is compiled), `sequences` has completions of several tokens, `studies` the runs behind figures.
"""

from rlvrscope.dynamics.closed_forms import kappa, lowest_mass, transition_time
from rlvrscope.dynamics.exact import effective_advantage, expected_update
from rlvrscope.dynamics.flow import flow
from rlvrscope.dynamics.sequences import sequence_flow, simulate_sequences
from rlvrscope.dynamics.simulator.recording import Interrupted
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
