"""A function of the user's own that a recipe names runs where the user asked for it, and never on reading."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomli_w
from typer.testing import CliRunner

from quick_run import quick_run
from rlvrscope.cli.main import app
from rlvrscope.cli.shared.recipes import load_to_run
from rlvrscope.errors import InputError
from rlvrscope.lab.recipe import Recipe

MARKED = """\
import pathlib
pathlib.Path(__file__ + ".ran").touch()
def f(rewards_PG, advantages_PG):
    return advantages_PG
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run whose recipe names code without a hash, as somebody may send it."""
    folder = quick_run(tmp_path / "run").path
    text = (folder / "recipe.toml").read_text()
    start, end = text.index("[train.objective]"), text.index("[evaluate]")
    (folder / "theirs.py").write_text(MARKED)
    objective = {"base": "grpo", "name": "theirs", "shape": f"{folder / 'theirs.py'}:f"}
    (folder / "recipe.toml").write_text(
        f"{text[:start]}{tomli_w.dumps({'train': {'objective': objective}})}\n{text[end:]}"
    )
    return folder


def ran(run: Path) -> bool:
    return (run / "theirs.py.ran").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["boundary", "{run}"],
        ["boundary", "{run}@0", "{run}"],
        ["plan", "{run}"],
        ["wise", "{run}/checkpoints/final.safetensors", "{run}"],
        ["sample", "{run}", "--samples", "2", "--out", "{run}/samples", "--dry-run"],
        ["sample", "{run}", "--samples", "2", "--out", "{run}/samples"],
        ["monitor", "{run}"],
        ["report", "{run}", "--html", "{run}/page.html"],
    ],
    ids=lambda words: words[0],
)
def test_reading_a_run_does_not_run_the_code_it_names(run: Path, words: list[str]):
    done = CliRunner().invoke(app, [word.format(run=run) for word in words])
    read = done.exit_code == 0 or "a pilot needs some right and some wrong samples" in done.output
    assert read, done.output
    assert not ran(run)


def test_a_runs_recipe_runs_its_code_only_where_the_command_line_names_it(run: Path):
    recipe, spec = run / "recipe.toml", f"{run / 'theirs.py'}:f"
    done = CliRunner().invoke(app, ["lab", "train", str(recipe), "--out", str(run / "again")])
    assert done.exit_code == 2
    assert f"add --set train.objective.shape={spec}" in done.output.replace("\n", "")
    assert not ran(run)
    load_to_run(recipe, Recipe, [f"train.objective.shape={spec}"])
    assert ran(run)


def test_a_recipe_of_ones_own_is_checked_before_any_work(tmp_path: Path):
    (tmp_path / "mine.py").write_text(MARKED)
    recipe = tmp_path / "mine.toml"
    for name, section in (("f", "train"), ("g", "train"), ("g", "compare.arms.other")):
        objective = {"base": "grpo", "name": "mine", "shape": f"{tmp_path / 'mine.py'}:{name}"}
        arms = "" if section == "train" else f"[compare]\nobjectives = ['grpo']\n[{section}]\n"
        where = "train." if section == "train" else f"{section}."
        text = tomli_w.dumps(objective)
        recipe.write_text(f"format_version = 2\n{arms}[{where}objective]\n{text}")
        if name == "f":
            load_to_run(recipe, Recipe, [])
            assert (tmp_path / "mine.py.ran").exists()
        else:
            with pytest.raises(InputError, match=r"mine\.py has no function 'g'"):
                load_to_run(recipe, Recipe, [])
