"""One TRL run from a recipe, into a run folder; resumable."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, TrainerCallback
from trl.trainer.grpo_config import GRPOConfig

from rlvrscope import config
from rlvrscope.adapters.trl.boundary_callback import BoundaryCallback
from rlvrscope.adapters.trl.ledger_callback import STATE, LedgerCallback
from rlvrscope.adapters.trl.probe_callback import LiveScorer, ProbeCallback
from rlvrscope.adapters.trl.prompts import TaskPrompts
from rlvrscope.adapters.trl.recipe import TrlRecipe
from rlvrscope.adapters.trl.stage_callback import StageCallback
from rlvrscope.adapters.trl.trainer import GRPOTrainer
from rlvrscope.engines import Settings
from rlvrscope.errors import InputError, did_you_mean
from rlvrscope.monitor import Bank
from rlvrscope.problem import Problem
from rlvrscope.readers.evaluations import keep_evaluations
from rlvrscope.runs import RunFolder
from rlvrscope.runs.rows import LedgerRow, ProbeRow, TelemetryRow
from rlvrscope.scoring import ScoreRequest

OnStep = Callable[[int, int, Mapping[str, Any]], None]
"""Called after each update with its number, their total, and TRL's log."""
FINAL = "final"
"""Folder of the trained model, renamed to this once it is whole: the run is done."""


def train(
    recipe: TrlRecipe, prompts: TaskPrompts, out: Path, device: str = "cpu", on_step: OnStep | None = None
) -> None:
    """Train into `out`, or continue there after the last whole checkpoint. on_step: see `OnStep`.

    Raises InputError, before any training, for a folder with another run, a model that can't be loaded, settings that
    TRL refuses, and batches that don't divide among the processes.
    """
    folder = RunFolder(out)
    folder.claim(config.dumps(recipe))
    if (out / FINAL).is_dir():
        return
    checkpoint = last_checkpoint(out)
    with quiet_libraries():
        trainer = build(recipe, prompts, out, device, resumes=checkpoint is not None)
        if checkpoint is None and trainer.accelerator.is_main_process:
            _clear(folder)
        trainer.accelerator.wait_for_everyone()
        if on_step is not None and trainer.accelerator.is_main_process:
            trainer.add_callback(StepReport(on_step))
        trainer.train(resume_from_checkpoint=checkpoint)
        saving = out / f".{FINAL}"
        trainer.save_model(str(saving))
    if trainer.accelerator.is_main_process:
        tokenizer: Any = trainer.processing_class
        tokenizer.save_pretrained(saving)
        saving.rename(out / FINAL)
    trainer.accelerator.wait_for_everyone()
    trainer.accelerator.end_training()  # a process that ends first would abort the others


def _clear(folder: RunFolder) -> None:
    """Drop the rows and counts of a process that was killed before its first checkpoint."""
    for kind in (TelemetryRow, LedgerRow, ProbeRow):
        folder.keep_until(kind, -1)
    keep_evaluations(folder.path, -1)


class StepReport(TrainerCallback):
    """Calls `on_step` with each log of a training step."""

    def __init__(self, on_step: OnStep) -> None:
        self._on_step = on_step

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:  # noqa: ARG002
        if logs is not None and "reward" in logs:
            self._on_step(state.global_step, state.max_steps, logs)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """No progress bars and no notices of deprecation from transformers and TRL.

    The warning of on-policy updates is left out too: a recipe says how many `updates` a step makes.
    """
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", "every update is on-policy")
        yield


def build(recipe: TrlRecipe, prompts: TaskPrompts, out: Path, device: str, resumes: bool) -> GRPOTrainer:
    """Trainer of a recipe, with its callbacks. Raises InputError as `train` does."""
    model, tokenizer = _load(recipe.model.pretrained, getattr(torch, recipe.model.dtype))
    stop = [*prompts.stop, *recipe.train.stop]
    ending = Settings(stop=tuple(stop))
    ends = [*_listed(model.generation_config.eos_token_id), *stop_ids(tokenizer, stop)]
    model.generation_config.eos_token_id = list(dict.fromkeys(ends)) or None
    settings = recipe.train
    problems = prompts.drawn(settings.prompts, settings.prompts_per_step, settings.steps, settings.seed)
    held_out = [] if recipe.evaluate is None else prompts.evaluated(recipe.evaluate.prompts, settings.seed)
    problem_of = {problem.id: problem for problem in [*problems, *held_out]}

    def reward(completions: list[str], id: list[str], **_: Any) -> list[float]:  # noqa: A002  a column's name
        texts = [text if (cut := ending.cut(text)) is None else cut for text in completions]
        return list(prompts.rewards([problem_of[name] for name in id], texts))

    peft_config = None
    if recipe.model.lora_rank:
        rank = recipe.model.lora_rank
        peft_config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    try:
        trainer = GRPOTrainer(
            model, reward, _arguments(recipe, out, device, resumes), objective=settings.objective,
            train_dataset=_data_set(problems), eval_dataset=_data_set(held_out) if held_out else None,
            processing_class=tokenizer, peft_config=peft_config,
        )  # fmt: skip
    except InputError:
        raise
    except (ValueError, TypeError, ImportError, RuntimeError, NotImplementedError) as error:
        raise InputError(f"TRL refuses these settings: {' '.join(str(error).split())[:300]}") from error
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(LedgerCallback(trainer))
    if recipe.probe is not None:
        bank = recipe.probe.bank or _bank(trainer, prompts, problems, recipe.probe.prompts, out)
        trainer.add_callback(ProbeCallback(trainer, bank, recipe.probe.every * settings.updates))
    trainer.add_callback(StageCallback(trainer, stop_on=settings.stop_on, then={**settings.then}))
    if held_out:
        trainer.add_callback(BoundaryCallback(trainer))
    return trainer


