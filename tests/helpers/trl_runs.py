"""Runs of TRL's GRPOTrainer on a tiny Llama: two steps take seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.grpo_config import GRPOConfig

from rlvrscope.lab.pretrained import quiet
from text_model import save_text_model

PROMPTS = [f"{first} + {second} =" for first in (12, 48, 7, 30) for second in (4, 8)]


def even(completions: list[str], **_: Any) -> list[float]:
    """Reward 1 for an even number of characters."""
    return [float(len(text) % 2 == 0) for text in completions]


def thirds(completions: list[str], **_: Any) -> list[float]:
    """Graded reward: 0, .5 or 1 by the number of characters."""
    return [len(text) % 3 / 2 for text in completions]


def tiny_model(folder: Path) -> Path:
    return folder if folder.exists() else save_text_model(folder)


def arguments(out: Path, **changes: Any) -> GRPOConfig:
    settings: dict[str, Any] = {
        "max_steps": 2, "per_device_train_batch_size": 8, "num_generations": 4, "max_completion_length": 6,
        "learning_rate": 1e-3, "logging_steps": 1, "save_strategy": "no", "report_to": "none", "bf16": False,
        "gradient_checkpointing": False, "use_cpu": True, "disable_tqdm": True, "seed": 3, "temperature": 1.0,
    }  # fmt: skip
    return GRPOConfig(str(out), **(settings | changes))


def trainer(kind: Any, model: Path, args: GRPOConfig, reward: Any = even, **options: Any) -> Any:
    with quiet():
        loaded = AutoModelForCausalLM.from_pretrained(model)
    data = Dataset.from_dict({"prompt": PROMPTS})
    return kind(
        loaded, reward, args, train_dataset=data, processing_class=AutoTokenizer.from_pretrained(model), **options
    )
