"""docs/objectives.md: the table is the catalogue's, and the example prints what it says."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from rlvrscope.objectives import OBJECTIVES, FunctionShape, objective_from
from rlvrscope.objectives.shape import SHAPES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "objectives.md").read_text()


def rows(head: str) -> dict[str, list[str]]:
    """The rows of the table whose head starts so, by their first cell."""
    _, _, after = PAGE.partition(f"| {head} ")
    table = after.partition("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]
    return {first.strip("` "): rest for first, *rest in cells}


def written(value: Any) -> str:
    return re.sub(r"(, )?kind='\w+'\)", ")", repr(value))


def test_the_table_has_every_objective_with_what_differs_from_grpo():
    table = rows("name")
    assert list(table) == list(OBJECTIVES)
    for name, objective in OBJECTIVES.items():
        fields = [field.name for field in dataclasses.fields(objective) if field.name not in ("name", "source")]
        changed = {
            f"{field}={written(getattr(objective, field))}"
            for field in fields
            if getattr(objective, field) != getattr(OBJECTIVES["grpo"], field)
        }
        _, _, setting, _ = table[name]
        assert set(re.findall(r"`([^`]+)`", setting)) == changed, name


def test_the_table_of_shapes_has_every_kind_and_parameter():
    table = rows("`kind`")
    assert list(table) == list(SHAPES)
    for kind, (parameters, _) in table.items():
        named = re.findall(r"`([a-z0-9]+)`", parameters)
        assert named == [field.name for field in dataclasses.fields(SHAPES[kind]) if field.init]


def test_the_objectives_of_recipes_can_be_read():
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    names = [objective_from(tomllib.loads(line)["objective"]).name for line in block.splitlines()]
    assert names == ["mine", "pass-at-6", "f-dapo"]


def test_the_examples_run_and_print_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ragged, function, code = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    _, ragged_output, output = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert len(function.splitlines()) <= 10
    (tmp_path / "my_objective.py").write_text(function)
    for script, expected in ((ragged, ragged_output), (code, output)):
        command = [sys.executable, "-W", "error", "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout == expected
    monkeypatch.chdir(tmp_path)
    (written_out,) = re.findall(r"--set 'train\.objective=(.*?)'$", PAGE, re.MULTILINE)
    chosen = objective_from(tomllib.loads(f"objective = {written_out}")["objective"])
    assert isinstance(chosen.shape, FunctionShape)
    assert f"`objective = {chosen_table(chosen.shape.function)}`" in PAGE


def chosen_table(function: str) -> str:
    return f'{{base = "grpo", name = "rare-first", shape = "{function}"}}'
