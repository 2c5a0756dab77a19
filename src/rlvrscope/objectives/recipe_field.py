"""The objective as a field of recipes: a name or a table to read, a full table to write."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from rlvrscope.objectives.catalogue import objective_from
from rlvrscope.objectives.objective import Objective


def objective_table(objective: Objective) -> dict[str, Any]:
    """Fields of an objective as a table that `objective_from` reads; None, which TOML lacks, left out."""
    return {field: value for field, value in dataclasses.asdict(objective).items() if value is not None}


ObjectiveField = Annotated[Objective, BeforeValidator(objective_from), PlainSerializer(objective_table)]
"""A section with this field sets arbitrary_types_allowed."""
