"""`ednas compare`: relative gains of models over a baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ednas.cli.options import parse_tasks, print_json, print_table


def compare(
    models: Annotated[
        list[Path],
        typer.Argument(help="metrics.json files, or folders of checkpoints, runs, or seeds.", show_default=False),
    ],
    baseline: Annotated[
        list[Path],
        typer.Option("--baseline", "-b", help="The baseline's metrics.json; once per task for single-task baselines."),
    ],
    tasks: Annotated[str | None, typer.Option(help="Compare these tasks only, like segmentation,depth.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Compare also what was measured on other data or at another size.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Relative gains per metric, per task and overall (Eq. 9-12), in percent; positive is better.

    Of folders of several seeds (ednas train --runs) the values are means with standard deviations, and a paired
    permutation test over the seeds says how probable such differences are by chance.

    [bold]Examples[/bold]

    ednas compare --baseline runs/base runs/found

    ednas compare -b runs/seg/metrics.json -b runs/depth/metrics.json runs/base runs/found --json
    """
    from ednas import scoring

    parts = [scoring.load_metrics(path) for path in baseline]
    results = [scoring.load_metrics(path) for path in models]
    for other in () if force else (*parts[1:], *results):
        scoring.check_alike(parts[0], other)
    reference = scoring.merge_metrics(parts)
    comparison = scoring.compare(reference, results, tasks=parse_tasks(tasks) if tasks else None)
    chances = [scoring.paired_p_values(reference, result) for result in results]
    if as_json:
        content = comparison.to_json()
        for entry, result, chance in zip(content["models"], results, chances, strict=True):
            entry.update({"spread": result.spread, "p_values": chance} if result.by_seed else {})
        print_json(content)
        return
    from ednas.report.tables import chances_table, comparison_table

    print_table(comparison_table(reference, results, comparison))
    if any(chances):
        typer.echo("how probable such differences are by chance, by a paired permutation test over the seeds:")
        print_table(chances_table([result.name for result in results], chances))
