"""A user's own shape: loaded by path, pinned by its hash, run on both array libraries, refused in one line."""

from __future__ import annotations

import dataclasses
import hashlib
import multiprocessing
import os
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w
import torch

from rlvrscope import InputError
from rlvrscope.objectives import OBJECTIVES, FunctionShape, Objective, advantages, objective_from

RARE_FIRST = """\
def rare_first(rewards_PG, advantages_PG):
    right_PG = (rewards_PG > 0.5) * 1.0
    rate_P1 = right_PG.sum(axis=1, keepdims=True) / right_PG.shape[1]
    return advantages_PG * (1.0 - rate_P1) ** 2
"""
REWARDS = np.array([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(RARE_FIRST)
    return tmp_path


def own(body: str, name: str = "f", base: str = "grpo") -> Objective:
    Path("own.py").write_text(body)
    return OBJECTIVES[base].replace(name="own", shape=f"own.py:{name}")


def returning(expression: str) -> Objective:
    return own(f"import numpy as np\ndef f(rewards_PG, advantages_PG):\n    return {expression}\n")


def test_it_is_what_is_applied_on_numpy_and_torch():
    objective = OBJECTIVES["grpo"].replace(name="rare", shape="mine.py:rare_first")
    expected = advantages(REWARDS, OBJECTIVES["grpo"]) * np.array([[0.75**2], [0.25**2], [0.0]])
    np.testing.assert_allclose(advantages(REWARDS, objective), expected, rtol=1e-14)
    for dtype, rtol in ((torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 1e-2)):
        got = advantages(torch.tensor(REWARDS, dtype=dtype), objective)
        assert got.dtype == dtype
        np.testing.assert_allclose(got.double().numpy(), expected, rtol=rtol)


def test_sign_weights_have_the_last_word_and_equal_groups_may_be_filled():
    objective = own("def f(rewards_PG, advantages_PG):\n    return rewards_PG * 0 - 1.0\n")
    assert (advantages(REWARDS, objective) == -1.0).all()
    assert (advantages(REWARDS, objective.replace(negative_weight=0.0)) == 0.0).all()


def test_it_may_write_into_what_it_is_given():
    objective = own("def f(r, a):\n    r *= 0\n    a *= 0\n    a += 1\n    return a\n")
    for rewards in (REWARDS.copy(), torch.tensor(REWARDS)):
        assert (advantages(rewards, objective) == 1.0).all()
        assert (np.asarray(rewards) == REWARDS).all()


def test_a_recipe_holds_the_hash_and_the_path_as_written(folder: Path):
    objective = objective_from({"base": "grpo", "name": "rare", "shape": "mine.py:rare_first"})
    digest = hashlib.sha256((folder / "mine.py").read_bytes()).hexdigest()
    assert objective.shape == FunctionShape("mine.py:rare_first", digest)
    table = {field: value for field, value in dataclasses.asdict(objective).items() if value is not None}
    assert table["shape"] == {"function": "mine.py:rare_first", "sha256": digest, "kind": "function"}
    again = objective_from(tomllib.loads(tomli_w.dumps(table)))
    assert again == objective
    np.testing.assert_array_equal(advantages(REWARDS, again), advantages(REWARDS, objective))


def test_a_changed_file_is_refused_where_a_recipe_says_what_ran(folder: Path):
    (folder / "other.py").write_text(RARE_FIRST)
    held = FunctionShape("other.py:rare_first", hashlib.sha256(RARE_FIRST.encode()).hexdigest())
    # As many bytes, within one second: a cache by time and size would not see it.
    (folder / "other.py").write_text(RARE_FIRST.replace("** 2", "** 3"))
    with pytest.raises(InputError, match=r"other\.py has changed: its SHA-256 is \w{12}"):
        advantages(REWARDS, OBJECTIVES["grpo"].replace(shape=held))
    fresh = OBJECTIVES["grpo"].replace(shape="other.py:rare_first")
    assert fresh.shape != held
    whole = advantages(REWARDS, OBJECTIVES["grpo"])
    np.testing.assert_allclose(advantages(REWARDS, fresh)[0], 0.75**3 * whole[0])


def test_what_a_recipe_says_can_be_read_without_the_file():
    gone = FunctionShape("gone.py:f", "0" * 64)
    assert OBJECTIVES["grpo"].replace(shape=gone).shape == gone
    with pytest.raises(InputError, match=r"cannot read .*gone\.py: No such file"):
        advantages(REWARDS, OBJECTIVES["grpo"].replace(shape=gone))


def test_a_worker_loads_it_wherever_it_runs():
    """The objective travels as any value does; the function is loaded there, though the directory is another one."""
    objective = OBJECTIVES["grpo"].replace(name="rare", shape="mine.py:rare_first")
    context = multiprocessing.get_context("spawn")
    with context.Pool(1, initializer=os.chdir, initargs=("/",)) as pool:
        found = pool.apply_async(advantages, (REWARDS, objective)).get(timeout=60)
    np.testing.assert_array_equal(found, advantages(REWARDS, objective))


def test_a_file_may_hold_dataclasses_and_future_annotations():
    objective = own(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass C:\n"
        "    gain: float = 2.0\n    def __call__(self, r, a):\n        return self.gain * a\nf = C()\n"
    )
    np.testing.assert_allclose(advantages(REWARDS, objective), 2 * advantages(REWARDS, OBJECTIVES["grpo"]))


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("advantages_PG[:, :2]", r"own\.py:f must return ndarray of shape \(3, 4\); got ndarray \(3, 2\)"),
        ("advantages_PG.tolist()", r"must return ndarray of shape \(3, 4\); got list"),
        ("None", "got NoneType"),
        ("1.0", "got float"),
        ("np.ma.masked_array(advantages_PG)", "got MaskedArray"),
        ("advantages_PG > 0", "must return floating point; got bool"),
        ("advantages_PG.astype(int)", "must return floating point; got int64"),
        ("advantages_PG * 1j", "must return floating point; got complex128"),
        ("advantages_PG.astype(object)", "must return floating point; got object"),
        (
            "np.where(rewards_PG.mean(1, keepdims=True) == 0.75, np.nan, advantages_PG)",
            r"of group 1 \(rewards 1, 1, 1, 0\) has nan",
        ),
        ("advantages_PG + np.inf", r"rollout 0 of group 0 \(rewards 1, 0, 0, 0\) has inf"),
        ("advantages_PG * 1e10", "at most 1e[+]09 in size; rollout 0 of group 0"),
        ("advantages_PG / nothing", r"raised NameError: .*nothing.* \(own\.py, line 3\)"),
        ("1 // 0", r"own\.py:f raised ZeroDivisionError: .*\(own\.py, line 3\)$"),
        ("exit(3)", "raised SystemExit: 3"),
        ("rewards_PG.no_such", "raised AttributeError"),
    ],
)
def test_a_bad_result_is_one_line(expression: str, message: str):
    with pytest.raises(InputError, match=message) as refused:
        advantages(REWARDS, returning(expression))
    assert "\n" not in str(refused.value)


