"""WiSE-FT: weights by hand, its ends, its slope; models that don't belong together."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from rlvrscope import InputError
from rlvrscope.lab import checkpoint
from rlvrscope.lab.model import Transformer, token_logp
from rlvrscope.lab.pretrain import base_path
from rlvrscope.lab.recipe import ModelConfig, Recipe
from rlvrscope.lab.wise import Source, check_pair, interpolate, read_source, save_mixture, score
from rlvrscope.runs import EvaluationRow, RunFolder, at_temperature
from rlvrscope.seeding import generator

CPU = torch.device("cpu")


@pytest.fixture
def trained(model: Transformer) -> Transformer:
    """`model`, every weight moved by a draw of its own."""
    made, rng = copy.deepcopy(model), generator(0, "trained")
    with torch.no_grad():
        for weights in made.parameters():
            weights.add_(torch.from_numpy(rng.normal(0.0, 0.05, tuple(weights.shape))))
    return made


def weights(model: Transformer) -> torch.Tensor:
    return torch.cat([part.detach().flatten() for part in model.parameters()])


def test_weights_by_hand(model: Transformer, trained: Transformer):
    # A quarter of the way from 2 to 6 is 3.
    with torch.no_grad():
        for part, value in ((model.head.weight, 2.0), (trained.head.weight, 6.0)):
            part.fill_(value)
    assert (interpolate(model, trained, 0.25).head.weight == 3.0).all()


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_every_weight_is_the_mean_and_neither_model_changes(model: Transformer, trained: Transformer, alpha: float):
    before = weights(model), weights(trained)
    between = weights(interpolate(model, trained, alpha))
    torch.testing.assert_close(between, (1 - alpha) * before[0] + alpha * before[1], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(between, weights(interpolate(trained, model, 1 - alpha)), rtol=1e-5, atol=1e-6)
    assert torch.equal(weights(model), before[0])
    assert torch.equal(weights(trained), before[1])


def test_the_ends_are_the_models_bit_for_bit(model: Transformer, trained: Transformer):
    assert torch.equal(weights(interpolate(model, trained, 0.0)), weights(model))
    assert torch.equal(weights(interpolate(model, trained, 1.0)), weights(trained))


def test_the_slope_at_the_base_is_the_gradient_along_the_difference(
    model: Transformer, trained: Transformer, recipe: Recipe
):
    """d/d alpha of a log-likelihood at alpha = 0 equals its gradient times (trained - base); float64."""
    model, trained = model.double(), trained.double()
    tokens = torch.from_numpy(recipe.token_task.demonstrations(8, generator(0, "slope")))

    def likelihood(at: Transformer) -> torch.Tensor:
        return token_logp(at(tokens[:, :-1]), tokens[:, 1:]).sum()

    likelihood(model).backward()
    slope = sum(
        (part.grad * (goal - part)).sum().item()
        for part, goal in zip(model.parameters(), trained.parameters(), strict=True)
        if part.grad is not None
    )
    h = 1e-6
    ahead = likelihood(interpolate(model, trained, h)) - likelihood(interpolate(model, trained, 0.0))
    assert ahead.item() / h == pytest.approx(slope, rel=1e-3)


def test_models_of_other_shapes_and_alphas_out_of_range_are_refused(model: Transformer, trained: Transformer):
    other = Transformer(ModelConfig(width=16, layers=1, heads=2), model.vocab_size, model.context)
    with pytest.raises(
        InputError, match=r"must have the same shape; got width 32, 1 layers, .* and width 16, 1 layers"
    ):
        interpolate(model, other, 0.5)
    for alpha in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match=r"alpha must be between 0 \(the base\) and 1"):
            interpolate(model, trained, alpha)


def test_scores_of_the_ends_are_those_of_the_run(experiment: Path, recipe: Recipe):
    run = RunFolder(experiment / "runs" / "grpo-base0-seed0")
    base, trained = read_source(base_path(recipe, CPU), CPU), read_source(run.path, CPU)
    check_pair(base, trained, recipe)
    asked = []
    models = {alpha: interpolate(base.model, trained.model, alpha) for alpha in (0.0, 0.5, 1.0)}
    scored = score(recipe, base.model, models, asked.append)
    assert asked == list(scored) == [0.0, 0.5, 1.0]
    rows = run.rows(EvaluationRow)
    for row, of_run in ((scored[0.0], rows[0]), (scored[1.0], rows[-1])):
        (mixture,), expected = row.held_out, at_temperature(of_run.held_out)
        np.testing.assert_allclose(mixture.success_P, expected.success_P, atol=1e-12)
        assert mixture.distinct_correct == pytest.approx(expected.distinct_correct, abs=1e-12)
        assert row.entropy == pytest.approx(of_run.entropy, abs=1e-12)
    assert len({row.held_out[0].pass_at_1 for row in scored.values()}) == 3


def test_sources_that_are_none(tmp_path: Path, recipe_file: Path, experiment: Path):
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "recipe.toml").write_text(recipe_file.read_text())
    for path, message in (
        (tmp_path / "none", "there is no such checkpoint or run folder"),
        (tmp_path, "a folder without a run"),
        (tmp_path / "begun", "holds no finished run: run its command again"),
        (experiment, "it holds several, name one in"),
        (recipe_file, "neither a checkpoint"),
    ):
        with pytest.raises(InputError, match=message):
            read_source(path, CPU)


def test_models_that_do_not_belong_together(model: Transformer, recipe: Recipe):
    mine, other = (Source(Path(name), model, None, name) for name in ("mine", "other"))
    with pytest.raises(InputError, match="other was not trained from the base of mine"):
        check_pair(mine, other, recipe)
    unknown = Source(Path("unknown"), model, None, None)
    check_pair(mine, unknown, recipe)
    longer = recipe.model_copy(update={"task": recipe.task.model_copy(update={"steps": 3})})
    with pytest.raises(
        InputError, match="the line task of the recipe has 59 tokens and 13 positions; mine has 59 and 11"
    ):
        check_pair(mine, unknown, longer)


def test_a_mixture_is_a_checkpoint_and_never_replaces_its_parts(
    model: Transformer, trained: Transformer, tmp_path: Path
):
    paths = tmp_path / "base.safetensors", tmp_path / "trained.safetensors"
    for path, part in zip(paths, (model, trained), strict=True):
        checkpoint.save(path, part, kind="base")
    parts = [read_source(path, CPU) for path in paths]
    mixture = interpolate(model, trained, 0.5)
    save_mixture(tmp_path / "half.safetensors", mixture, 0.5, parts)
    read, _, header = checkpoint.load(tmp_path / "half.safetensors", CPU)
    assert torch.equal(weights(read), weights(mixture))
    assert header["alpha"] == 0.5
    before = paths[1].read_bytes()
    with pytest.raises(InputError, match="is one of the two models"):
        save_mixture(paths[1], mixture, 0.5, parts)
    assert paths[1].read_bytes() == before
