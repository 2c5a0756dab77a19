# pyright: reportMissingImports=false
"""Our losses and estimators against verl's own functions and against `rlvrscope.objectives`, on the same tensors."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from rlvrscope.adapters.verl.estimators import estimator, final_outputs, outputs
from rlvrscope.adapters.verl.names import OBJECTIVE_VARIABLE, base_loss, registered_name, to_environment
from rlvrscope.errors import InputError
from rlvrscope.objectives import OBJECTIVES, Objective, advantages_by_group, policy_loss

pytest.importorskip("verl")
pytestmark = pytest.mark.verl
from verl.trainer.ppo import core_algos  # noqa: E402
from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories  # noqa: E402
from verl.workers.config import FSDPActorConfig  # noqa: E402

GROUPS, SIZE, TOKENS = 6, 6, 7
CLOSE = 1e-8
"""verl divides a completion's sum by its tokens + 1e-8."""
AGGREGATIONS = {
    "token_mean": "token-mean",
    "sequence_mean": "seq-mean-token-mean",
    "fixed_length": "seq-mean-token-sum-norm",
}
NAMES = sorted(name for name, objective in OBJECTIVES.items() if objective.reads is None)


def actor(objective: Objective, **changes: object) -> FSDPActorConfig:
    settings = {
        "rollout_n": SIZE,
        "ppo_micro_batch_size_per_gpu": 1,
        "clip_ratio_low": objective.clip_low,
        "clip_ratio_high": objective.clip_high,
        "clip_ratio_c": objective.dual_clip or 1e9,
        "loss_scale_factor": TOKENS,
    }
    return FSDPActorConfig(**(settings | changes))


class Batch:
    """Rollouts of several groups with a ragged mask, log-probabilities on both sides of every clip, and rewards."""

    def __init__(self, seed: int = 0, spread: float = 0.4) -> None:
        random = torch.Generator().manual_seed(seed)
        rows = GROUPS * SIZE
        self.old = -2.0 * torch.rand(rows, TOKENS, generator=random, dtype=torch.float64)
        change = spread * torch.randn(rows, TOKENS, generator=random, dtype=torch.float64)
        self.logp = (self.old + change).requires_grad_()
        lengths = torch.randint(1, TOKENS + 1, (rows, 1), generator=random)
        self.mask = (torch.arange(TOKENS) < lengths).double()
        self.rewards = torch.randint(0, 2, (rows,), generator=random).double()
        self.rewards[:SIZE] = 0.0  # a group that is all wrong
        self.rewards[SIZE : 2 * SIZE] = 1.0
        self.index = np.array([f"uid-{row // SIZE}" for row in range(rows)], dtype=object)
        self.weights = 0.5 + torch.rand(rows, TOKENS, generator=random, dtype=torch.float64)

    @property
    def token_rewards(self) -> Tensor:
        """The reward on each completion's last token, as verl has it."""
        last = self.mask.sum(dim=1).long() - 1
        return torch.zeros_like(self.old).scatter(1, last[:, None], self.rewards[:, None])


def gradient(loss: Tensor, batch: Batch) -> Tensor:
    return torch.autograd.grad(loss, batch.logp)[0]


def registered_loss(objective: Objective, batch: Batch, advantages: Tensor, mode: str, **changes: object):
    return core_algos.get_policy_loss_fn(registered_name(objective))(
        old_log_prob=batch.old,
        log_prob=batch.logp,
        advantages=advantages,
        response_mask=batch.mask,
        loss_agg_mode=mode,
        config=actor(objective, **changes),
        rollout_is_weights=None,
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_estimator_and_the_loss_together_are_our_objective(name: str):
    objective = OBJECTIVES[name]
    batch = Batch(spread=1e-3 if objective.ratio == "sequence" else 0.4)
    estimate = core_algos.get_adv_estimator_fn(registered_name(objective))
    advantages, returns = estimate(
        token_level_rewards=batch.token_rewards, response_mask=batch.mask, config=None, index=batch.index
    )
    assert torch.equal(advantages, returns)
    loss, _ = registered_loss(objective, batch, advantages, AGGREGATIONS[objective.aggregation])

    group = np.arange(GROUPS * SIZE) // SIZE
    plain = objective.replace(kl_coef=0.0)  # verl adds the KL term itself
    expected = policy_loss(
        batch.logp, batch.old, advantages_by_group(batch.rewards, group, plain), batch.mask, plain, max_length=TOKENS
    ).loss
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=CLOSE)
    torch.testing.assert_close(gradient(loss, batch), gradient(expected, batch), rtol=1e-6, atol=CLOSE)


