"""The private attributes of TRL that the adapter leans on: an upgrade that drops one fails here, by name."""

import inspect

import pytest
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer as TrlTrainer

from trl_runs import arguments, trainer

METHODS = {
    "_calculate_rewards": ["inputs", "prompts", "completions", "completion_ids_list"],
    "_generate_and_score_completions": ["inputs"],
    "_compute_loss": ["model", "inputs"],
    "_get_per_token_logps_and_entropies": ["model", "input_ids", "attention_mask", "logits_to_keep"],
}
ATTRIBUTES = (
    "_metrics", "_logs", "reward_weights", "num_generations", "num_generations_eval", "eos_token_ids",
    "aux_loss_enabled", "max_completion_length", "current_gradient_accumulation_steps", "_is_vlm",
    "accelerator", "callback_handler",
)  # fmt: skip
FIELDS = (
    "importance_sampling_level", "loss_type", "epsilon", "epsilon_high", "delta", "beta", "scale_rewards",
    "multi_objective_aggregation", "num_generations", "num_iterations", "steps_per_generation", "entropy_coef",
    "use_adaptive_entropy", "top_entropy_quantile", "off_policy_mask_threshold", "use_bias_correction_kl",
)  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_methods(name):
    assert hasattr(TrlTrainer, name), f"TRL's GRPOTrainer has no {name} any more: adapters/trl needs it"
    parameters = list(inspect.signature(getattr(TrlTrainer, name)).parameters)[1:]
    assert parameters[: len(METHODS[name])] == METHODS[name], f"the parameters of TRL's {name} have changed"


@pytest.mark.parametrize("name", FIELDS)
def test_fields_of_grpo_config(name):
    assert name in GRPOConfig.__dataclass_fields__, f"TRL's GRPOConfig has no {name} any more: adapters/trl sets it"


def test_attributes(model, tmp_path):
    run = trainer(TrlTrainer, model, arguments(tmp_path))
    run.current_gradient_accumulation_steps = 1  # set by transformers when training begins
    missing = [name for name in ATTRIBUTES if not hasattr(run, name)]
    assert not missing, f"TRL's GRPOTrainer has no {missing} any more: adapters/trl reads them"


def test_trl_still_has_no_hook_of_its_own():
    """Where this fails, TRL has merged the hook: `_generate_and_score_completions` of our trainer can go."""
    assert not hasattr(TrlTrainer, "_transform_advantages")
