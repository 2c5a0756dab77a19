"""TRL's loss with our settings against `policy_loss`, and our loss in TRL's place: values and gradients."""

import pytest
import torch
from trl.trainer.grpo_trainer import GRPOTrainer as TrlTrainer

from rlvrscope.adapters.trl import GRPOTrainer
from rlvrscope.adapters.trl.loss_settings import loss_settings
from rlvrscope.objectives import OBJECTIVES, policy_loss
from trl_runs import arguments, trainer

ROWS, PROMPT, COMPLETION = 8, 4, 6
CASES = [
    OBJECTIVES["grpo"].replace(name=f"{ratio}-{aggregation}-{dual}", ratio=ratio, aggregation=aggregation,
                               dual_clip=dual)
    for ratio in ("token", "sequence")
    for aggregation in ("token_mean", "sequence_mean", "fixed_length")
    for dual in (None, 1.5)
]  # fmt: skip
OTHERS = [
    OBJECTIVES[name]
    for name in ("grpo-n", "gspo-n", "cispo", "dapo", "reinforce", "wapo", "grpo-kl-forward", "grpo-kl-reverse")
]
LOWER_CISPO = OBJECTIVES["cispo"].replace(name="cispo-sequence", clip_low=0.2, aggregation="sequence_mean")


def in_double(run):
    """Score in double precision: TRL's fused kernel gives float32."""
    run.model.double().train()

    def plain(model, input_ids, attention_mask, logits_to_keep, compute_entropy=False, **_):
        logits = model(input_ids=input_ids, attention_mask=attention_mask).logits[:, -logits_to_keep - 1 : -1]
        logp_BTV = logits.log_softmax(dim=-1)
        logp_BT = logp_BTV.gather(2, input_ids[:, -logits_to_keep:, None])[..., 0]
        entropy_BT = -(logp_BTV.exp() * logp_BTV).sum(-1).detach() if compute_entropy else None
        return logp_BT, entropy_BT, None

    run._get_per_token_logps_and_entropies = plain


def batch(run, off_policy):
    """Inputs of `_compute_loss` in double precision: ragged completions, advantages of both signs and zero."""
    generator = torch.Generator().manual_seed(0)
    ids_BT = torch.randint(2, 250, (ROWS, PROMPT + COMPLETION), generator=generator)
    mask_BT = (torch.arange(COMPLETION) < torch.tensor([[6], [1], [3], [6], [2], [5], [4], [6]])).long()
    inputs = {
        "prompt_ids": ids_BT[:, :PROMPT], "prompt_mask": torch.ones(ROWS, PROMPT, dtype=torch.long),
        "completion_ids": ids_BT[:, PROMPT:], "completion_mask": mask_BT,
        "advantages": torch.tensor([1.0, -0.5, 0.0, 2.0, -1.5, 0.3, -2.0, 0.7], dtype=torch.float64),
        "num_items_in_batch": mask_BT.sum(),
    }  # fmt: skip
    with torch.no_grad():
        logp_BT = logps(run, inputs)
        noise_BT = torch.randn(logp_BT.shape, generator=generator, dtype=torch.float64)
    inputs["ref_per_token_logps"] = logp_BT + 0.3 * noise_BT.flip(0)
    if off_policy:
        inputs["old_per_token_logps"] = logp_BT + 0.4 * noise_BT
    return inputs


def logps(run, inputs):
    ids_BT = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
    mask_BT = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1)
    return run._get_per_token_logps_and_entropies(run.model, ids_BT, mask_BT, COMPLETION)[0]


def gradient(run, loss):
    run.model.zero_grad()
    loss.backward()
    return torch.cat([weights.grad.flatten() for weights in run.model.parameters() if weights.grad is not None])


@pytest.mark.parametrize("off_policy", [False, True], ids=["on-policy", "off-policy"])
@pytest.mark.parametrize("objective", [*CASES, *OTHERS, LOWER_CISPO], ids=lambda objective: objective.name)
def test_the_loss_of_a_step_is_that_of_policy_loss(model, tmp_path, objective, off_policy):
    run = trainer(GRPOTrainer, model, arguments(tmp_path, per_device_train_batch_size=ROWS), objective=objective)
    in_double(run)
    run.current_gradient_accumulation_steps = 1
    inputs = batch(run, off_policy)
    loss = run._compute_loss(run.model, inputs)
    logp_BT = logps(run, inputs)
    expected = policy_loss(
        logp_BT, inputs.get("old_per_token_logps", logp_BT.detach()), inputs["advantages"], inputs["completion_mask"],
        objective, ref_logp_BT=inputs["ref_per_token_logps"] if objective.kl_coef else None, max_length=COMPLETION,
    ).loss  # fmt: skip
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6, abs=1e-9)
    theirs, ours = gradient(run, run._compute_loss(run.model, inputs)), gradient(run, expected)
    assert ours.abs().max() > 1e-4
    torch.testing.assert_close(theirs, ours, rtol=1e-6, atol=1e-9)


def test_only_what_trl_cannot_express_uses_our_loss():
    own = [objective.name for objective in [*CASES, *OTHERS, LOWER_CISPO] if loss_settings(objective).own_loss]
    assert own == ["grpo-kl-reverse", "cispo-sequence"]


@pytest.mark.parametrize("name", ["grpo-kl-reverse", "dapo"])
def test_parts_of_a_batch_add_up_to_the_whole(model, tmp_path, name):
    """Gradient accumulation: two halves of a batch, each scaled, have the loss of the whole."""
    args = arguments(tmp_path, per_device_train_batch_size=4, gradient_accumulation_steps=2)
    run = trainer(GRPOTrainer, model, args, objective=name)
    run._own_loss = "tested"  # also where TRL's loss would do
    in_double(run)
    run.current_gradient_accumulation_steps = 2
    inputs = batch(run, off_policy=True)
    halves = [
        {key: value[half] if value.ndim else value for key, value in inputs.items()}
        for half in (slice(0, 4), slice(4, 8))
    ]
    halves = [half | {"num_items_in_batch": inputs["num_items_in_batch"]} for half in halves]
    total = sum(run._compute_loss(run.model, half).item() for half in halves)
    logp_BT = logps(run, inputs)
    whole = policy_loss(
        logp_BT, inputs["old_per_token_logps"], inputs["advantages"], inputs["completion_mask"], run.objective,
        ref_logp_BT=inputs["ref_per_token_logps"], max_length=COMPLETION,
    ).loss  # fmt: skip
    assert total == pytest.approx(whole.item(), rel=1e-6)


def test_advantages_of_grpo_are_trl_s_own(model, tmp_path):
    """With TRL's eps (1e-4) our advantages are those that TRL computes, except that equal groups are exactly zero."""
    grpo = OBJECTIVES["grpo"].replace(name="grpo-trl", std_eps=1e-4)
    run = trainer(GRPOTrainer, model, arguments(tmp_path), objective=grpo)
    theirs = trainer(TrlTrainer, model, arguments(tmp_path))
    rewards_BF = torch.tensor([[1.0], [0.0], [0.25], [1.0], [0.1], [0.1], [0.1], [0.1]])
    rows = [{"prompt": text} for text in ["12 + 4 ="] * 4 + ["48 + 8 ="] * 4]
    outputs = []
    for one in (run, theirs):
        one.model.train()
        one.reward_funcs = [lambda completions, **_: rewards_BF[:, 0].tolist()]
        outputs.append(one._generate_and_score_completions(rows)["advantages"])
    torch.testing.assert_close(outputs[0][:4], outputs[1][:4], rtol=1e-6, atol=1e-6)
    assert outputs[0][4:].tolist() == [0.0] * 4
