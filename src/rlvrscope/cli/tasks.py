"""`rlvrscope tasks`: what problems there are, what they look like, and their export to a file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlvrscope.cli.shared.console import MESSAGES, OUTPUT, print_json
from rlvrscope.cli.shared.guard import guarded
from rlvrscope.cli.shared.options import FieldOption, JsonOption, SourceOption, SplitOption
from rlvrscope.errors import InputError

if TYPE_CHECKING:
    from rlvrscope.problem import Problem

app = typer.Typer(help="Problems: data sets, generated ones, your files.", no_args_is_help=True, rich_markup_mode=None)

TASK = "A name of `rlvrscope tasks list`, or a file of your own (.csv, .jsonl, .parquet)."
CountOption = Annotated[
    int | None, typer.Option("--count", min=1, help="The first so many; of generated tasks, how many to make.")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Of generated tasks.")]
TemplateOption = Annotated[str | None, typer.Option("--template", help="Put this template around every prompt.")]


@app.command("list")
@guarded
def list_tasks(as_json: JsonOption = False) -> None:
    """List the tasks and the prompt templates."""
    from rlvrscope.problems.generated import GENERATED, GYM_NUMBERS, GYM_TEXTS
    from rlvrscope.problems.hub import DATA_SETS
    from rlvrscope.problems.templates import TEMPLATES

    if as_json:
        print_json(
            {
                "format_version": 1,
                "data_sets": {name: _data_set(name) for name in DATA_SETS},
                "generated": {name: made.about for name, made in GENERATED.items()},
                "gym": sorted((*GYM_NUMBERS, *GYM_TEXTS)),
                "templates": {name: template.about for name, template in TEMPLATES.items()},
            }
        )
        return
    rows = [(name, f"{next(iter(data.splits.values())):,}", data.about) for name, data in DATA_SETS.items()]
    rows += [(name, "any", made.about) for name, made in GENERATED.items()]
    rows += [("gym:NAME", "any", f"reasoning-gym: {', '.join(sorted((*GYM_NUMBERS, *GYM_TEXTS)))}")]
    _table(("task", "problems", "what"), rows)
    OUTPUT.print()
    _table(("template", "", "what"), [(name, "", template.about) for name, template in TEMPLATES.items()])


@app.command("show")
@guarded
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A task, a template, or a file of your own.")],
    template: TemplateOption = None,
    field: FieldOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show where a task is from, how it is verified, and the prompt; or a template. Of a file, its first problem."""
    from rlvrscope.report.text import clipped, one_line

    facts, prompt = _about(name, template, field or ())
    if as_json:
        print_json({"format_version": 1, **facts, "prompt": prompt})
        return
    for key, value in facts.items():
        told = ", ".join(f"{k} {v:,}" for k, v in value.items()) if isinstance(value, dict) else str(value)
        OUTPUT.print(f"{key:<12} {one_line(told, 500)}")
    OUTPUT.print(f"\n{clipped(prompt, 10_000)}")


def _about(name: str, template: str | None, fields: Sequence[str]) -> tuple[dict[str, Any], str]:
    """The facts of a task, a file or a template, and the prompt: the template, or the first problem in it."""
    from rlvrscope.problems.hub import DATA_SETS
    from rlvrscope.problems.task_catalogue import load, names, unknown
    from rlvrscope.problems.templates import TEMPLATES, template_of
    from rlvrscope.tables.formats import suffix_of

    if suffix_of(Path(name)):
        return _own_file(name, fields, template)
    if fields:
        raise InputError(f"--field is for files of your own, and {name!r} is none: leave it out")
    if name in TEMPLATES:
        return {"template": name, "about": TEMPLATES[name].about}, TEMPLATES[name].text
    if name in DATA_SETS:
        facts = _data_set(name)
        around = template or facts["template"]
        return {**facts, "template": around}, template_of(around).text
    if name not in names():
        raise unknown(name, [*names(), *TEMPLATES])
    first, around = load(name, count=1)[0], template or "plain"
    facts = {"task": name, "verifier": first.verifier, "template": around, "gold answer": first.answer}
    return facts, template_of(around).render(first)


def _own_file(name: str, fields: Sequence[str], template: str | None) -> tuple[dict[str, Any], str]:
    """What is shown of a file, and the prompt of its first problem."""
    from rlvrscope.problems.task_catalogue import load
    from rlvrscope.problems.templates import template_of

    with MESSAGES.status(f"reading {name}"):
        problems = load(name, fields=fields)
    first = problems[0]
    around = template or ("choice" if first.metadata.get("choices") else "plain")
    facts = {
        "task": name, "problems": len(problems),
        "verifier": dict(Counter(problem.verifier for problem in problems)), "template": around,
        "first id": first.id, "gold answer": first.answer, **first.metadata,
    }  # fmt: skip
    return facts, template_of(around).render(first)


@app.command("export")
@guarded
def export(
    task: Annotated[str, typer.Argument(metavar="TASK", help=TASK)],
    out: Annotated[Path, typer.Option("--out", help="The file to write, .jsonl; it can be used in a task's place.")],
    split: SplitOption = None,
    template: TemplateOption = None,
    count: CountOption = None,
    seed: SeedOption = 0,
    source: SourceOption = None,
    field: FieldOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a task's problems as JSONL: id, prompt, answer, verifier, and what the verifier needs."""
    from rlvrscope.problems.task_catalogue import load
    from rlvrscope.problems.templates import template_of
    from rlvrscope.runs import write_atomic

    if out.suffix != ".jsonl":
        raise InputError(f"problems are written as .jsonl; got {out}")
    around = None if template is None else template_of(template)
    with MESSAGES.status(f"loading {task}"):
        problems = load(task, split, count=count, seed=seed, source=source, fields=field or ())
    rows = [_row(problem) for problem in problems]
    if around is not None:
        rows = [row | {"prompt": around.render(problem)} for row, problem in zip(rows, problems, strict=True)]
    write_atomic(out, "".join(f"{json.dumps(row)}\n" for row in rows))
    if as_json:
        print_json({"format_version": 1, "problems": len(problems), "file": str(out)})
    else:
        OUTPUT.print(f"{len(problems):,} problems. Written: {out}")


def _row(problem: Problem) -> dict[str, Any]:
    row = {"id": problem.id, "prompt": problem.prompt, "answer": problem.answer, "verifier": problem.verifier}
    return row | ({} if problem.cluster is None else {"cluster": problem.cluster}) | dict(problem.metadata)


def _data_set(name: str) -> dict[str, Any]:
    from rlvrscope.problems.hub import DATA_SETS

    data = DATA_SETS[name]
    return {
        "task": name, "about": data.about, "hub": data.hub, "revision": data.revision,
        "configs": ", ".join(data.configs), "splits": dict(data.splits), "verifier": data.verifier,
        "template": data.template,
    }  # fmt: skip


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for head in heads:
        table.add_column(head, justify="right" if head == "problems" else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    OUTPUT.print(table)
