"""Checkpoints: the same bytes each time, and one clear line for a damaged or foreign file."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch

from rlvrscope import InputError, WorkError
from rlvrscope.lab import checkpoint
from rlvrscope.lab.model import Transformer
from rlvrscope.lab.pretrain import ensure_base, load_base
from rlvrscope.lab.recipe import Recipe

CPU = torch.device("cpu")


def test_round_trip(model: Transformer, tmp_path: Path):
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, model, {"moment": torch.ones(3)}, kind="test", step=7)
    found, extra, header = checkpoint.load(path, CPU)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), found.module.parameters(), strict=True))
    assert torch.equal(extra["moment"], torch.ones(3))
    assert (header["step"], header["kind"], header["format_version"]) == (7, "test", 1)


def test_the_same_model_gives_the_same_bytes(model: Transformer, tmp_path: Path):
    written = set()
    for name in "abc":
        checkpoint.save(tmp_path / name, model, kind="test", step=1, more="facts", still="more")
        written.add((tmp_path / name).read_bytes())
    assert len(written) == 1


def test_damaged_and_foreign_files_are_one_clear_line(model: Transformer, tmp_path: Path):
    path = tmp_path / "model.safetensors"
    checkpoint.save(path, model, kind="test")
    whole = path.read_bytes()

    def refusal() -> str:
        with pytest.raises(InputError) as caught:
            checkpoint.load(path, CPU)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
        return str(caught.value)

    path.write_bytes(whole[: len(whole) // 2])
    assert "not a whole safetensors file" in refusal()
    path.write_bytes(b"")
    assert "not a whole safetensors file" in refusal()
    path.write_bytes(b"\x80\x04pickle")
    assert "not a whole safetensors file" in refusal()
    path.write_bytes(safetensors.torch.save({"weight": torch.ones(2)}))
    assert "not written by rlvrscope" in refusal()
    path.write_bytes(safetensors.torch.save({"weight": torch.ones(2)}, {"rlvrscope": '{"format_version": 99}'}))
    assert "format 99; this version reads up to 1" in refusal()
    path.write_bytes(whole.replace(b'\\"width\\": 32', b'\\"width\\": 64'))
    assert "do not fit the model in its header" in refusal()


def test_a_missing_file_is_one_clear_line(tmp_path: Path):
    with pytest.raises(WorkError, match=r"cannot read .*none.safetensors: No such file"):
        checkpoint.load(tmp_path / "none.safetensors", CPU)


def test_a_base_is_made_once_and_belongs_to_its_recipe(recipe: Recipe, tmp_path: Path):
    assert recipe.pretrain is not None
    small = recipe.pretrain.model_copy(update={"batch_size": 8})
    recipe = recipe.model_copy(update={"pretrain": small})
    path = ensure_base(recipe, tmp_path / "base.safetensors", CPU)
    first = path.read_bytes()
    again = ensure_base(recipe, tmp_path / "again.safetensors", CPU).read_bytes()
    assert again == first, "the same recipe gives the same bytes"

    def stop(step: int, loss: float) -> None:  # noqa: ARG001
        if step == 600:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_base(recipe, tmp_path / "cut.safetensors", CPU, stop)
    seen: list[int] = []
    cut = ensure_base(recipe, tmp_path / "cut.safetensors", CPU, lambda step, loss: seen.append(step))
    assert (seen[0], cut.read_bytes()) == (501, first), "it did not go on from step 500 to the same bytes"
    assert not list(tmp_path.glob("*.resume*"))
    path.touch()
    steps: list[int] = []
    ensure_base(recipe, path, CPU, lambda step, loss: steps.append(step))
    assert not steps, "a base that is there is not trained again"
    other = recipe.model_copy(update={"pretrain": small.model_copy(update={"seed": 1, "steps": 20})})
    with pytest.raises(InputError, match="base of another recipe"):
        load_base(other, path, CPU)
    assert ensure_base(other, tmp_path / "other.safetensors", CPU).read_bytes() != first
