"""The simulator: both backends agree, seeds keep their paths, Ctrl-C keeps finished seeds."""

from __future__ import annotations

import math
import signal
import threading
import time

import numpy as np
import pytest
import torch

from rlvrscope import InputError
from rlvrscope.dynamics import Interrupted, Trajectory, simulate
from rlvrscope.dynamics.groups import count_vectors, group_weights
from rlvrscope.dynamics.inputs import make_bandit
from rlvrscope.dynamics.inputs import signal as signal_of
from rlvrscope.dynamics.simulator.kernel.operations import group_weights as kernel_weights
from rlvrscope.dynamics.simulator.numpy_backend import BanditLearner, sample
from rlvrscope.dynamics.simulator.streams import seed_keys, uniforms
from rlvrscope.dynamics.simulator.update_rule import update_rule
from rlvrscope.dynamics.softmax import log_softmax
from rlvrscope.objectives import OBJECTIVES, Objective, advantages, policy_loss
from rlvrscope.seeding import generator

BASE = {"rewards_V": [0.8, 1.0, 0.0], "probs_V": [0.49, 0.02, 0.49], "group_size": 8, "learning_rate": 0.1}
GRPO = OBJECTIVES["grpo"].replace(std_ddof=0)
UNSHAPED = [objective for objective in OBJECTIVES.values() if objective.shape is None]  # the kernel has no shapes
VARIANTS = [
    *UNSHAPED,
    *(objective.replace(std_ddof=0, std_eps=0.1) for objective in UNSHAPED),
    GRPO.replace(name="no-baseline", baseline="none"),
    GRPO.replace(name="signed", signal="signed", threshold=0.7, baseline="leave_one_out"),
]


def run(objective: Objective | str = GRPO, **changes) -> Trajectory:
    settings = {**BASE, "steps": 300, "seeds": 6, "rng": generator(0, "test"), **changes}
    return simulate(objective=objective, **settings)


def probs(path: Trajectory) -> np.ndarray:
    assert path.probs_STV is not None
    return path.probs_STV


@pytest.mark.parametrize("objective", VARIANTS, ids=lambda o: f"{o.name}-{o.std_ddof}")
@pytest.mark.parametrize(("size", "rewards"), [(2, [0.8, 1.0, 0.0]), (5, [-0.3, 0.7, 0.5, 2.0]), (8, [0.1, 0.3, 0.2])])
def test_the_kernel_weighs_groups_as_objectives_do(objective: Objective, size: int, rewards: list[float]):
    """On every count vector: equal to 1e-12, and exactly 0 in the same places."""
    rewards_V = np.array(rewards)
    counts_NR = count_vectors(size, len(rewards))
    expected_NR = group_weights(rewards_V, counts_NR, objective)
    rule, weight = update_rule(objective, size, 0.1), np.empty(size)
    for count_V, expected_R in zip(counts_NR.astype(np.int64), expected_NR, strict=True):
        drawn = np.flatnonzero(count_V)
        nonzero = kernel_weights(signal_of(rewards_V, objective), rule, drawn, count_V, len(drawn), weight)
        np.testing.assert_allclose(weight[: len(drawn)], expected_R[drawn], rtol=1e-12, atol=1e-14)
        assert nonzero == (weight[: len(drawn)] != 0).any()
        if count_V.max() == size and rule.relative:
            assert (weight[: len(drawn)] == 0.0).all()


@pytest.mark.parametrize("objective", VARIANTS, ids=lambda o: f"{o.name}-{o.std_ddof}")
@pytest.mark.parametrize(
    "knobs",
    [
        {},
        {"kl_coef": 0.05},
        {"inner_epochs": 3, "learning_rate": 0.3},
        {"inner_epochs": 3, "kl_coef": 0.1, "clip": (0.05, 0.1), "learning_rate": 0.3},
    ],
    ids=["plain", "kl", "epochs", "both"],
)
def test_the_kernel_equals_the_numpy_backend(objective: Objective, knobs: dict):
    fast, clear = (
        run(objective, backend=backend, steps=120, watch={"rare": [1]}, **knobs) for backend in ("kernel", "numpy")
    )
    np.testing.assert_allclose(probs(fast), probs(clear), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fast.entropy_ST, clear.entropy_ST, atol=1e-10)
    np.testing.assert_allclose(fast.masses["rare"], clear.masses["rare"], atol=1e-12)
    np.testing.assert_array_equal(fast.first_passage["rare"], clear.first_passage["rare"])
    np.testing.assert_allclose(fast.lowest["rare"], clear.lowest["rare"], atol=1e-12)


