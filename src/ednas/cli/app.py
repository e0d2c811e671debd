"""The tree of commands. Modules of commands import what they need inside each command, so that `--help` is quick."""

from __future__ import annotations

from typing import Annotated

import typer

from ednas.cli import (
    arch,
    benchmark,
    compare,
    compare_methods,
    data,
    demo,
    doctor,
    evaluate,
    export,
    export_study,
    latency,
    predict,
    report,
    reproduce,
    runs,
    search,
    specialise,
    targets,
    train,
)

app = typer.Typer(
    name="ednas",
    help="Find, train and ship edge-efficient multi-task dense-prediction networks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(version("ednas"))
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


app.command("demo")(demo.demo)
app.command("search")(search.search)
app.command("specialise")(specialise.specialise)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("compare-methods")(compare_methods.compare_methods)
app.command("predict")(predict.predict)
app.command("export")(export.export)
app.command("latency")(latency.latency)
app.command("benchmark")(benchmark.benchmark)
app.add_typer(targets.app, name="targets")
app.add_typer(arch.app, name="arch")
app.add_typer(data.app, name="data")
app.command("runs")(runs.runs)
app.command("report")(report.report)
app.command("reproduce")(reproduce.reproduce)
app.command("export-study")(export_study.export_study)
app.command("doctor")(doctor.doctor)
