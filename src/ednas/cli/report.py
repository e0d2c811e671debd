"""`ednas report`: the page of a search, a demo or a training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ednas.cli.options import Plugins, run_plugins
from ednas.cli.printing import say
from ednas.runs import RunFolder


def report(
    run: Annotated[Path, typer.Argument(help="The folder of a search or a training, finished or still running.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The page; default: report.html in the folder.")
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="While the run goes on, write the page again whenever something has changed; it reloads itself. Ends "
            "with the run, or with Ctrl-C.",
        ),
    ] = False,
    every: Annotated[float, typer.Option(min=1, help="With --watch: seconds between two looks.")] = 10.0,
    plugin: Plugins = None,
) -> None:
    """Write a run's self-contained report.html.

    Of a search: the candidates, the Pareto front, the best architecture. Of a training, of one seed or of several: the
    results, the learning curves, the classes, and the best and the worst images.

    [bold]Examples[/bold]

    ednas report runs/nyuv2

    ednas report runs/nyuv2 --watch --every 30

    ednas report runs/base

    ednas report runs/edges --plugin examples/edge_task.py
    """
    run_plugins(plugin)
    page = out or RunFolder(run).report
    if watch:
        from ednas.report.watch import watch as write_again

        say(f"watching {run}: {page} is written again as it goes on; Ctrl-C ends that")
        write_again(RunFolder(run), lambda goes_on: write_page(run, page, every if goes_on else None), every, say)
    else:
        write_page(run, page)
    typer.echo(f"wrote {page}")


def write_page(run: Path, page: Path, reload_s: float | None = None) -> Path:
    """Write the report of a run's folder and return its path.

    Args:
        run: The folder.
        page: The file.
        reload_s: Of a run that goes on: after how many seconds the page reloads itself; None = it does not.
    """
    from ednas.report.collect import collect
    from ednas.report.html import write_report

    if not RunFolder(run).is_search:
        from ednas.report.training import collect_training, is_training
        from ednas.report.training_page import write_training_report

        if is_training(run):
            from ednas.cli.progress import counting, decoding

            with decoding() as decode, counting("looking at") as progress:
                found = collect_training(
                    run, decode, lambda done, total: progress("images", done, total), pictures=reload_s is None
                )
            return write_training_report(found, page, reload_s)
    return write_report(collect(run), page, reload_s)
