"""`ednas demo`: the main job on built-in data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ednas.training import Callback


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="The run's folder.")] = Path("runs/demo"),
    trials: Annotated[int, typer.Option(min=1, help="Candidates to train in the search.")] = 32,
    workers: Annotated[int | None, typer.Option(min=1, help="Candidates at a time; default: one a core.")] = None,
    runs: Annotated[int, typer.Option(min=1, help="Seeds of each final training; 3 show how far they differ.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 0,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Remove an earlier demo in --out and start again; by default it is continued."),
    ] = False,
) -> None:
    """Make street scenes, search a network for an Ethos-U65, train it and its baselines, compare, and report.

    It takes about an hour on two cores. If it is interrupted, the same command continues where it stopped.

    [bold]Example[/bold]

    ednas demo --out runs/demo
    """
    import os

    from rich.console import Console

    from ednas.cli.printing import print_table
    from ednas.cli.progress import counting, training_bars
    from ednas.cli.report import write_page
    from ednas.demo import demo_config, make_streets, remove_demo
    from ednas.pipeline import run_study
    from ednas.report.tables.comparison import comparison_table
    from ednas.search.progress import SearchProgress

    if fresh:
        remove_demo(out)
    console = Console(stderr=True)
    with counting("rendering") as rendered:
        data = make_streets(out / "streets", seed, rendered)
    config = demo_config(data, trials=trials, workers=workers or os.cpu_count() or 1, runs=runs, seed=seed)
    with SearchProgress(console) as progress, training_bars() as begin:

        def final(name: str) -> list[Callback]:
            bars = begin(name)
            console.print(f"training the {name} network, {config.recipe.steps} steps")
            return bars

        table = run_study(config, out, resume=True, search_callbacks=[progress], training_callbacks=final)
    print_table(comparison_table(table))
    typer.echo(f"wrote {write_page(out, out / 'report.html')}")
