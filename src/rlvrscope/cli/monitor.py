"""`rlvrscope monitor`: which stage a training run is in, from its log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rlvrscope.cli.shared.console import OUTPUT, print_json
from rlvrscope.cli.shared.guard import guarded
from rlvrscope.cli.shared.options import JsonOption
from rlvrscope.errors import InputError


@guarded
def monitor(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="A run's folder or log: of the lab, TRL (trainer_state.json), verl (metrics.jsonl, console, the "
            "folder of `rlvrscope verl`), W&B's CSV, JSON Lines.",
        ),
    ],
    column: Annotated[
        list[str] | None,
        typer.Option("--column", help="A metric's name in the log: reward=mean_reward, step=iteration (repeatable)."),
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option("--fail-on", help="Exit code 3 if this alarm or stage is read at any step (repeatable)."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Follow a log that grows, until Ctrl-C.")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="Follow it on a page of this machine.")] = False,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port of the page; 0: any free one.")] = 8321,
    until: Annotated[int | None, typer.Option("--until", help="Stop following at this step.")] = None,
    idle: Annotated[
        float | None, typer.Option("--idle", min=0.0, help="Stop following after this many seconds without a step.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write the page: one offline file.")] = None,
    png: Annotated[Path | None, typer.Option("--png", help="Write the chart as a picture (.png or .svg).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Read a training log and tell the stage: exploitation, saturated or exploration, with alarms and their evidence.

    Each reading rests on earlier steps only, so that a finished log gives the same as a run that is followed.
    """
    from rlvrscope.cli.shared.watching import Watch, named_alarms, output_writer, screen_width, watched
    from rlvrscope.readers.log_names import READ
    from rlvrscope.readers.monitored_log import MonitoredLog
    from rlvrscope.report.monitor.terminal import to_terminal
    from rlvrscope.report.monitor.words import as_dict
    from rlvrscope.tables.formats import parse_column_map

    columns = parse_column_map(column or (), (*READ, "step"), "--column", "reward=mean_reward")
    watch = Watch(named_alarms(fail_on or ()), port if serve else None, until, idle)
    if not (follow or serve) and not (until is None and idle is None):
        raise InputError("--until and --idle end --follow or --serve: add one of them, or leave them out")
    write_files = output_writer(html, png, source)
    monitored = MonitoredLog(source, columns)
    if follow or serve:
        watched(monitored, watch)
    else:
        monitored.poll(final=True)
    if monitored.timeline.rows:
        write_files(monitored)
    if as_json:
        print_json(as_dict(monitored))
    elif monitored.timeline.rows and not (follow and OUTPUT.is_terminal):
        OUTPUT.print(to_terminal(monitored, screen_width()))
    if monitored.timeline.rows and not as_json:
        for path in filter(None, (html, png)):
            OUTPUT.print(f"Written: {path}")
    watch.raise_alarms(monitored.timeline)