@pytest.mark.parametrize("name", sorted({*OBJECTIVES} - {*NAMES}))
def test_what_reads_more_than_rewards_is_refused_by_name(name: str):
    with pytest.raises(InputError, match=f"objective '{name}' reads .*, which verl's estimators do not get"):
        base_loss(OBJECTIVES[name])


@pytest.mark.parametrize("name", ["grpo", "gspo", "cispo"])
@pytest.mark.parametrize("mode", [*AGGREGATIONS.values(), "seq-mean-token-sum", "token-sum"])
def test_without_a_weight_the_loss_is_verls_own_to_the_last_bit(name: str, mode: str):
    objective, batch = OBJECTIVES[name], Batch(1)
    advantages = torch.randn(GROUPS * SIZE, 1, dtype=torch.float64).expand(-1, TOKENS) * batch.mask
    config = actor(objective, clip_ratio_c=3.0)
    arguments = {
        "old_log_prob": batch.old, "log_prob": batch.logp, "response_mask": batch.mask, "loss_agg_mode": mode,
        "config": config, "rollout_is_weights": batch.weights,
    }  # fmt: skip
    own, own_metrics = core_algos.get_policy_loss_fn(base_loss(objective))(advantages=advantages, **arguments)
    loss, metrics = core_algos.get_policy_loss_fn(registered_name(objective))(advantages=advantages, **arguments)
    assert torch.equal(loss, own)
    assert metrics == own_metrics
    assert torch.equal(gradient(loss, batch), gradient(own, batch))


@pytest.mark.parametrize(
    ("name", "trained_on"), [("grpo-n", "negative"), ("grpo-p", "positive"), ("gspo-n", "negative")]
)
def test_a_filtered_sign_has_no_gradient_and_the_other_one_verls_own(name: str, trained_on: str):
    objective, batch = OBJECTIVES[name], Batch(2, spread=0.01)
    advantages = torch.randn(GROUPS * SIZE, 1, dtype=torch.float64).expand(-1, TOKENS) * batch.mask
    is_kept = (advantages < 0) if trained_on == "negative" else (advantages > 0)
    loss, _ = registered_loss(objective, batch, advantages, "token-mean")
    full, _ = registered_loss(OBJECTIVES[name[:4]], batch, advantages, "token-mean")
    filtered, complete = gradient(loss, batch), gradient(full, batch)
    assert filtered[~is_kept].abs().max() == 0.0
    assert torch.equal(filtered[is_kept], complete[is_kept])
    assert complete[~is_kept].abs().max() > 0.0


def test_dual_clip_and_rollout_weights_reach_the_filtered_loss():
    objective, batch = OBJECTIVES["grpo-n"], Batch(3, spread=2.0)
    advantages = -torch.ones_like(batch.old) * batch.mask
    bounded, metrics = registered_loss(objective, batch, advantages, "token-sum", clip_ratio_c=1.5)
    ratio = torch.exp(batch.logp.detach() - batch.old)
    assert torch.all(gradient(bounded, batch)[(ratio > 1.5) & (batch.mask > 0)] == 0.0)
    assert metrics["actor/pg_clipfrac_lower"] > 0.0
    loss = core_algos.get_policy_loss_fn(registered_name(objective))
    config = actor(objective)
    plain, _ = loss(batch.old, batch.logp, advantages, batch.mask, "token-sum", config, None)
    weighted, _ = loss(batch.old, batch.logp, advantages, batch.mask, "token-sum", config, batch.weights)
    torch.testing.assert_close(gradient(weighted, batch), gradient(plain, batch) * batch.weights)


