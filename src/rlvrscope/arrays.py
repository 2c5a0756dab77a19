"""Array types that every layer shares; the legend of shape suffixes is in `rlvrscope`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = Any
"""A NumPy array or a torch tensor. Functions typed so return the kind they were given."""
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
