"""`ednas compare`: relative gains of models over a baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ednas.cli.options import parse_tasks, print_json, print_table


def compare(
    models: Annotated[
        list[Path], typer.Argument(help="metrics.json files, or checkpoint folders.", show_default=False)
    ],
    baseline: Annotated[
        list[Path],
        typer.Option("--baseline", "-b", help="The baseline's metrics.json; once per task for single-task baselines."),
    ],
    tasks: Annotated[str | None, typer.Option(help="Compare these tasks only, like segmentation,depth.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Relative gains per metric, per task and overall (Eq. 9-12), in percent; positive is better.

    [bold]Examples[/bold]

    ednas compare --baseline runs/base runs/found

    ednas compare -b runs/seg/metrics.json -b runs/depth/metrics.json runs/base runs/found --json
    """
    from ednas import scoring

    reference = scoring.merge_metrics([scoring.load_metrics(path) for path in baseline])
    results = [scoring.load_metrics(path) for path in models]
    comparison = scoring.compare(reference, results, tasks=parse_tasks(tasks) if tasks else None)
    if as_json:
        print_json(comparison.to_json())
        return
    from ednas.report.tables import comparison_table

    print_table(comparison_table(reference, results, comparison))
