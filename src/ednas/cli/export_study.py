"""`ednas export-study`: the trials of a search for other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ednas.cli.options import Force, Plugins, check_new_file, run_plugins


class StudyForm(StrEnum):
    """What a search's trials are written as."""

    CSV = "csv"
    PARQUET = "parquet"
    OPTUNA = "optuna"


def export_study(
    run: Annotated[Path, typer.Argument(help="The folder of a search, finished or still running.")],
    form: Annotated[
        StudyForm,
        typer.Option(
            "--format",
            help="csv; parquet, for pandas and polars; or optuna, an SQLite storage for optuna-dashboard and "
            "optuna.load_study.",
        ),
    ] = StudyForm.CSV,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The file; default: trials.csv, .parquet or .optuna.db in the folder."),
    ] = None,
    force: Force = False,
    plugin: Plugins = None,
) -> None:
    """Write a search's trials to a file: their genes, costs, metrics, accuracies and rewards.

    For Optuna, each decision of the space is a categorical parameter. The value is the reward, or the search's
    objectives where its configuration names them; costs and metrics are user attributes. Optuna takes minutes for
    thousands of trials, the other formats take seconds.

    [bold]Examples[/bold]

    ednas export-study runs/streets

    ednas export-study runs/streets --format optuna --out streets.db
    """
    from ednas.cli.progress import counting
    from ednas.search.exchange import default_file
    from ednas.search.exchange import export_study as write

    run_plugins(plugin)
    file = out or default_file(run, form)
    check_new_file(file, force)
    with counting("exporting") as progress:
        write(run, form, file, lambda done, total: progress("trials", done, total))
    typer.echo(f"wrote {file}")
    if form is StudyForm.OPTUNA:
        typer.echo(f"next: optuna-dashboard sqlite:///{file}")
