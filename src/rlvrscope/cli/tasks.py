"""`rlvrscope tasks`: list and show tasks, and export their problems to a file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlvrscope.cli.shared.console import MESSAGES, OUTPUT, print_json, say
from rlvrscope.cli.shared.guard import guarded
from rlvrscope.cli.shared.options import FieldOption, JsonOption, SourceOption, SplitOption
from rlvrscope.errors import InputError
from rlvrscope.report.table import Cell, Column, Table, to_rich

if TYPE_CHECKING:
    from rlvrscope.problem import Problem

app = typer.Typer(
    help="Problems: data sets, generated problems, your own files.", no_args_is_help=True, rich_markup_mode=None
)

TASK = "A name from `rlvrscope tasks list`, or a file of your own (CSV, JSON, JSONL, Parquet)."
CountOption = Annotated[
    int | None, typer.Option("--count", min=1, help="Number of problems; by default all, or 100 generated ones.")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of generated problems.")]
TemplateOption = Annotated[str | None, typer.Option("--template", help="Apply this template to every prompt.")]


@app.command("list")
@guarded
def list_tasks(as_json: JsonOption = False) -> None:
    """List the tasks and the prompt templates."""
    from rlvrscope.problems.generated import GENERATED, GYM_NUMBERS, GYM_TEXTS
    from rlvrscope.problems.hub import DATA_SETS
    from rlvrscope.problems.templates import TEMPLATES

    gym = sorted((*GYM_NUMBERS, *GYM_TEXTS))
    if as_json:
        print_json(
            {
                "format_version": 1,
                "data_sets": {name: _data_set(name) for name in DATA_SETS},
                "generated": {name: family.about for name, family in GENERATED.items()},
                "gym": gym,
                "templates": {name: template.about for name, template in TEMPLATES.items()},
            }
        )
        return
    rows: list[tuple[str, Cell, str]]
    rows = [(name, next(iter(data.splits.values())), data.about) for name, data in DATA_SETS.items()]
    rows += [(name, "any", family.about) for name, family in GENERATED.items()]
    rows += [("gym:NAME", "any", f"reasoning-gym: {', '.join(gym)}")]
    name, about = Column("task", align="left"), Column("about", align="left", wrap=True)
    OUTPUT.print(to_rich(Table((name, Column("problems"), about), rows)))
    OUTPUT.print()
    templates = [(name, template.about) for name, template in TEMPLATES.items()]
    OUTPUT.print(to_rich(Table((Column("template", align="left"), about), templates)))


@app.command("show")
@guarded
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A task, a template, or a file of your own.")],
    template: TemplateOption = None,
    field: FieldOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a task's source, verifier and prompt; a template; or a file with its first problem."""
    from rlvrscope.report.text import clipped, one_line

    facts, prompt = _facts_and_prompt(name, template, field or ())
    if as_json:
        print_json({"format_version": 1, **facts, "prompt": prompt})
        return
    for key, value in facts.items():
        for text in value if key == "notes" else [value]:
            text = ", ".join(f"{k} {v:,}" for k, v in text.items()) if isinstance(text, dict) else str(text)
            say(f"{key.removesuffix('s') if key == 'notes' else key:<12} {one_line(text, 500)}")
    say(f"\n{clipped(prompt, 10_000)}")


def _facts_and_prompt(name: str, template: str | None, fields: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Return the facts of a task, file or template, with the template's text or the first problem's prompt."""
    from rlvrscope.problems.hub import DATA_SETS
    from rlvrscope.problems.task_catalogue import is_task_file, load, names, unknown_task
    from rlvrscope.problems.templates import TEMPLATES, template_of

    if is_task_file(name):
        return _file_facts_and_prompt(name, fields, template)
    if fields:
        raise InputError(f"--field is for files of your own; {name!r} is a task name: leave it out")
    if name in TEMPLATES:
        return {"template": name, "about": TEMPLATES[name].about}, TEMPLATES[name].text
    if name in DATA_SETS:
        facts = _data_set(name)
        facts["template"] = template or facts["template"]
        return facts, template_of(facts["template"]).text
    if name not in names():
        raise unknown_task(name, [*names(), *TEMPLATES])
    first, template = load(name, count=1)[0], template or "plain"
    facts = {"task": name, "verifier": first.verifier, "template": template, "gold answer": first.answer}
    return facts, template_of(template).render(first)


def _file_facts_and_prompt(name: str, fields: Sequence[str], template: str | None) -> tuple[dict[str, Any], str]:
    from rlvrscope.problems.task_catalogue import load_task
    from rlvrscope.problems.templates import default_template, template_of

    with MESSAGES.status(f"reading {name}"):
        loaded = load_task(name, fields=fields)
    problems, first = loaded.problems, loaded.problems[0]
    template = template or default_template(problems)
    facts = {
        "task": name, "problems": len(problems),
        "verifier": dict(Counter(problem.verifier for problem in problems)), "template": template or "none",
        "first id": first.id, "gold answer": first.answer, **first.metadata, "notes": loaded.notes,
    }  # fmt: skip
    return facts, first.prompt if template is None else template_of(template).render(first)


@app.command("export")
@guarded
def export(
    task: Annotated[str, typer.Argument(metavar="TASK", help=TASK)],
    out: Annotated[Path, typer.Option("--out", help="File to write, .jsonl; other commands accept it as a task.")],
    split: SplitOption = None,
    template: TemplateOption = None,
    count: CountOption = None,
    seed: SeedOption = 0,
    source: SourceOption = None,
    field: FieldOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a task's problems as JSONL: id, prompt, answer, verifier, and the metadata of the verifier."""
    from rlvrscope.problems.task_catalogue import load_task
    from rlvrscope.problems.templates import template_of
    from rlvrscope.runs import write_atomic

    if out.suffix != ".jsonl":
        raise InputError(f"problems are written as .jsonl; got {out}")
    render = None if template is None else template_of(template).render
    with MESSAGES.status(f"loading {task}"):
        loaded = load_task(task, split, count=count, seed=seed, source=source, fields=field or ())
    rows = [_row(problem, problem.prompt if render is None else render(problem)) for problem in loaded.problems]
    write_atomic(out, "".join(f"{json.dumps(row)}\n" for row in rows))
    if as_json:
        print_json({"format_version": 1, "problems": len(rows), "file": str(out), "notes": loaded.notes})
        return
    for note in loaded.notes:
        say(f"Note: {note}")
    say(f"{len(rows):,} problems. Written: {out}")


def _row(problem: Problem, prompt: str) -> dict[str, Any]:
    row = {"id": problem.id, "prompt": prompt, "answer": problem.answer, "verifier": problem.verifier}
    return row | ({} if problem.cluster is None else {"cluster": problem.cluster}) | dict(problem.metadata)


def _data_set(name: str) -> dict[str, Any]:
    from rlvrscope.problems.hub import DATA_SETS

    data = DATA_SETS[name]
    return {
        "task": name, "about": data.about, "hub": data.hub, "revision": data.revision,
        "configs": ", ".join(data.configs), "splits": dict(data.splits), "verifier": data.verifier,
        "template": data.template,
    }  # fmt: skip
