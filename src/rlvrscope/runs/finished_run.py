"""A finished run as arrays, for every reader of runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from rlvrscope.arrays import Floats
from rlvrscope.errors import InputError
from rlvrscope.runs.folder import RunFolder
from rlvrscope.runs.rows import EvaluationRow, InterpolationRow, PromptScores, TelemetryRow, TimingRow, at_temperature

PromptSet = Literal["held-out prompts", "training prompts"]
HELD_OUT: PromptSet = "held-out prompts"
TRAINING: PromptSet = "training prompts"


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run: what it trained, and its rows. S evaluations (the first is the base), P prompts.

    `prompts` chooses the prompts that all scores below refer to.
    """

    path: Path
    arm: str
    """Settings it trained with, such as an objective's name."""
    base: int
    """Seed of the base model it was trained from."""
    seed: int
    """Seed of training."""
    steps: int
    """Training steps."""
    tabular: bool
    """Whether the policy is tabular, so that only scores on training prompts describe it."""
    evaluation: list[EvaluationRow]
    telemetry: list[TelemetryRow]
    timing: list[TimingRow]
    interpolation: list[InterpolationRow]
    """In order of alpha."""
    prompts: PromptSet = HELD_OUT

    @classmethod
    def read(cls, folder: RunFolder, *, arm: str, base: int, seed: int, steps: int, tabular: bool = False) -> Run:
        """Read a run folder. Raises InputError if the run is not finished or its rows do not reach the last step."""
        if not folder.done:
            cut = folder.final_checkpoint.exists()
            reason = f": {folder.final_checkpoint.name} is empty or cut short" if cut else " is not finished"
            raise InputError(f"{folder.path}{reason}: run the command that made it again, it resumes")
        run = cls(
            path=folder.path,
            arm=arm,
            base=base,
            seed=seed,
            steps=steps,
            tabular=tabular,
            evaluation=folder.complete_rows(EvaluationRow, steps),
            telemetry=folder.complete_rows(TelemetryRow, steps),
            timing=folder.rows(TimingRow),
            interpolation=sorted(folder.rows(InterpolationRow), key=lambda row: row.alpha),
        )
        run._check()
        return run

    def _check(self) -> None:
        """Raises InputError unless the base was evaluated, and all evaluations scored what the first one did."""
        first = self.evaluation[0]
        if first.step != 0:
            raise InputError(f"{self.path}: evaluation.jsonl lacks row 0, of the base. Remove {self.path}, run again.")
        for row in [*self.evaluation, *self.interpolation]:
            if _scored(row) != _scored(first):
                raise InputError(
                    f"{self.path}: {row.FILE}.jsonl, step {row.step}: it scores other prompts or temperatures than the "
                    f"evaluation of the base. Remove {self.path} and run again."
                )

    @property
    def name(self) -> str:
        return self.path.name

    def on(self, prompts: PromptSet) -> Run:
        """Return the same run, scored on the other set of prompts."""
        return replace(self, prompts=prompts)

    @property
    def scored_on_training(self) -> bool:
        return all(row.training for row in self.evaluation)

    @property
    def evaluation_steps(self) -> list[int]:
        """(S,) steps after which the model was evaluated."""
        return [row.step for row in self.evaluation]

    def scores(self, temperature: float = 1.0) -> list[PromptScores]:
        """Scores of every evaluation at one temperature. Raises InputError if it was not scored."""
        try:
            return [at_temperature(self._scores_of(row), temperature) for row in self.evaluation]
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from error

    def _scores_of(self, row: EvaluationRow | InterpolationRow) -> tuple[PromptScores, ...]:
        return row.held_out if self.prompts == HELD_OUT else row.training

    def success_SP(self, temperature: float = 1.0) -> Floats:
        """Probability of a correct completion."""
        return np.array([score.success_P for score in self.scores(temperature)])

    def interpolated_AP(self) -> Floats:
        """Probability of a correct completion of the interpolated weights, one row per alpha; (0, P) without any."""
        rows = [at_temperature(scores).success_P for row in self.interpolation if (scores := self._scores_of(row))]
        return np.array(rows).reshape(-1, len(self.scores()[0].success_P))

    def distinct_SP(self) -> Floats:
        """Expected number of different correct completions in k samples."""
        return np.array([score.distinct_P for score in self.scores()])

    def optimal_SP(self) -> Floats:
        """Probability of a completion with reward 1. Raises InputError where rewards are not graded."""
        if not self.graded:
            raise InputError(f"run {self.name}: its rewards are not graded, so no answers count as optimal")
        return np.array([score.optimal_P for score in self.scores()])

    def mass_SP(self, mass_class: str) -> Floats:
        """Mass of correct completions of one class under the base."""
        if any(mass_class not in score.mass for score in self.scores()):
            raise InputError(f"{self.path}: evaluation.jsonl lacks the mass class {mass_class}. Run again.")
        return np.array([score.mass[mass_class] for score in self.scores()])

    @property
    def graded(self) -> bool:
        """Whether correct completions differ in reward."""
        return all(score.optimal_P is not None for score in self.scores())

    @property
    def cpu_seconds_S(self) -> Floats | None:
        """CPU seconds of training until each evaluation; None if they are not known for every step."""
        seconds = {row.step: row.cpu for row in self.timing if row.cpu == row.cpu}
        if seconds.keys() != set(range(1, self.evaluation_steps[-1] + 1)):
            return None
        until = self.evaluation_steps
        return np.array([sum(seconds[step] for step in range(1, end + 1)) for end in until], dtype=np.float64)


def _scored(row: EvaluationRow | InterpolationRow) -> list[tuple[float, int, int, frozenset[str], bool]]:
    """What a row has scores of: temperatures, k, number of prompts, classes, and whether rewards are graded."""
    return [
        (one.temperature, one.k, len(one.success_P), frozenset(one.mass), one.optimal_P is None)
        for one in (*row.held_out, *row.training)
    ]
