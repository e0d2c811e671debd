"""`ednas reproduce`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ednas.cli.options import Device, TableFormat
from ednas.cli.printing import print_json, print_table, say


def reproduce(
    tables: Annotated[
        list[str], typer.Argument(help="table1 ... table9, speed, cost, fig5, or all.", metavar="TABLE...")
    ],
    scale: Annotated[str, typer.Option(help="mini, gpu or paper.")] = "mini",
    data: Annotated[
        list[str] | None,
        typer.Option(help="cityscapes=PATH or nyuv2=PATH: what stands for the paper's datasets; can be repeated."),
    ] = None,
    reading: Annotated[
        str, typer.Option(help="Ambiguous points of the paper: as printed, as counted, or both.")
    ] = "both",
    runs: Annotated[
        int | None, typer.Option(min=1, max=100, help="Trainings of each row. Default: the table's.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of a training, instead of the scale's; not of candidates.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Trainings at a time, each in a process of its own.")] = 1,
    show: Annotated[
        bool, typer.Option("--show", help="Train, measure and write nothing: show what is finished.")
    ] = False,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of all trainings.")] = Path("runs/reproduce"),
    device: Device = "auto",
    form: Annotated[TableFormat, typer.Option("--format", help="How to print the results.")] = TableFormat.TABLE,
) -> None:
    """Make the paper's tables from trainings of your own, beside its numbers, with a verdict on each claim.

    `mini` takes hours on two processor cores: street scenes at 64x128 stand for CityScapes, and rooms at 96x128 for
    NYUv2, unless you give it. `gpu` takes AdaShare's sizes and `paper` the paper's recipe; both need the datasets. What
    is finished is kept in the folder, whichever table asked for it, and the same command goes on where it was ended. A
    table is written as `<scale>/<table>.json`, whatever part of it is there.

    [bold]Examples[/bold]

    ednas reproduce table1 --workers 2

    ednas reproduce all --data nyuv2=examples/nyuv2.yaml --out runs/reproduce

    ednas reproduce table2 --reading printed --runs 1

    ednas reproduce table1 table9 --show --format markdown
    """
    from ednas.cli.progress import training_bars
    from ednas.exceptions import ConfigError, hint
    from ednas.report import formats
    from ednas.reproduce.claims import Reading
    from ednas.reproduce.figure5 import paint_figure
    from ednas.reproduce.run import look_at, table_file
    from ednas.reproduce.run import reproduce as make_tables
    from ednas.reproduce.scales import make_scale
    from ednas.reproduce.show import claims_table, rows_table, values_csv
    from ednas.reproduce.tables import ALL, FIGURE_5, find_tables
    from ednas.search.progress import SearchProgress

    readings: dict[str, Reading | None] = {"printed": "printed", "counted": "counted", "both": None}
    if reading not in readings:
        raise ConfigError(f"--reading {reading}: {hint(reading, readings)}")
    chosen, named = readings[reading], find_tables(tables)
    size = make_scale(scale, _named_paths(data or ()), steps)
    results = []
    with SearchProgress() as searching, training_bars() as begin:
        made = (
            look_at(named, size, out)
            if show
            else make_tables(
                named,
                size,
                out,
                runs=runs,
                reading=chosen,
                workers=workers,
                device=device,
                callbacks=begin,
                search_callbacks=[searching],
                announce=say,
            )
        )
        for result in made:
            results.append(result.read(chosen))
            if not show:
                say(f"wrote {table_file(out, size, result.table)}")
            for table in (rows_table(results[-1]), claims_table(results[-1])):
                match form:
                    case TableFormat.LATEX:
                        typer.echo(f"{formats.latex(table)}\n")
                    case TableFormat.MARKDOWN:
                        typer.echo(f"{formats.markdown(table)}\n")
                    case TableFormat.TABLE:
                        print_table(table)
        if {FIGURE_5, ALL} & {*tables}:
            if show:
                say(f"{FIGURE_5}: is painted without --show, since networks have to be trained for it")
            else:
                say(f"wrote {paint_figure(size, out, reading=chosen, device=device, callbacks=begin, announce=say)}")
    match form:
        case TableFormat.JSON:
            print_json({"tables": [result.model_dump(mode="json") for result in results]})
        case TableFormat.CSV:
            typer.echo(values_csv(results))


def _named_paths(texts: Sequence[str]) -> dict[str, str]:
    """Return paths by the names before them."""
    from ednas.exceptions import ConfigError

    paths: dict[str, str] = {}
    for text in texts:
        name, _, path = text.partition("=")
        if not name or not path or name in paths:
            raise ConfigError(f"--data {text}: write each dataset once, NAME=PATH, like nyuv2=examples/nyuv2.yaml")
        paths[name] = path
    return paths
