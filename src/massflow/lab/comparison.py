"""The [compare] and [tune] sections of a recipe: which runs stand side by side. No torch here."""

from __future__ import annotations

import re
from typing import Any, Self

from pydantic import ConfigDict, Field, model_validator

from massflow.config import Section, parse
from massflow.lab.fields import ObjectiveField, Positive, Seed
from massflow.lab.training import TrainConfig

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # names become folders


class TuneConfig(Section):
    """The learning rate of each arm: the best of an equal grid, on bases, a seed and prompts of their own.

    A rate must raise pass@1 by the largest of the comparison's gains on every base (where none does, the rate that
    gains most is taken). Of those, the best has the highest pass@256, averaged over gains from the smallest to the
    largest. Rates within one standard error of it are as good; of these the one that gains most is taken. An arm that
    sets its own learning rate is not tuned.
    """

    rates: tuple[Positive, ...] = Field(min_length=2)
    bases: tuple[Seed, ...] = Field(default=(1000, 1001), min_length=1)
    seed: Seed = 1000
    prompts: int = Field(default=150, ge=2)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if list(self.rates) != sorted(set(self.rates)):
            raise ValueError(f"rates must rise; got {list(self.rates)}")
        if len(set(self.bases)) < len(self.bases):
            raise ValueError(f"bases must not repeat; got {list(self.bases)}")
        return self


class CompareConfig(Section):
    """Which runs stand side by side: bases x RL seeds x arms. An arm is a name and the training settings it changes."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    objectives: tuple[ObjectiveField, ...] = ()
    """An arm each, called after its objective."""
    arms: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Further arms: keys of [train] by name."""
    bases: tuple[Seed, ...] = Field(default=(0,), min_length=1)
    """Seeds of pre-training, one base each."""
    seeds: tuple[Seed, ...] = Field(default=(0, 1), min_length=1)
    """Seeds of RL."""
    gains: tuple[Positive, ...] = Field(default=(0.02,), min_length=1)
    """Targets, declared beforehand: arms are compared where each has raised its base's pass@1 by this much."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Which arms are compared, [arm, against]; empty: every arm with the first."""

    @property
    def labels(self) -> list[str]:
        """The arms' names, in order."""
        return [*(objective.name for objective in self.objectives), *self.arms]

    @property
    def paired(self) -> list[tuple[str, str]]:
        """The (arm, against) that are compared."""
        first, *others = self.labels
        return list(self.pairs) or [(arm, first) for arm in others]

    def settings(self, train: TrainConfig) -> dict[str, TrainConfig]:
        """The [train] section of each arm. Raises InputError naming the arm for what [train] does not allow."""
        common = train.model_dump()
        found = {
            own.name: parse({**common, "objective": own}, TrainConfig, f"arm {own.name!r}") for own in self.objectives
        }
        for name, changes in self.arms.items():
            for key in ("arm", "seed", "base"):
                if key in changes:
                    raise ValueError(f"arm {name!r}: {key} is set by the comparison. Leave it out.")
            found[name] = parse({**common, **changes, "arm": name}, TrainConfig, f"arm {name!r}")
        return found

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if not self.labels:
            raise ValueError("objectives or arms must say what to compare; both are empty")
        for field, values in (
            ("bases", self.bases),
            ("seeds", self.seeds),
            ("the names of objectives and arms", self.labels),
            ("pairs", self.pairs),
        ):
            if len(set(values)) < len(values):
                raise ValueError(f"{field} must not repeat; got {list(values)}")
        if len({name.lower() for name in [*self.labels, "base"]}) <= len(self.labels):
            raise ValueError(f"arms must differ by more than case, and none be called base; got {self.labels}")
        bad = next((name for name in self.labels if not _NAME.fullmatch(name)), None)
        if bad is not None:
            raise ValueError(f"an arm's name must be letters, digits, '.', '_' and '-'; got {bad!r}")
        for pair in self.pairs:
            if pair[0] == pair[1] or not set(pair) <= set(self.labels):
                raise ValueError(f"pairs must hold two different arms each, of {self.labels}; got {list(pair)}")
        if list(self.gains) != sorted(set(self.gains)) or self.gains[-1] >= 1.0:
            raise ValueError(f"gains must rise, and stay below 1; got {list(self.gains)}")
        return self