@pytest.mark.parametrize("name", ["grpo", "rloo", "grpo-n"])
@pytest.mark.parametrize("size", [60, 1000])
def test_many_actions_equal_the_numpy_backend(name: str, size: int):
    """Full objectives run on the tree of sums, -N on the dense path."""
    rng = generator(0, "many", size)
    problem = {"rewards_V": rng.random(size), "probs_V": rng.dirichlet(np.ones(size)), "group_size": 16}
    fast, clear = (
        run(name, backend=backend, steps=100, watch={"a": [3, 5]}, learning_rate=2.0, **problem)
        for backend in ("kernel", "numpy")
    )
    np.testing.assert_allclose(probs(fast), probs(clear), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(fast.masses["a"], clear.masses["a"], rtol=1e-9)


@pytest.mark.parametrize("size", [3, 100])
def test_a_logit_that_was_not_drawn_does_not_move(size: int):
    rng = generator(0, "unmoved", size)
    start = rng.dirichlet(np.ones(size))
    path = run("rloo", rewards_V=rng.random(size), probs_V=start, group_size=2, steps=1, seeds=20)
    moved_SV = np.log(probs(path)[:, 1] / start)
    # All that were not drawn move by one amount, the change of the normaliser: at least V - 2 of them.
    for moved_V in moved_SV:
        same = np.abs(moved_V - np.median(moved_V)) < 1e-13
        assert same.sum() >= size - 2


def test_negative_only_lifts_what_was_not_drawn_in_proportion_to_its_mass():
    """dz_u = eta pi_u mean |A^-|: for two actions not drawn, dz_u / dz_w = pi_u / pi_w."""
    start = np.array([0.45, 0.45, 0.06, 0.04])
    path = run("grpo-n", rewards_V=[1.0, 0.0, 0.5, 0.5], probs_V=start, group_size=2, steps=1, seeds=200)
    moved_SV = np.log(probs(path)[:, 1] / start)
    moved_SV -= moved_SV.mean(axis=1, keepdims=True)
    pushed = [row for row in moved_SV if row[1] < -1e-6 and row[2] > 0 and row[3] > 0 and row[0] > 0]
    assert len(pushed) > 20
    for row in pushed:
        np.testing.assert_allclose(row[[0, 2, 3]] / start[[0, 2, 3]], row[0] / start[0], rtol=1e-9)


@pytest.mark.parametrize("estimator", ["k3", "k2"])
def test_a_step_with_a_kl_term_is_that_of_the_loss(estimator: str):
    """From logits away from the start, the reference: dz = -eta grad of `policy_loss` on the same draws."""
    objective = GRPO.replace(name="kl", kl_coef=0.5, kl_estimator=estimator)
    bandit = make_bandit([0.8, 1.0, 0.0], [0.5, 0.2, 0.3], None)
    learner = BanditLearner(bandit, objective, update_rule(objective, 8, 0.3, objective.kl_coef))
    logits_SV, keys_S = np.log([[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]]), seed_keys(generator(0, "kl"), np.arange(2))
    moved_SV = learner.step(logits_SV, keys_S, 0) - logits_SV
    action_SG = sample(log_softmax(logits_SV), uniforms(keys_S, 0, 8))
    for row, action_G in enumerate(action_SG):
        logits = torch.tensor(logits_SV[row], requires_grad=True)
        logp_G1 = logits.log_softmax(0)[action_G][:, None]
        advantage_G = torch.from_numpy(advantages(bandit.rewards_V[action_G][None], objective)[0])
        ref_G1 = torch.from_numpy(bandit.log_probs_V[action_G])[:, None]
        loss = policy_loss(logp_G1, logp_G1.detach(), advantage_G, logp_G1 < 0, objective, ref_logp_BT=ref_G1).loss
        (gradient,) = torch.autograd.grad(loss, logits)
        np.testing.assert_allclose(moved_SV[row], -0.3 * gradient.numpy(), rtol=1e-12, atol=1e-15)


def test_on_policy_the_sequence_ratio_changes_nothing_and_off_policy_it_does():
    same = [probs(run(name)) for name in ("grpo", "gspo")]
    np.testing.assert_array_equal(*same)
    other = [probs(run(name, inner_epochs=4)) for name in ("grpo", "gspo")]  # gspo's clip is 1,000 times narrower
    assert np.abs(other[0] - other[1]).max() > 1e-3


def test_a_seed_has_one_path_alone_among_others_and_on_any_number_of_threads():
    every = run(seeds=1000, steps=50, threads=8)
    for threads in (1, 2):
        np.testing.assert_array_equal(probs(run(seeds=1000, steps=50, threads=threads)), probs(every))
    for seed in (0, 7, 999):
        np.testing.assert_array_equal(probs(run(seeds=[seed], steps=50))[0], probs(every)[seed])
    mixed = run(seeds=[999, 3], steps=50)
    np.testing.assert_array_equal(probs(mixed), probs(every)[[999, 3]])
    assert mixed.seeds.tolist() == [999, 3]
    assert np.abs(probs(run(seeds=1000, steps=50, rng=generator(1, "test"))) - probs(every)).max() > 0.01


def test_what_is_recorded_does_not_change_the_path():
    every = run()
    np.testing.assert_array_equal(probs(run(record_every=100)), probs(every)[:, [0, 100, 200, 300]])
    listed = run(record_every=[7, 250])
    assert listed.steps_T.tolist() == [0, 7, 250, 300]
    np.testing.assert_array_equal(probs(listed), probs(every)[:, [0, 7, 250, 300]])
    assert run(record_every=1000).steps_T.tolist() == [0, 300]
    watched = run(keep_probs=False, watch={"rare": [1], "right": [1, 0]})
    assert watched.probs_STV is None
    np.testing.assert_allclose(watched.masses["right"], every.mass([0, 1]), rtol=1e-14)
    with pytest.raises(InputError, match="kept no probabilities"):
        watched.mass([1])


def test_the_first_passage_is_the_first_step_above_the_threshold():
    path = run(steps=900, watch={"rare": [1]}, threshold=0.4)
    above_ST = path.mass([1]) > 0.4
    expected = np.where(above_ST.any(axis=1), above_ST.argmax(axis=1), np.nan)
    np.testing.assert_array_equal(path.first_passage["rare"], expected)
    np.testing.assert_allclose(path.lowest["rare"], path.mass([1]).min(axis=1), rtol=1e-14)


def test_a_vocabulary_of_50_000():
    rewards = (np.arange(50_000) % 7 == 0).astype(float)
    problem = {"rewards_V": rewards, "probs_V": np.full(50_000, 2e-5), "group_size": 16, "learning_rate": 10.0}
    path = run("grpo", steps=4000, record_every=4000, **problem)
    assert probs(path).shape == (6, 2, 50_000)
    np.testing.assert_allclose(probs(path).sum(axis=2), 1.0, rtol=1e-9)
    assert (probs(path)[:, 1, rewards == 1].sum(axis=1) > 0.2).all()


def test_the_starts_mass_zero_stays_zero_and_huge_rates_stay_finite():
    path = run(probs_V=[0.5, 0.0, 0.5], kl_coef=0.1)
    assert (path.mass([1]) == 0.0).all()
    for size in (3, 64):
        rewards, start = generator(0, "huge", size).random(size), np.full(size, 1 / size)
        wild = run(rewards_V=rewards, probs_V=start, learning_rate=1e4, steps=200)
        assert np.isfinite(probs(wild)).all()
        np.testing.assert_allclose(probs(wild).sum(axis=2), 1.0, rtol=1e-12)


@pytest.mark.parametrize(
    ("backend", "seeds", "steps", "after"), [("kernel", 4000, 20_000, 500_000), ("numpy", 300, 100, 15_000)]
)
def test_ctrl_c_leaves_the_finished_seeds(backend: str, seeds: int, steps: int, after: int):
    raised = threading.Event()

    def interrupt(done: int) -> None:
        if done > after and not raised.is_set():
            raised.set()
            signal.raise_signal(signal.SIGINT)

    knobs = {"steps": steps, "record_every": steps, "backend": backend, "watch": {"rare": [1]}}
    with pytest.raises(Interrupted) as caught:
        run(seeds=seeds, on_progress=interrupt, threads=1, **knobs)
    finished = caught.value.finished
    assert isinstance(caught.value, KeyboardInterrupt)
    assert finished is not None
    assert 0 < len(finished.seeds) < seeds
    again = run(seeds=finished.seeds[:3].tolist(), **knobs)
    np.testing.assert_array_equal(probs(finished)[:3], probs(again))
    np.testing.assert_array_equal(finished.lowest["rare"][:3], again.lowest["rare"])


def test_an_error_of_on_progress_stops_the_threads():
    """The paths would take minutes."""

    def fail(done: int) -> None:  # noqa: ARG001
        raise ZeroDivisionError

    started = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        run(seeds=4, steps=10**9, record_every=10**9, on_progress=fail, threads=2)
    assert time.monotonic() - started < 30.0


@pytest.mark.parametrize("backend", ["kernel", "numpy"])
def test_progress_counts_seed_steps(backend: str):
    seen: list[int] = []
    run(seeds=200, steps=100, backend=backend, on_progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 20_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1"),
        ({"steps": True}, "steps"),
        ({"seeds": 0}, "seeds must be"),
        ({"seeds": []}, "seeds must be a count, or a list of ids"),
        ({"seeds": [1, 1]}, "different ids"),
        ({"seeds": [-1]}, "ids from 0 on"),
        ({"learning_rate": -0.1}, "learning_rate"),
        ({"learning_rate": math.inf}, "learning_rate"),
        ({"kl_coef": -1.0}, "kl_coef"),
        ({"inner_epochs": 0}, "inner_epochs"),
        ({"clip": (0.2, -1.0)}, "clip's high must be"),
        ({"clip": 0.2}, r"clip must be \(low, high\)"),
        ({"clip": ("a", "b")}, "clip's low"),
        ({"kl_coef": "a"}, "kl_coef must be a number between 0 and 1e\\+06; got 'a'"),
        ({"seeds": [[1, 2], [3]]}, "list of ids"),
        ({"seeds": 10**12}, "seeds must be at most 10,000,000"),
        ({"steps": 10**30}, "steps must be at most"),
        ({"steps": 10**9, "record_every": 1}, "keeps more than 10,000,000"),
        ({"record_every": [[1], [2, 3]]}, "record_every must be a number, or steps"),
        ({"group_size": 10**9}, "group_size must be at most 1,000,000"),
        ({"watch": [1]}, "watch must map names to sets"),
        ({"watch": {"a": "b"}}, "list of actions"),
        ({"keep_probs": 2}, "keep_probs must be True or False"),
        ({"on_progress": 3}, "on_progress must be a function"),
        ({"learning_rate": 10**400}, "learning_rate"),
        ({"threads": 10**9}, "threads must be at most"),
        ({"group_size": math.inf}, "finite size"),
        ({"group_size": 1}, "at least 2"),
        ({"record_every": 0}, "record_every"),
        ({"record_every": [301]}, "steps between 0 and 300"),
        ({"watch": {"rare": [3]}}, "between 0 and 2"),
        ({"watch": {"rare": [1, 1]}}, "different actions"),
        ({"threshold": 1.5}, "threshold"),
        ({"rng": 0}, "rng must be a generator"),
        ({"backend": "gpu"}, "backend"),
        ({"threads": 0}, "threads"),
        ({"threads": 0, "backend": "numpy"}, "threads"),
        ({"seeds": 10**7}, "would take .* GiB"),
        ({"objective": "gropo"}, "Did you mean"),
        ({"probs_V": [0.5, 0.5, 0.1]}, "sum to 1"),
    ],
)
def test_bad_input_is_one_clear_line(changes: dict, message: str):
    with pytest.raises(InputError, match=message) as caught:
        run(**changes)
    assert "\n" not in str(caught.value)
