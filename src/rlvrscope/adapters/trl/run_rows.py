"""Rows that the callbacks leave in TRL's output folder, so that `rlvrscope monitor` reads it as any run folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from rlvrscope.errors import InputError
from rlvrscope.runs import RunFolder
from rlvrscope.runs.rows import ADAPTER_PREFIX, Row

AnyRow = TypeVar("AnyRow", bound=Row)


@dataclass
class RunRows(Generic[AnyRow]):
    """The rows of one kind of a run; every process may read them, the main one writes."""

    trainer: Any
    kind: type[AnyRow]

    @property
    def folder(self) -> RunFolder:
        return RunFolder(Path(self.trainer.args.output_dir))

    def begin(self) -> list[AnyRow]:
        """Rows up to the step that training starts from; those of a killed run after it are dropped.

        Raises InputError where a new run would write into the rows of another.
        """
        step, main = self.trainer.state.global_step, self.trainer.accelerator.is_main_process
        path = self.folder.file(self.kind)
        if step == 0 and path.exists() and any(row.step > 0 for row in self.folder.rows(self.kind)):
            raise InputError(
                f"{path} holds the rows of another run: resume it (resume_from_checkpoint), "
                "or choose another output_dir"
            )
        self.trainer.accelerator.wait_for_everyone()
        if main:
            self.folder.keep_until(self.kind, step)
        self.trainer.accelerator.wait_for_everyone()
        return self.rows

    @property
    def rows(self) -> list[AnyRow]:
        return self.folder.rows(self.kind)

    def append(self, row: AnyRow) -> None:
        if self.trainer.accelerator.is_main_process:
            self.folder.append(row)


def log_means(trainer: Any, values: dict[str, float]) -> None:
    """Add values to TRL's next log of training metrics, as rlvrscope/NAME: their means since the last log."""
    for name, value in values.items():
        trainer._metrics["train"][f"{ADAPTER_PREFIX}{name}"].append(value)


def log_sums(trainer: Any, values: dict[str, float]) -> None:
    """Add values to TRL's next log: their sums since the last log."""
    metrics = trainer._metrics["train"]
    for name, value in values.items():
        metrics[f"{ADAPTER_PREFIX}{name}"] = [sum(metrics[f"{ADAPTER_PREFIX}{name}"]) + value]


def log_last(trainer: Any, values: dict[str, float]) -> None:
    """Put values into TRL's next log: the last ones."""
    for name, value in values.items():
        trainer._metrics["train"][f"{ADAPTER_PREFIX}{name}"] = [value]
