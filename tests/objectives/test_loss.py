"""The surrogate loss: hand-derived values, gradients, invariances, and that nothing is ever NaN or infinite."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rlvrscope import InputError
from rlvrscope.objectives import OBJECTIVES, Objective, kl_estimate, policy_loss, policy_loss_unchecked
from rlvrscope.seeding import generator

GRPO, GSPO, CISPO = OBJECTIVES["grpo"], OBJECTIVES["gspo"], OBJECTIVES["cispo"]
VARIANTS = [*OBJECTIVES.values(), GRPO.replace(name="dual", dual_clip=3.0), GRPO.replace(name="kl", kl_coef=0.1)]

# CISPO and the sequence ratio stop gradients by definition: tested by hand, and against the sequence loss.
DIFFERENTIABLE = [o for o in VARIANTS if o.surrogate == "clip" and o.ratio == "token"]


def batch(rows: int = 4, length: int = 5, spread: float = 0.3) -> dict[str, np.ndarray]:
    """Log-probabilities near each other, both signs of advantage, completions of different lengths."""
    rng = generator(0, "surrogate batch", rows, length)
    logp = -rng.exponential(1.0, (rows, length))
    return {
        "logp_BT": logp,
        "old_logp_BT": logp + spread * rng.normal(size=logp.shape),
        "advantages": rng.normal(size=rows),
        "mask_BT": np.arange(length) < rng.integers(1, length + 1, size=(rows, 1)),
        "ref_logp_BT": logp + spread * rng.normal(size=logp.shape),
    }


def loss_of(values: dict[str, np.ndarray], objective: Objective, **extra) -> float:
    return float(policy_loss(objective=objective, **values, **extra).loss)


def gradient(values: dict[str, np.ndarray], objective: Objective, **extra) -> np.ndarray:
    tensors = {name: torch.tensor(value) for name, value in values.items()}
    tensors["logp_BT"].requires_grad_()
    policy_loss(objective=objective, **tensors, **extra).loss.backward()
    found = tensors["logp_BT"].grad
    assert found is not None
    return found.numpy()


def simple(ratio: float, advantage: float) -> dict[str, np.ndarray]:
    """One token with this ratio and advantage."""
    one = np.ones((1, 1))
    return {
        "logp_BT": one * math.log(ratio),
        "old_logp_BT": 0.0 * one,
        "advantages": np.array([advantage]),
        "mask_BT": one,
    }


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"),
    [
        (1.1, 2.0, -2.2),  # inside the clip: -rho A
        (1.5, 2.0, -2.4),  # above it, A > 0: -1.2 A, the gain is capped
        (0.5, 2.0, -1.0),  # below it, A > 0: the min is rho A, no cap on the way back
        (0.5, -2.0, 1.6),  # below it, A < 0: -0.8 A, capped
        (1.5, -2.0, 3.0),  # above it, A < 0: no bound
    ],
)
def test_clip_by_hand(ratio: float, advantage: float, expected: float):
    assert loss_of(simple(ratio, advantage), GRPO) == pytest.approx(expected, rel=1e-12)


def test_dual_clip_bounds_the_ratio_for_negative_advantages_only():
    bounded = GRPO.replace(dual_clip=3.0)
    assert loss_of(simple(10.0, -2.0), GRPO) == pytest.approx(20.0)
    assert loss_of(simple(10.0, -2.0), bounded) == pytest.approx(6.0)  # 3 x 2
    assert loss_of(simple(2.0, -2.0), bounded) == pytest.approx(4.0)  # below the bound: unchanged
    assert loss_of(simple(10.0, 2.0), bounded) == pytest.approx(-2.4)  # the usual clip
    assert gradient(simple(10.0, -2.0), bounded)[0, 0] == 0.0
    assert policy_loss(**simple(10.0, -2.0), objective=bounded).diagnostics["dual_clip_fraction"] == 1.0


def test_sequence_ratio_by_hand():
    # log-ratios (0.3, 0.1) average 0.2: s = e^0.2; A = -1 and s above 1 + clip_high: the min is s A, loss e^0.2.
    values = {
        "logp_BT": np.array([[-1.0, -2.0]]),
        "old_logp_BT": np.array([[-1.3, -2.1]]),
        "advantages": np.array([-1.0]),
        "mask_BT": np.ones((1, 2)),
    }
    assert loss_of(values, GSPO) == pytest.approx(math.exp(0.2), rel=1e-12)
    # GSPO, eq. 10: d loss / d logp_t = -A s / |y| = e^0.2 / 2 for each token.
    np.testing.assert_allclose(gradient(values, GSPO), np.full((1, 2), math.exp(0.2) / 2), rtol=1e-12)


def test_cispo_by_hand():
    # rho = 10 is held at 5 and kept out of the gradient: loss = -5 A logp, d/dlogp = -5 A.
    values = simple(10.0, 2.0)
    assert loss_of(values, CISPO) == pytest.approx(-5.0 * 2.0 * math.log(10.0))
    assert gradient(values, CISPO)[0, 0] == pytest.approx(-10.0)


def test_aggregation_by_hand():
    # On-policy, A = (1, 1), lengths 1 and 3: every token costs -1 before it is averaged.
    mask = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    zero = np.zeros((2, 3))
    values = {"logp_BT": zero, "old_logp_BT": zero, "advantages": np.array([1.0, -1.0]), "mask_BT": mask}
    assert loss_of(values, GRPO.replace(aggregation="token_mean")) == pytest.approx((-1 + 3) / 4)
    assert loss_of(values, GRPO.replace(aggregation="sequence_mean")) == pytest.approx((-1 + 1) / 2)
    assert loss_of(values, GRPO.replace(aggregation="fixed_length")) == pytest.approx((-1 + 3) / 3 / 2)
    longer = loss_of(values, GRPO.replace(aggregation="fixed_length"), max_length=10)
    assert longer == pytest.approx((-1 + 3) / 10 / 2)


def test_kl_by_hand():
    # d = ref - logp = ln 2: e^d - d - 1 = 1 - ln 2, times 0.5; A = 0 leaves the KL term alone.
    values = {**simple(1.0, 0.0), "ref_logp_BT": np.full((1, 1), math.log(2.0))}
    got = policy_loss(**values, objective=GRPO.replace(kl_coef=0.5))
    assert got.loss == pytest.approx(0.5 * (1 - math.log(2)))
    assert got.diagnostics["reference_kl"] == pytest.approx(1 - math.log(2))


def test_k2_by_hand():
    # d = ln 2: d^2/2, times 0.5; what is reported stays k3, the unbiased one.
    values = {**simple(1.0, 0.0), "ref_logp_BT": np.full((1, 1), math.log(2.0))}
    got = policy_loss(**values, objective=GRPO.replace(kl_coef=0.5, kl_estimator="k2"))
    assert got.loss == pytest.approx(0.25 * math.log(2) ** 2)
    assert got.diagnostics["reference_kl"] == pytest.approx(1 - math.log(2))


@pytest.mark.parametrize(("name", "reverse"), [("grpo-kl-forward", False), ("grpo-kl-reverse", True)])
def test_the_kl_terms_gradient_on_policy_is_that_of_its_kl(name: str, reverse: bool):
    """Every token of a softmax policy, as often as its probability says: the batch mean is the expectation.

    The samples held fixed, grad d = -grad log pi for d = log ref - log pi. So, with E[grad log pi] = 0:
        E[grad k3] = E[(1 - e^d) grad log pi] = -sum ref grad log pi = grad KL(ref || pi)
        E[grad k2] = E[-d grad log pi] = sum pi log(pi / ref) grad log pi = grad KL(pi || ref)
    """
    counts, ref = torch.tensor([7, 1, 2, 4, 6]), torch.tensor([0.1, 0.3, 0.05, 0.2, 0.35], dtype=torch.float64)
    logits = (counts / counts.sum()).double().log().requires_grad_()
    logp, drawn = logits.log_softmax(0), torch.repeat_interleave(torch.arange(5), counts)
    kl = (logp.exp() * (logp - ref.log())).sum() if reverse else (ref * (ref.log() - logp)).sum()
    (expected,) = torch.autograd.grad(kl, logits, retain_graph=True)
    rows_B1, ref_B1 = logp[drawn][:, None], ref.log()[drawn][:, None]
    still = torch.zeros(len(drawn), dtype=torch.float64)
    loss = policy_loss(rows_B1, rows_B1.detach(), still, rows_B1 != 0, OBJECTIVES[name], ref_logp_BT=ref_B1).loss
    (found,) = torch.autograd.grad(loss, logits)
    assert expected.norm() > 0.1
    torch.testing.assert_close(found, OBJECTIVES[name].kl_coef * expected, rtol=1e-6, atol=1e-9)


def test_plain_reinforce_is_reward_times_grad_logp_with_no_clip():
    # loss = -mean_B sum_t rho r / T: at ratio 1 its slope is -r / (B T); at ratio 9 still, times 9.
    reinforce = OBJECTIVES["reinforce"]
    assert gradient(simple(1.0, 0.7), reinforce)[0, 0] == pytest.approx(-0.7)
    for advantage in (0.7, -0.7):
        assert gradient(simple(9.0, advantage), reinforce)[0, 0] == pytest.approx(-9 * advantage)


def test_kl_estimate_is_never_below_zero_and_keeps_small_values():
    d = np.linspace(-3e-4, 3e-4, 1001, dtype=np.float32)
    got = kl_estimate(np.zeros_like(d), d)
    assert (got >= 0.0).all()
    np.testing.assert_allclose(got, d.astype(np.float64) ** 2 / 2, rtol=1e-2, atol=1e-11)
    assert kl_estimate(np.array([-np.inf]), np.array([-np.inf])).item() == 0.0


def test_sampler_kl_by_hand():
    # The sampler drew with probability 1/2 where the policy has 1/4: d = ln(1/4) - ln(1/2), e^d - 1 - d = ln 2 - 1/2.
    values = {**simple(1.0, 1.0), "logp_BT": np.log([[0.25]]), "old_logp_BT": np.log([[0.25]])}
    got = policy_loss(**values, objective=GRPO, sampler_logp_BT=np.log([[0.5]])).diagnostics
    assert got["sampler_kl"] == pytest.approx(math.log(2) - 0.5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_sequence_ratio_keeps_its_precision_at_long_completions(dtype: torch.dtype):
    """Far from 0 a log-ratio of 2e-3 must not drown in the size of logp: GSPO clips at 4e-4."""
    old = torch.full((1, 4), -8.0, dtype=dtype)
    old[0, 0] = -1000.0
    logp = old.clone()
    logp[0, 1] += 0.0625  # exact in bfloat16 too; the mean is 1/64
    got = policy_loss(logp, old, torch.ones(1), torch.ones(1, 4), GSPO).diagnostics
    assert got["ratio_max"].item() == pytest.approx(math.exp(0.0625 / 4), rel=1e-6)
    assert got["clip_high_fraction"].item() == 1.0


def test_kl_estimate_is_unbiased_by_enumeration():
    rng = generator(0, "kl")
    p, q = (weights / weights.sum() for weights in rng.exponential(size=(2, 6)))
    estimate = (p * kl_estimate(np.log(p), np.log(q))).sum()
    assert estimate == pytest.approx((p * np.log(p / q)).sum(), rel=1e-12)


@pytest.mark.parametrize("objective", DIFFERENTIABLE, ids=lambda o: o.name)
def test_gradient_equals_finite_differences(objective: Objective):
    values = batch()
    step, found = 1e-6, np.zeros_like(values["logp_BT"])
    for index in np.ndindex(*found.shape):
        losses = []
        for sign in (1, -1):
            moved = values["logp_BT"].copy()
            moved[index] += sign * step
            losses.append(loss_of({**values, "logp_BT": moved}, objective))
        found[index] = (losses[0] - losses[1]) / (2 * step)
    np.testing.assert_allclose(gradient(values, objective), found, atol=1e-8)


def test_gspo_gradient_is_that_of_the_sequence_loss():
    """Written as one differentiable ratio a sequence, with no gradient stopped anywhere."""
    values = batch(spread=1e-4)
    tensors = {name: torch.tensor(value) for name, value in values.items()}
    logp = tensors["logp_BT"].requires_grad_()
    mask = tensors["mask_BT"].double()
    ratio = (((logp - tensors["old_logp_BT"]) * mask).sum(1) / mask.sum(1)).exp()
    clipped = ratio.clamp(1 - GSPO.clip_low, 1 + GSPO.clip_high)
    loss = -torch.minimum(ratio * tensors["advantages"], clipped * tensors["advantages"]).mean()
    loss.backward()
    assert logp.grad is not None
    assert loss_of(values, GSPO) == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(gradient(values, GSPO), logp.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize("objective", VARIANTS, ids=lambda o: o.name)
def test_numpy_and_torch_agree(objective: Objective):
    values = batch()
    ours = policy_loss(**values, objective=objective)
    theirs = policy_loss(**{name: torch.tensor(value) for name, value in values.items()}, objective=objective)
    assert theirs.loss.item() == pytest.approx(float(ours.loss), rel=1e-12)
    assert theirs.diagnostics.keys() == ours.diagnostics.keys()
    for name, value in ours.diagnostics.items():
        assert float(theirs.diagnostics[name]) == pytest.approx(float(value), rel=1e-12)


@pytest.mark.parametrize("objective", VARIANTS, ids=lambda o: o.name)
def test_row_order_and_masked_values_do_not_matter(objective: Objective):
    values = batch()
    order = np.array([2, 0, 3, 1])
    assert loss_of({name: value[order] for name, value in values.items()}, objective) == pytest.approx(
        loss_of(values, objective)
    )
    rubbish = {
        name: np.where(values["mask_BT"], value, np.nan) if name.endswith("logp_BT") else value
        for name, value in values.items()
    }
    assert loss_of(rubbish, objective) == loss_of(values, objective)
    found = gradient(rubbish, objective)
    assert (found[~values["mask_BT"]] == 0.0).all()
    np.testing.assert_array_equal(found, gradient(values, objective))


@pytest.mark.parametrize("objective", VARIANTS, ids=lambda o: o.name)
def test_parts_of_a_split_batch_add_up_to_the_whole(objective: Objective):
    values = batch(rows=6)
    rows, tokens = len(values["advantages"]), values["mask_BT"].sum()
    count = tokens if objective.aggregation == "token_mean" else rows
    parts = [{name: value[start : start + 2] for name, value in values.items()} for start in (0, 2, 4)]
    whole = loss_of(values, objective)
    assert sum(loss_of(part, objective, normalizer=count) for part in parts) == pytest.approx(whole, rel=1e-12)
    gradients = np.concatenate([gradient(part, objective, normalizer=count) for part in parts])
    np.testing.assert_allclose(gradients, gradient(values, objective), atol=1e-15)


def test_zeroing_is_not_masking():
    """A completion of zero advantage still counts in the normaliser; one left out does not."""
    values = batch()
    values["advantages"] = np.array([1.0, 0.0, 0.0, 0.0])
    first = {name: value[:1] for name, value in values.items()}
    assert loss_of(values, GRPO) == pytest.approx(loss_of(first, GRPO) / 4)


def test_advantages_may_differ_by_token():
    values = batch()
    spread = {**values, "advantages": np.repeat(values["advantages"][:, None], 5, axis=1)}
    for objective in (GRPO, GSPO, CISPO):
        assert loss_of(spread, objective) == pytest.approx(loss_of(values, objective), rel=1e-12)


def test_on_policy_sequence_and_token_ratio_give_one_update():
    """Identity: at ratio 1 GRPO-N and GSPO-N are the same update under sequence-mean aggregation; off-policy not."""
    on_policy = batch(spread=0.0)
    on_policy["advantages"] = np.minimum(on_policy["advantages"], 0.0)
    np.testing.assert_allclose(gradient(on_policy, GRPO), gradient(on_policy, GSPO), atol=1e-15)
    off_policy = batch(spread=0.3)
    assert np.abs(gradient(off_policy, GRPO) - gradient(off_policy, GSPO)).max() > 1e-3


def test_diagnostics_by_hand():
    # Ratios (1.5, 0.5, 1.0) with A > 0, (1.5, 0.5, 1.0) with A < 0, and one row of A = 0 that is not counted.
    ratios = np.log([[1.5, 0.5, 1.0], [1.5, 0.5, 1.0], [9.0, 9.0, 9.0]])
    got = policy_loss(
        ratios, np.zeros((3, 3)), np.array([1.0, -1.0, 0.0]), np.ones((3, 3)), GRPO, sampler_logp_BT=np.zeros((3, 3))
    ).diagnostics
    assert got["clip_high_fraction"] == pytest.approx(1 / 6)
    assert got["clip_low_fraction"] == pytest.approx(1 / 6)
    assert got["ratio_max"] == pytest.approx(9.0)
    assert got["sampler_kl"] == 0.0


anything = st.one_of(
    st.floats(-60, 0), st.sampled_from([-math.inf, math.inf, -1e38, 1e38, 0.0, -1e-30]), st.floats(-1e6, 1e6, width=32)
)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("objective", [*VARIANTS, GSPO.replace(name="gspo-kl", kl_coef=1.0)], ids=lambda o: o.name)
@given(data=st.data())
def test_nothing_is_ever_nan_or_infinite(objective: Objective, dtype: torch.dtype, data: st.DataObject):
    draw = data.draw
    logp, old, ref, sampler = (
        torch.tensor(draw(hnp.arrays(np.float64, (2, 3), elements=anything)), dtype=dtype) for _ in range(4)
    )
    advantage = torch.tensor(draw(hnp.arrays(np.float64, 2, elements=st.floats(-9e8, 9e8))), dtype=dtype)
    mask = torch.tensor(draw(hnp.arrays(np.bool_, (2, 3))))
    logp.requires_grad_()
    got = policy_loss(logp, old, advantage, mask, objective, ref_logp_BT=ref, sampler_logp_BT=sampler)
    got.loss.backward()
    assert logp.grad is not None
    assert torch.isfinite(got.loss)
    assert torch.isfinite(logp.grad).all()
    assert all(math.isfinite(float(value)) for value in got.diagnostics.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"old_logp_BT": np.zeros((4, 4))}, r"old_logp_BT must have the shape"),
        ({"advantages": np.zeros(3)}, r"advantages must have shape \(4,\) or \(4, 5\); got \(3,\)"),
        ({"advantages": np.full(4, np.nan)}, "advantages must be finite"),
        ({"advantages": np.full(4, np.inf)}, "advantages must be finite"),
        ({"advantages": np.full(4, np.inf, dtype=np.float16)}, "advantages must be finite"),
        ({"logp_BT": np.full((4, 5), np.nan)}, r"logp_BT must hold log-probabilities; \[0, 0\] is NaN"),
        ({"logp_BT": np.zeros((4, 5), dtype=int)}, "logp_BT must be floating point; got int64"),
        ({"advantages": np.ones(4, dtype=bool)}, "advantages must be floating point; got bool"),
        ({"max_length": math.nan}, "max_length must be at least 1"),
        ({"mask_BT": torch.ones(4, 5)}, "all NumPy or all torch; got numpy, torch"),
        ({"ref_logp_BT": None}, "give ref_logp_BT"),
        ({"normalizer": 0.0}, "normalizer must be a count above 0"),
    ],
)
def test_bad_input_is_refused(change: dict, message: str):
    with pytest.raises(InputError, match=message):
        policy_loss(**{**batch(), **change}, objective=GRPO.replace(kl_coef=0.1, aggregation="fixed_length"))


def torch_batch(dtype: torch.dtype) -> dict[str, torch.Tensor]:
    values = {name: torch.tensor(value) for name, value in batch().items()}
    values["sampler_logp_BT"] = values["old_logp_BT"] - 0.1
    return {name: value if name == "mask_BT" else value.to(dtype) for name, value in values.items()}


@pytest.mark.filterwarnings("ignore:Dynamo detected a call to a `functools.lru_cache`")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("objective", VARIANTS, ids=lambda o: o.name)
def test_the_unchecked_loss_compiles_to_one_graph_with_the_same_bits(objective: Objective, dtype: torch.dtype):
    """fullgraph=True refuses any graph break, and reading a value from the device would be one."""
    torch.compiler.reset()
    compiled = torch.compile(policy_loss_unchecked, fullgraph=True, backend="aot_eager")
    results = []
    for loss_function in (policy_loss, policy_loss_unchecked, compiled):
        values = torch_batch(dtype)
        logp_BT = values["logp_BT"].requires_grad_()
        result = loss_function(**values, objective=objective)
        result.loss.backward()
        results.append((result.loss.detach(), logp_BT.grad, *result.diagnostics.values()))
    for other in results[1:]:
        assert len(other) == len(results[0])
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))


@pytest.mark.parametrize("objective", VARIANTS, ids=lambda o: o.name)
def test_the_unchecked_loss_reads_no_value_from_the_device(objective: Objective):
    """Tensors of the meta device have no values: bool(), int() and item() fail on them."""
    values = {name: value.to("meta") for name, value in torch_batch(torch.float32).items()}
    values["logp_BT"].requires_grad_()
    policy_loss_unchecked(**values, objective=objective).loss.backward()
    with pytest.raises((RuntimeError, NotImplementedError)):
        policy_loss(**values, objective=objective)


def test_the_checks_read_one_value_from_the_device(monkeypatch: pytest.MonkeyPatch):
    reads, read = [], torch.Tensor.__bool__
    monkeypatch.setattr(torch.Tensor, "__bool__", lambda tensor: reads.append(tensor) or read(tensor))
    for name in ("__int__", "__float__", "item", "tolist", "nonzero"):
        monkeypatch.setattr(torch.Tensor, name, lambda tensor: pytest.fail("a value was read"))
    policy_loss(**torch_batch(torch.float32), objective=GRPO)
    assert len(reads) == 1