def _bank(trainer: GRPOTrainer, prompts: TaskPrompts, problems: list[Problem], count: int, out: Path) -> Path:
    """Bank of all right answers of the first training prompts, scored under the base; kept in the run folder."""
    path = out / "bank.jsonl"
    if path.exists():
        return path
    if prompts.right is None:
        raise InputError("[probe] bank: this task does not list its right answers: make one with rlvrscope probe build")
    distinct = list({problem.id: problem for problem in problems}.values())[:count]
    requests = [ScoreRequest(one, one.prompt, text) for one in distinct for text in prompts.right(one)]
    bank = Bank.of(LiveScorer(trainer), dict.fromkeys(requests, 0), {})
    if trainer.accelerator.is_main_process:
        bank.save(path)
    trainer.accelerator.wait_for_everyone()
    return path


def last_checkpoint(out: Path) -> str | None:
    """The last checkpoint that was written to its end: the ledger's state is its last file."""
    steps = [int(path.parent.name.partition("-")[2]) for path in out.glob(f"checkpoint-*/{STATE}")]
    return str(out / f"checkpoint-{max(steps)}") if steps else None


def stop_ids(tokenizer: Any, stop: list[str]) -> list[int]:
    """Tokens whose text begins with a stop: a completion ends with them. Raises InputError for a stop without one."""
    texts = tokenizer.batch_decode([[token] for token in range(len(tokenizer))])
    ids = [token for token, text in enumerate(texts) if stop and text.startswith(tuple(stop))]
    missing = [text for text in stop if not any(texts[token].startswith(text) for token in ids)]
    if missing:
        raise InputError(f"no token begins with the stop {missing[0]!r}: choose another, or leave it out")
    return ids


def _arguments(recipe: TrlRecipe, out: Path, device: str, resumes: bool) -> GRPOConfig:
    settings, steps = recipe.train, recipe.train.updates
    fields: dict[str, Any] = {
        "max_steps": settings.steps * steps, "num_generations": settings.group_size,
        "max_completion_length": settings.max_tokens, "learning_rate": settings.learning_rate,
        "warmup_steps": settings.warmup_steps, "lr_scheduler_type": "constant_with_warmup",
        "temperature": settings.temperature, "seed": settings.seed, "shuffle_dataset": False,
        "save_strategy": "steps", "save_steps": settings.save_every * steps, "logging_steps": 1,
        "remove_unused_columns": False, "bf16": False, "gradient_checkpointing": False, "use_cpu": device == "cpu",
        "report_to": "none", "log_completions": False, "disable_tqdm": True, "log_level": "error",
    }  # fmt: skip
    if recipe.evaluate is not None:
        fields |= {
            "eval_strategy": "steps", "eval_steps": recipe.evaluate.every * steps,
            "eval_on_start": not resumes,
            "num_generations_eval": recipe.evaluate.samples, "per_device_eval_batch_size": recipe.evaluate.batch,
        }  # fmt: skip
    world = GRPOConfig(str(out), use_cpu=device == "cpu", bf16=False).world_size
    per_update = settings.prompts_per_step * settings.group_size // steps
    if per_update % (settings.batch * world):
        raise InputError(
            f"the {per_update} rollouts of an update must divide into batches of {settings.batch} on {world} processes"
        )
    fields |= {
        "per_device_train_batch_size": settings.batch,
        "gradient_accumulation_steps": per_update // (settings.batch * world),
        "steps_per_generation": per_update * steps // (settings.batch * world),
    }
    known = [field.name for field in dataclasses.fields(GRPOConfig)]
    overridable = {"report_to", "bf16", "gradient_checkpointing", "log_completions", "lr_scheduler_type"}
    for name in recipe.grpo:
        if name not in known:
            raise InputError(f"[grpo] {name}: GRPOConfig has no such field. {did_you_mean(name, known)}"[:300])
        if name == "num_iterations":
            raise InputError("[grpo] num_iterations: set train.updates, optimizer steps from each step's rollouts")
        if name in fields and name not in overridable:
            raise InputError(f"[grpo] {name} is set by the recipe's other sections: set it there")
    try:
        return GRPOConfig(str(out), **(fields | recipe.grpo))
    except (ValueError, TypeError) as error:
        raise InputError(f"TRL refuses these settings: {' '.join(str(error).split())[:300]}") from error


def _load(name: str, dtype: torch.dtype) -> tuple[Any, Any]:
    try:
        model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, use_safetensors=True, trust_remote_code=False)
        return model, AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{name}: transformers can't load a model and its tokenizer from it: {reason}") from error


def _data_set(problems: list[Any]) -> datasets.Dataset:
    return datasets.Dataset.from_list([{"prompt": problem.prompt, "id": problem.id} for problem in problems])


def _listed(ids: int | list[int] | None) -> list[int]:
    return [] if ids is None else [ids] if isinstance(ids, int) else list(ids)
