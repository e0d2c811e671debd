"""`ednas report`: the page of a search, a demo or a training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ednas.cli.options import Plugins, run_plugins
from ednas.runs import RunFolder


def report(
    run: Annotated[Path, typer.Argument(help="The folder of a search or a training, finished or still running.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The page; default: report.html in the folder.")
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Write a run's self-contained report.html.

    Of a search: the candidates, the Pareto front, the best architecture. Of a training, of one seed or of several: the
    results, the learning curves, the classes, and the best and the worst images.

    [bold]Examples[/bold]

    ednas report runs/nyuv2

    ednas report runs/base

    ednas report runs/edges --plugin examples/edge_task.py
    """
    run_plugins(plugin)
    typer.echo(f"wrote {write_page(run, out or RunFolder(run).report)}")


def write_page(run: Path, page: Path) -> Path:
    """Write the report of a run's folder and return its path."""
    from ednas.report.collect import collect
    from ednas.report.html import write_report

    if not RunFolder(run).is_search:
        from ednas.report.training import collect_training, is_training
        from ednas.report.training_page import write_training_report

        if is_training(run):
            from ednas.cli.progress import counting, decoding

            with decoding() as decode, counting("looking at") as progress:
                found = collect_training(run, decode, lambda done, total: progress("images", done, total))
            return write_training_report(found, page)
    return write_report(collect(run), page)
