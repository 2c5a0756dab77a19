"""Models whose weights are the same on every machine."""

from __future__ import annotations

from typing import TypeVar

import torch

from rlvrscope.seeding import generator

Model = TypeVar("Model", bound=torch.nn.Module)


def with_random_weights(model: Model) -> Model:
    """The model with normal weights of standard deviation .3: far from uniform, and far from sure."""
    rng = generator(0, "random weights")
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.from_numpy(rng.normal(0.0, 0.3, weight.shape)))
    return model
