"""README, docs and the other texts: every link, module, path, command and option they name exists."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from rlvrscope.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "recipes").rglob("*.md")])
COMMANDS = get_command(app)
OPTIONS_OF_OTHERS = {"--generation-config"}
"""Options of vLLM's server."""
of_each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def code(text: str) -> Iterator[str]:
    """Lines of code blocks, and inline code."""
    blocks = re.compile(r"^```[a-z]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
    for block in blocks.findall(text):
        yield from block.replace("\\\n", " ").splitlines()
    for inline in re.findall(r"`([^`]+)`", blocks.sub("", text)):
        yield " ".join(inline.split())


@of_each_document
def test_links_lead_somewhere(path: Path):
    for target in re.findall(r"\]\((?!https?://|#|mailto:)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), f"{path.name} links to {target}, which does not exist"


@of_each_document
def test_paths_exist(path: Path):
    for name in re.findall(r"(?<![\w/.])((?:src|tests|benchmarks|recipes|docs)/[\w./-]*\w/?)", path.read_text()):
        assert (ROOT / name).exists(), f"{path.name} names {name}, which does not exist"


@of_each_document
def test_modules_and_names_exist(path: Path):
    text = path.read_text()
    names = re.findall(r"(?:`|::: )(rlvrscope(?:\.\w+)+)", text) + re.findall(r"(?<!\w)rs((?:\.\w+)+)", text)
    for name in names:
        resolve(name if name.startswith("rlvrscope") else f"rlvrscope{name}")


def resolve(name: str) -> None:
    """Import the module and read its attributes; a missing one raises."""
    parts = name.split(".")
    value = importlib.import_module(parts[0])
    for index, part in enumerate(parts[1:], start=2):
        if not hasattr(value, part):
            importlib.import_module(".".join(parts[:index]))
        value = getattr(value, part)


@of_each_document
def test_commands_and_options_exist(path: Path):
    every_option = OPTIONS_OF_OTHERS.union(*map(options, every_command(COMMANDS)))
    for line in code(path.read_text()):
        if line.startswith("rlvrscope "):
            check_command(line)
        elif option := re.match(r"--[a-z-]+", line):
            assert option[0] in every_option, f"no command has {option[0]}"


def check_command(line: str) -> None:
    command, words = COMMANDS, shlex.split(line, comments=True)[1:]
    while (below := subcommands(command)) and words and not words[0].startswith("-"):
        names = words.pop(0).split("|")
        assert set(names) <= set(below), f"no such command: {line}"
        command = below[names[0]]
    for word in words:
        if re.match(r"--?[a-z]", word):
            assert word in options(command), f"no such option: {word} in {line}"


def subcommands(command: Any) -> dict[str, Any]:
    return getattr(command, "commands", {})


def options(command: Any) -> set[str]:
    return {"--help"}.union(*((*parameter.opts, *parameter.secondary_opts) for parameter in command.params))


def every_command(command: Any) -> Iterator[Any]:
    yield command
    for below in subcommands(command).values():
        yield from every_command(below)


@of_each_document
def test_installation_is_from_a_clone(path: Path):
    assert not re.search(r"pip install '?rlvrscope", path.read_text()), (
        "the package is on no index: pip install '.[extra]'"
    )