def test_gspo_with_our_aggregation_is_the_papers_whether_verl_follows_it_or_always_means_over_sequences():
    """0.9.1 follows loss_agg_mode for GSPO; later versions always mean over sequences. We ask for that mean."""
    objective, batch = OBJECTIVES["gspo"], Batch(4, spread=1e-3)
    advantages = torch.randn(GROUPS * SIZE, 1, dtype=torch.float64).expand(-1, TOKENS) * batch.mask
    loss, _ = registered_loss(objective, batch, advantages, AGGREGATIONS[objective.aggregation])
    expected = policy_loss(batch.logp, batch.old, advantages, batch.mask, objective).loss
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=CLOSE)


def test_groups_of_equal_rewards_are_exactly_zero_where_verl_pushes_on_rounding_errors():
    rewards, mask = torch.full((8, 1), 0.1), torch.ones(8, 1)
    index = np.array(["a"] * 8, dtype=object)
    own, _ = core_algos.compute_grpo_outcome_advantage(rewards.clone(), mask, index)
    advantages, _ = estimator(OBJECTIVES["grpo"])(rewards, mask, index)
    assert own.abs().max() > 1e-3
    assert torch.equal(advantages, torch.zeros(8, 1))


def test_grpo_is_verls_own_estimator_on_mixed_groups():
    batch = Batch(5)
    own, _ = core_algos.compute_grpo_outcome_advantage(batch.token_rewards, batch.mask, batch.index)
    advantages, _ = estimator(OBJECTIVES["grpo"])(batch.token_rewards, batch.mask, batch.index)
    torch.testing.assert_close(advantages, own, rtol=1e-6, atol=1e-6)


def test_several_outputs_of_a_session_count_once_as_in_verls_grpo():
    """Two sessions of one prompt; the second left two outputs, each with the session's reward."""
    from verl.protocol import DataProto

    keys = ["p_0_0", "p_1_0", "p_1_1", "p_2_0"]
    rewards = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
    mask, index = torch.ones(4, 1), np.array(["p"] * 4, dtype=object)
    data = DataProto.from_dict(
        {"token_level_rewards": rewards.clone(), "response_mask": mask}, non_tensors={"uid": index}
    )
    own = compute_advantage_for_multi_trajectories(data, keys, core_algos.AdvantageEstimator.GRPO)
    with outputs(keys):
        advantages, _ = estimator(OBJECTIVES["grpo"])(rewards, mask, index)
    torch.testing.assert_close(advantages, own.batch["advantages"], rtol=1e-5, atol=1e-5)
    as_rollouts, _ = estimator(OBJECTIVES["grpo"])(rewards, mask, index)
    assert not torch.allclose(advantages, as_rollouts)  # one row more would shift the group's mean


def test_the_last_output_of_a_session_is_found_in_any_order():
    rows, places = final_outputs(["b_0_1", "a_0_0", "b_0_0", "b_0_10"])
    assert rows.tolist() == [3, 1]
    assert places.tolist() == [0, 1, 0, 0]


REGISTERED = """
import verl
from verl.trainer.ppo import core_algos
print(sorted(set(core_algos.POLICY_LOSS_REGISTRY) & set(core_algos.ADV_ESTIMATOR_REGISTRY)))
"""


def registered(**environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", REGISTERED], capture_output=True, text=True, env=os.environ | environment, check=True
    )
    return done.stdout.splitlines()[-1]


def test_a_fresh_process_registers_through_the_entry_point():
    assert "rlvrscope_grpo-n" in registered()
    assert "rlvrscope_grpo-n" not in registered(VERL_USE_EXTERNAL_PLUGINS="none")


def test_a_fresh_process_registers_the_runs_own_objective():
    own = OBJECTIVES["w-reinforce"].replace(name="w-reinforce-half", positive_weight=0.5)
    assert "rlvrscope_w-reinforce-half" in registered(**{OBJECTIVE_VARIABLE: to_environment(own)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ratio": "sequence", "dual_clip": 3.0}, "no dual_clip"),
        ({"ratio": "sequence", "surrogate": "cispo"}, "token ratios only"),
    ],
)
def test_objectives_without_a_loss_in_verl_are_refused(changes: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        base_loss(OBJECTIVES["grpo"].replace(name="own", **changes))
