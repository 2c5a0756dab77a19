"""Real training steps: the advantages that reach the loss, what is refused, and what on-policy hides."""

import warnings

import numpy as np
import pytest
import torch
from trl.trainer.grpo_trainer import GRPOTrainer as TrlTrainer

from rlvrscope.adapters.trl import GRPOTrainer
from rlvrscope.errors import InputError
from rlvrscope.objectives import OBJECTIVES, advantages
from trl_runs import arguments, even, thirds, trainer

OFF_POLICY = {"steps_per_generation": 2, "gradient_accumulation_steps": 1, "per_device_train_batch_size": 4}
pytestmark = pytest.mark.filterwarnings("ignore:every update is on-policy")


class Recorded(GRPOTrainer):
    """Keeps the advantages that reach the loss, and each generation's rewards and logged advantages."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.reached, self.generated, self.logged = [], [], []

    def _generate_and_score_completions(self, inputs):
        output = super()._generate_and_score_completions(inputs)
        self.generated.append(self._rewards_B.reshape(-1, self.num_generations).double().numpy())
        self.logged.append(list(self._logs["advantages"]))
        return output

    def _compute_loss(self, model, inputs):
        self.reached.append(inputs["advantages"].tolist())
        return super()._compute_loss(model, inputs)


@pytest.mark.parametrize("reward", [even, thirds], ids=["binary", "graded"])
@pytest.mark.parametrize("name", ["grpo", "grpo-n", "gspo-n", "rloo", "dr-grpo", "cispo", "f-grpo", "grpo-kl-reverse"])
def test_advantages_that_reach_the_loss(model, tmp_path, name, reward):
    run = trainer(Recorded, model, arguments(tmp_path, max_steps=3), reward, objective=name)
    before = [weights.detach().clone() for weights in run.model.parameters()]
    run.train()
    assert len(run.reached) == len(run.generated) == 3
    for reached, rewards_PG, logged in zip(run.reached, run.generated, run.logged, strict=True):
        expected_PG = advantages(rewards_PG, OBJECTIVES[name])
        assert sorted(reached) == pytest.approx(sorted(expected_PG.ravel().tolist()), abs=1e-5)  # TRL shuffles rows
        assert logged == pytest.approx(expected_PG.ravel().tolist(), abs=1e-5)
        assert not expected_PG[np.ptp(rewards_PG, axis=1) == 0.0].any()
    assert any((rewards_PG != rewards_PG[0, 0]).any() for rewards_PG in run.generated)
    assert any((old != new).any() for old, new in zip(before, run.model.parameters(), strict=True))


@pytest.mark.parametrize("name", ["psr", "nsr", "w-reinforce"])
def test_signed_objectives_read_right_and_wrong(model, tmp_path, name):
    run = trainer(Recorded, model, arguments(tmp_path), objective=name)
    run.train()
    weights = float(np.float32(OBJECTIVES[name].positive_weight)), -OBJECTIVES[name].negative_weight
    assert {value for reached in run.reached for value in reached} == set(weights)
    graded = trainer(Recorded, model, arguments(tmp_path), thirds, objective=name)
    with pytest.raises(InputError, match=r"two values, one on each side; got 0, 0\.5, 1"):
        graded.train()


def test_a_rollout_that_nobody_scored_counts_for_nothing(model, tmp_path):
    def partly(completions, **_):
        return [None if place == 0 else float(place % 2) for place in range(len(completions))]

    run = trainer(Recorded, model, arguments(tmp_path, max_steps=1), partly, objective="grpo")
    run.train()
    (logged,) = run.logged
    assert logged[0] == 0.0
    assert logged[1:4] == pytest.approx(
        advantages(np.array([[1.0, 0.0, 1.0]]), OBJECTIVES["grpo"])[0].tolist(), abs=1e-5
    )


def final_weights(model, out, name, **changes):
    run = trainer(GRPOTrainer, model, arguments(out, max_steps=6, learning_rate=1e-2, **changes), objective=name)
    run.train()
    return torch.cat([weights.detach().flatten() for weights in run.model.parameters()])


def test_grpo_n_and_gspo_n_differ_only_off_policy(model, tmp_path):
    names = ("grpo-n", "gspo-n")
    token, sequence = (final_weights(model, tmp_path / name, name) for name in names)
    torch.testing.assert_close(token, sequence, rtol=0, atol=1e-5)
    token, sequence = (final_weights(model, tmp_path / f"off-{name}", name, **OFF_POLICY) for name in names)
    assert (token - sequence).abs().max() > 1e-4


def test_on_policy_is_warned_of_once(model, tmp_path):
    with pytest.warns(UserWarning, match="every update is on-policy.*steps_per_generation") as caught:
        trainer(GRPOTrainer, model, arguments(tmp_path), objective="gspo-n")
    assert sum("on-policy" in str(warning.message) for warning in caught) == 1


def test_off_policy_is_not(model, tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        trainer(GRPOTrainer, model, arguments(tmp_path, **OFF_POLICY), objective="gspo-n")
    assert not [warning for warning in caught if "on-policy" in str(warning.message)]


@pytest.mark.parametrize(
    ("objective", "changes", "message"),
    [
        ("grop", {}, "no objective is called 'grop'. Did you mean 'grpo'"),
        ("grpo-n", {"epsilon": 0.3}, "GRPOConfig has epsilon=0.3, and objective 'grpo-n' means 0.2"),
        ("grpo-n", {"loss_type": "luspo"}, "GRPOConfig has loss_type='luspo'"),
        ("grpo", {"scale_rewards": "none"}, "scale_rewards='none', and objective 'grpo' means 'group'"),
        ("grpo", {"multi_objective_aggregation": "normalize_then_sum"}, "must be 'sum_then_normalize'"),
        ("pass-at-k", {}, "needs groups of at least 5 rollouts; got num_generations=4"),
        ("grpo-kl-reverse", {"entropy_coef": 0.01}, "uses rlvrscope's loss.*which has no entropy_coef"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(model, tmp_path, objective, changes, message):
    with pytest.raises(InputError, match=message):
        trainer(GRPOTrainer, model, arguments(tmp_path, **changes), objective=objective)


def test_the_objective_may_change_if_its_loss_stays(model, tmp_path):
    run = trainer(GRPOTrainer, model, arguments(tmp_path), objective="grpo-n")
    run.change_objective("grpo")
    assert run.objective.name == "grpo"
    with pytest.raises(InputError, match="'gspo' differs from 'grpo' in importance_sampling_level"):
        run.change_objective("gspo")
    with pytest.raises(InputError, match="'pass-at-k' needs groups of at least 5 rollouts; got num_generations=4"):
        run.change_objective("pass-at-k")


def test_a_group_with_too_few_scored_rollouts_is_left_alone(model, tmp_path):
    def partly(completions, **_):
        return [None if place == 0 else float(place == 7) for place in range(len(completions))]

    args = arguments(tmp_path, max_steps=1, per_device_train_batch_size=10, num_generations=5)
    run = trainer(Recorded, model, args, partly, objective="pass-at-k")
    run.train()
    (logged,) = run.logged
    assert logged[:5] == [0.0] * 5
    assert any(logged[5:])


def test_rewards_on_one_side_of_the_threshold_are_no_signs(model, tmp_path):
    args = arguments(tmp_path, max_steps=1)
    run = trainer(GRPOTrainer, model, args, lambda completions, **_: [0.4 * (n % 2) for n in range(len(completions))],
                  objective="nsr")  # fmt: skip
    with pytest.raises(InputError, match=r"one on each side; got 0, 0\.4"):
        run.train()


def test_an_equal_objective_is_trl_s_training(model, tmp_path):
    """GRPO with TRL's eps and loss: the same weights as TRL's own trainer after three steps."""
    grpo = OBJECTIVES["dapo"].replace(name="trl-default", std_eps=1e-4, clip_high=0.2)
    ours = trainer(GRPOTrainer, model, arguments(tmp_path / "a", max_steps=3), objective=grpo)
    ours.train()  # before the other is made: a trainer seeds torch when it is made
    theirs = trainer(TrlTrainer, model, arguments(tmp_path / "b", max_steps=3))
    theirs.train()
    for mine, other in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-6)


def test_a_lora_run_trains_its_adapter_only(model, tmp_path):
    from peft import LoraConfig

    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    run = trainer(Recorded, model, arguments(tmp_path, max_steps=2), objective="grpo-n", peft_config=config)
    before = {name: weights.detach().clone() for name, weights in run.model.named_parameters()}
    run.train()
    changed = {name for name, weights in run.model.named_parameters() if (weights != before[name]).any()}
    assert changed
    assert all("lora_" in name for name in changed)
    assert max(max(reached) for reached in run.reached) <= 0.0
