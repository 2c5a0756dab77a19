# pyright: reportMissingImports=false
"""verl's checkpoint callback: the mass probe of each checkpoint, on the driver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from verl.trainer.ppo.checkpoint_callback import CheckpointCallback

from rlvrscope.adapters.verl.run_paths import weights_of
from rlvrscope.engines import Settings, open_scorer
from rlvrscope.monitor import Bank, MassProbe
from rlvrscope.runs import RunFolder
from rlvrscope.runs.rows import ProbeRow


class ProbeCallback(CheckpointCallback):
    """Scores the recipe's bank under the weights of each checkpoint, without a GPU unless the driver has one.

    Training waits for it. The rows are those of `rlvrscope probe score`; a resumed run writes rows from its step on
    again.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._bank = Bank.load(Path(config.rlvrscope.bank))
        self._folder = RunFolder(Path(config.rlvrscope.folder))
        self._probe: MassProbe | None = None

    def on_save(self, trainer: Any, global_step: int, checkpoint_dir: str, **_: Any) -> None:  # noqa: ARG002
        chat = bool(self._bank.base.get("chat"))
        scorer = open_scorer("transformers", str(weights_of(Path(checkpoint_dir))), Settings(chat=chat))
        self._probe = self._probe or MassProbe(self._bank, scorer)
        self._probe.scorer = scorer
        try:
            row = self._probe.score(global_step)
        finally:
            scorer.close()
        self._folder.keep_until(ProbeRow, global_step - 1)
        self._folder.append(row)
