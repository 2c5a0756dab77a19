"""Kinds of value that the sections of a recipe share."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer

from massflow.objectives import Objective, objective_from


def _objective_table(objective: Objective) -> dict[str, Any]:
    return {field: value for field, value in dataclasses.asdict(objective).items() if value is not None}


ObjectiveField = Annotated[Objective, BeforeValidator(objective_from), PlainSerializer(_objective_table)]
Seed = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Temperature = Annotated[float, Field(ge=0.01, le=100.0)]
Count = Annotated[int, Field(ge=1)]
