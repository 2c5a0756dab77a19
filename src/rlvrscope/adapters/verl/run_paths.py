"""Files of a verl run: what verl writes where, and what our readers find there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunPaths:
    """The folder of a run.

    recipe.toml                 the recipe as resolved, with the overrides of the command line
    data/*.parquet              problems as verl reads them
    metrics/attempt-N.jsonl     verl's metrics, one file per attempt, since verl truncates its file on resume
    rollouts/, validation/      verl's dumps of samples, one file per step
    checkpoints/global_step_N/  verl's checkpoints
    probe.jsonl                 rows of the mass probe, if the recipe names a bank
    """

    path: Path

    @property
    def train_data(self) -> Path:
        return self.path / "data" / "train.parquet"

    @property
    def validation_data(self) -> Path:
        return self.path / "data" / "validation.parquet"

    @property
    def rollouts(self) -> Path:
        return self.path / "rollouts"

    @property
    def validation(self) -> Path:
        return self.path / "validation"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def next_metrics(self) -> Path:
        """File for the metrics of the next attempt."""
        folder = self.path / "metrics"
        attempts = [int(file.stem.partition("-")[2]) for file in folder.glob("attempt-*.jsonl")]
        return folder / f"attempt-{max(attempts, default=0) + 1}.jsonl"


def weights_of(checkpoint: Path) -> Path:
    """Folder of a checkpoint's weights as transformers reads them."""
    return checkpoint / "actor" / "huggingface"
