"""`massflow tasks`: what problems there are, what they look like, and their export to a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from massflow.cli.guard import MESSAGES, OUTPUT, JsonOption, guarded, print_json
from massflow.errors import InputError

if TYPE_CHECKING:
    from massflow.types import Problem

app = typer.Typer(help="Problems: data sets, generated ones, your files.", no_args_is_help=True, rich_markup_mode=None)

TASK = "A name of `massflow tasks list`, or a file of your own (.csv, .jsonl, .parquet)."
SplitOption = Annotated[str | None, typer.Option("--split", help="Of a data set: test, train, ...; by default test.")]
CountOption = Annotated[
    int | None, typer.Option("--count", min=1, help="The first so many; of generated tasks, how many to make.")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Of generated tasks.")]
SourceOption = Annotated[
    Path | None, typer.Option("--source", help="A folder with a copy of the data set's repository, without the hub.")
]
TemplateOption = Annotated[str | None, typer.Option("--template", help="Put this template around every prompt.")]


@app.command("list")
@guarded
def list_tasks(as_json: JsonOption = False) -> None:
    """List the tasks and the prompt templates."""
    from massflow.tasks.generated import GENERATED, GYM_NUMBERS, GYM_TEXTS
    from massflow.tasks.hub import DATA_SETS
    from massflow.tasks.templates import TEMPLATES

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
    name: Annotated[str, typer.Argument(metavar="NAME", help="A task's or a template's name.")],
    template: TemplateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show where a task is from, how it is verified, and the prompt; or a template."""
    from massflow.tasks.catalogue import load, names, unknown
    from massflow.tasks.hub import DATA_SETS
    from massflow.tasks.templates import TEMPLATES, template_of

    if name in TEMPLATES:
        facts: dict[str, Any] = {"template": name, "about": TEMPLATES[name].about}
        prompt = TEMPLATES[name].text
    elif name in DATA_SETS:
        facts = _data_set(name)
        facts["template"] = template or facts["template"]
        prompt = template_of(facts["template"]).text
    elif name in names():
        first = load(name, count=1)[0]
        facts = {"task": name, "verifier": first.verifier, "template": template or "plain", "gold answer": first.answer}
        prompt = template_of(facts["template"]).render(first)
    else:
        raise unknown(name, [*names(), *TEMPLATES])
    if as_json:
        print_json({"format_version": 1, **facts, "prompt": prompt})
        return
    for key, value in facts.items():
        told = ", ".join(f"{k} {v:,}" for k, v in value.items()) if isinstance(value, dict) else value
        OUTPUT.print(f"{key:<12} {told}", markup=False, highlight=False, soft_wrap=True)
    OUTPUT.print(f"\n{prompt}", markup=False, highlight=False, soft_wrap=True)


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
    as_json: JsonOption = False,
) -> None:
    """Write a task's problems as JSONL: id, prompt, answer, verifier, and what the verifier needs."""
    from massflow.runs import write_atomic
    from massflow.tasks.catalogue import load
    from massflow.tasks.templates import template_of

    if out.suffix != ".jsonl":
        raise InputError(f"problems are written as .jsonl; got {out}")
    around = None if template is None else template_of(template)
    with MESSAGES.status(f"loading {task}"):
        problems = load(task, split, count=count, seed=seed, source=source)
    rows = [_row(problem) for problem in problems]
    if around is not None:
        rows = [row | {"prompt": around.render(problem)} for row, problem in zip(rows, problems, strict=True)]
    write_atomic(out, "".join(f"{json.dumps(row)}\n" for row in rows))
    if as_json:
        print_json({"format_version": 1, "problems": len(problems), "file": str(out)})
    else:
        OUTPUT.print(f"{len(problems):,} problems. Written: {out}", markup=False, highlight=False, soft_wrap=True)


def _row(problem: Problem) -> dict[str, Any]:
    row = {"id": problem.id, "prompt": problem.prompt, "answer": problem.answer, "verifier": problem.verifier}
    return row | ({} if problem.cluster is None else {"cluster": problem.cluster}) | dict(problem.metadata)


def _data_set(name: str) -> dict[str, Any]:
    from massflow.tasks.hub import DATA_SETS

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
