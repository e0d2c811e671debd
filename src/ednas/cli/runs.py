"""`ednas runs`: what runs there are, and how far each is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ednas.cli.options import TableFormat
from ednas.cli.printing import print_json, print_table, say


def runs(
    folder: Annotated[Path, typer.Argument(help="The folder in which, and below which, runs are looked for.")] = Path(
        "runs"
    ),
    sort: Annotated[
        str,
        typer.Option(
            help="path, kind, state, data, network, changed (the latest first), or a figure, the best first: reward, "
            "accuracy, latency_ms, miou, depth.rel_err, ..."
        ),
    ] = "path",
    form: Annotated[TableFormat, typer.Option("--format", help="How to print it.")] = TableFormat.TABLE,
) -> None:
    """List the trainings and searches below a folder: state, data, network, progress, main figures.

    A run is running while a process works in its folder. One that was broken off goes on with --resume. A study is a
    search with its final trainings, as of the demo; these have rows of their own.

    [bold]Examples[/bold]

    ednas runs

    ednas runs runs --sort changed

    ednas runs ../experiments --sort miou --format csv > runs.csv
    """
    from ednas.report import formats
    from ednas.report.overview import overview, runs_csv, sort_rows
    from ednas.report.tables.runs import runs_table

    rows = sort_rows(overview(folder), sort)
    if form is TableFormat.JSON:
        print_json({"runs": [row.to_dict() for row in rows]})
    elif form is TableFormat.CSV:
        typer.echo(runs_csv(rows))
    elif not rows:
        say(f"{folder}: no run here or below")
    elif form is TableFormat.TABLE:
        print_table(runs_table(rows))
    else:
        show = formats.latex if form is TableFormat.LATEX else formats.markdown
        typer.echo(show(runs_table(rows)))
