"""`ednas reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ednas.cli.options import Device, TableFormat, parse_values
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
    runs: Annotated[int | None, typer.Option(min=1, help="Trainings of each row. Default: the table's.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of every training, instead of the scale's.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Trainings at a time, each in a process of its own.")] = 1,
    show: Annotated[bool, typer.Option("--show", help="Train nothing: make tables of what is finished.")] = False,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of all trainings.")] = Path("runs/reproduce"),
    device: Device = "auto",
    form: Annotated[TableFormat, typer.Option("--format", help="How to print the results.")] = TableFormat.TABLE,
) -> None:
    """Make the paper's tables from trainings of your own, beside its numbers, with a verdict on each claim.

    `mini` takes hours on two processor cores: street scenes at 64x128 stand for CityScapes, and rooms at 96x128 for
    NYUv2, unless you give it. `gpu` takes AdaShare's sizes and `paper` the paper's recipe; both need the datasets. What
    is finished is kept in the folder, whichever table asked for it, and the same command goes on where it was ended. A
    table is written as `<table>.json`, whatever part of it is there.

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
    from ednas.reproduce.run import reproduce as make_tables
    from ednas.reproduce.scales import make_scale
    from ednas.reproduce.show import claims_table, rows_table, values_csv
    from ednas.reproduce.tables import ALL, FIGURE_5, find_tables
    from ednas.search.progress import SearchProgress

    readings: dict[str, Reading | None] = {"printed": "printed", "counted": "counted", "both": None}
    if reading not in readings:
        raise ConfigError(f"--reading {reading}: {hint(reading, readings)}")
    given = parse_values(data, "data", "nyuv2=examples/nyuv2.yaml")
    size = make_scale(scale, {key: str(value) for key, value in given.items()}, steps)
    with SearchProgress() as searching, training_bars() as begin:
        for result in make_tables(
            find_tables(tables),
            size,
            out,
            runs=runs,
            reading=readings[reading],
            workers=workers,
            device=device,
            train=not show,
            callbacks=begin,
            search_callbacks=[searching],
            announce=say,
        ):
            tables_of = (rows_table(result), claims_table(result))
            match form:
                case TableFormat.JSON:
                    print_json(result.model_dump(mode="json"))
                case TableFormat.CSV:
                    typer.echo(values_csv(result))
                case TableFormat.LATEX:
                    typer.echo("\n\n".join(map(formats.latex, tables_of)))
                case TableFormat.MARKDOWN:
                    typer.echo("\n\n".join(map(formats.markdown, tables_of)))
                case TableFormat.TABLE:
                    for table in tables_of:
                        print_table(table)
            say(f"wrote {out / result.table}.json")
        if {FIGURE_5, ALL} & {*tables} and not show:
            figure = paint_figure(size, out, reading=readings[reading], device=device, callbacks=begin, announce=say)
            say(f"wrote {figure}")
