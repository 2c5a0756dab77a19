"""Callback: the mass probe on the live model, during a TRL run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object
from transformers import TrainerCallback

from rlvrscope.adapters.trl.run_rows import RunRows, log_last
from rlvrscope.engines.transformers import live_scorer
from rlvrscope.errors import InputError
from rlvrscope.monitor import Bank, MassProbe
from rlvrscope.monitor.mass_probe import PROBE_EVERY
from rlvrscope.runs.rows import ProbeRow
from rlvrscope.scoring import Fact, ScoreRequest, TokenScores


class ProbeCallback(TrainerCallback):
    """Log-masses of stored completions (`rlvrscope probe build`) under the model, before training and every few steps.

        trainer.add_callback(ProbeCallback(trainer, "bank.jsonl", every=10))

    Nothing is generated. Each process scores its share of the bank. Logged: rlvrscope/rare_log_mass and, for each class
    of completions, rlvrscope/CLASS_log_mass and rlvrscope/CLASS_left; kept in probe.jsonl of the output folder. Add it
    before a StageCallback. chat: the bank's prompts are put into the model's chat template. Scores are in the weights'
    dtype: bfloat16 moves single probabilities by 10 to 20 %. Not tried with sharded weights (FSDP, ZeRO-3).
    Raises InputError for a bank of another tokenizer, and `every` below 1.
    """

    def __init__(
        self, trainer: Any, bank: Bank | str | Path, every: int = PROBE_EVERY, *, chat: bool = False, batch: int = 16
    ) -> None:
        if every < 1:
            raise InputError(f"every must be at least 1 step; got {every}")
        self.trainer, self.every = trainer, every
        bank = bank if isinstance(bank, Bank) else Bank.load(Path(bank))
        self.rows: list[ProbeRow] = []
        self._probe = MassProbe(bank, LiveScorer(trainer, chat, batch))
        self._kept = RunRows(trainer, ProbeRow)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.rows = self._kept.begin()
        if self.rows:
            self._probe.resume(self.rows[-1])
        else:
            self._score(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % self.every == 0:
            self._score(state.global_step)

    def _score(self, step: int) -> None:
        row = self._probe.score(step)
        self.rows.append(row)
        self._kept.append(row)
        values = {"rare_log_mass": row.rare_log_mass}
        for kind, mass in row.classes.items():
            values |= {f"{kind}_log_mass": mass.log_mass, f"{kind}_left": mass.left}
        if step > 0:  # the log of step 1 is no place for the base's
            log_last(self.trainer, values)


class LiveScorer:
    """The model in training as a `Scorer`; each process scores every W-th request, for W processes."""

    def __init__(self, trainer: Any, chat: bool = False, batch: int = 16) -> None:
        self._trainer, self._chat, self._batch = trainer, chat, batch

    @property
    def identity(self) -> Mapping[str, Fact]:
        name = str(self._trainer.model.config._name_or_path)
        return {"engine": "transformers", "model": name, "model_hash": ""}

    def score(self, requests: Sequence[ScoreRequest]) -> list[TokenScores]:
        accelerator = self._trainer.accelerator
        rank, processes = accelerator.process_index, accelerator.num_processes
        model = accelerator.unwrap_model(self._trainer.model)
        training = model.training
        model.eval()
        try:
            scorer = live_scorer(
                model, self._trainer.processing_class, self._trainer.eos_token_ids, self._chat, self._batch
            )
            scores = scorer.score(requests[rank::processes])
        finally:
            model.train(training)
        score_of = dict(gather_object([*zip(range(rank, len(requests), processes), scores, strict=True)]))
        return [score_of[place] for place in range(len(requests))]

    def close(self) -> None:
        """Nothing to release: the model is the trainer's."""