def test_what_it_raised_is_kept_as_the_cause():
    with pytest.raises(InputError) as refused:
        advantages(REWARDS, returning("{}['key\\nof two lines']"))
    assert isinstance(refused.value.__cause__, KeyError)
    assert refused.value.__cause__.__traceback__ is not None


def test_torch_must_come_back_as_torch():
    with pytest.raises(InputError, match=r"must return Tensor of shape \(3, 4\); got ndarray"):
        advantages(torch.tensor(REWARDS), returning("np.asarray(advantages_PG)"))


@pytest.mark.parametrize(
    ("body", "name", "message"),
    [
        ("def g(r, a): return a\n", "f", r"own\.py has no function 'f'"),
        ("f = 3\n", "f", "f must be a function; it is of type int"),
        ("def f(r, a):\n  return a +\n", "f", r"can't be loaded: SyntaxError: invalid syntax"),
        ("import no_such_module_at_all\n", "f", r"can't be loaded: ModuleNotFoundError: .*\(own\.py, line 1\)"),
        ("raise SystemExit(0)\n", "f", "can't be loaded: SystemExit: 0"),
        ("\0", "f", "can't be loaded: "),
        ("# coding: no-such\n", "f", "can't be loaded: SyntaxError: unknown encoding"),
    ],
)
def test_a_bad_file_is_one_line(body: str, name: str, message: str):
    objective = own(body, name)
    with pytest.raises(InputError, match=message) as refused:
        objective.load()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("gone.py:f", r"cannot read .*gone\.py: No such file or directory"),
        ("folder.py:f", "it is not an ordinary file"),
        ("mine.py", "shape must be 'file.py:NAME'"),
        ("mine.txt:f", "shape must be 'file.py:NAME'"),
        ("mine.py:", "shape must be 'file.py:NAME'"),
        ("mine.py:rare_first()", "shape must be 'file.py:NAME'"),
        ("mine.py:__import__('os').system", "shape must be 'file.py:NAME'"),
        ("\0.py:f", "shape must be 'file.py:NAME'"),
        ({"kind": "function", "function": 5}, "function must be a string; got 5"),
        ({"kind": "function", "function": "mine.py:f", "sha256": 1}, "sha256 must be a string; got 1"),
    ],
)
def test_a_bad_name_is_one_line(value: object, message: str):
    Path("folder.py").mkdir()
    with pytest.raises(InputError, match=message):
        objective_from({"base": "grpo", "name": "x", "shape": value})


def test_bytes_that_are_no_text_are_one_line():
    Path("own.py").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="can't be loaded: SyntaxError"):
        FunctionShape("own.py:f").load()
