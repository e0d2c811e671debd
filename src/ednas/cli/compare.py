"""`ednas compare`: relative gains of models over a baseline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ednas.cli.options import TableFormat, parse_tasks
from ednas.cli.printing import print_json, print_table

if TYPE_CHECKING:
    from ednas.metrics import ModelMetrics


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
    force: Annotated[bool, typer.Option("--force", help="Also compare results of other data or another size.")] = False,
    form: Annotated[TableFormat, typer.Option("--format", help="How to print it.")] = TableFormat.TABLE,
) -> None:
    """Relative gains per metric, per task and overall (Eq. 9-12), in percent; positive is better.

    Of folders of several seeds (ednas train --runs) the values are means with standard deviations, and a paired
    permutation test over the seeds says how probable such differences are by chance.

    [bold]Examples[/bold]

    ednas compare --baseline runs/base runs/found

    ednas compare -b runs/seg/metrics.json -b runs/depth/metrics.json runs/base runs/found --format json

    ednas compare -b runs/base runs/found --format latex > table.tex
    """
    from ednas import scoring
    from ednas.exceptions import CheckpointError
    from ednas.metrics import load_metrics, merge_metrics, unlike

    parts = [load_metrics(path) for path in baseline]
    results = [load_metrics(path) for path in models]
    for other in (*parts[1:], *results):
        if difference := unlike(parts[0], other):
            if not force:
                raise CheckpointError(f"{difference}; measure both alike, or compare them nevertheless with --force")
            typer.echo(f"not alike: {difference}", err=True)
    reference = merge_metrics(parts)
    comparison = scoring.compare(reference, results, tasks=parse_tasks(tasks) if tasks else None)
    chances = [scoring.paired_p_values(reference, result) for result in results]
    if form is TableFormat.JSON:
        content = {"baseline": _measured(reference), **comparison.to_json()}
        for entry, result, chance in zip(content["models"], results, chances, strict=True):
            entry.update(_measured(result) | ({"p_values": chance} if result.by_seed else {}))
        print_json(content)
        return
    from ednas.report import formats
    from ednas.report.comparison import tabulate
    from ednas.report.tables.comparison import chances_table, comparison_table

    rows = tabulate(reference, results, comparison)
    if form is TableFormat.CSV:
        typer.echo(formats.comparison_csv(rows, chances))
        return
    tables = [comparison_table(rows)]
    if any(chances):
        tables.append(chances_table([result.name for result in results], chances))
    if form is TableFormat.TABLE:
        for table in tables:
            print_table(table)
        if any(chances):
            typer.echo("p: how probable such differences are by chance, by a paired permutation test over the seeds")
        return
    show = formats.latex if form is TableFormat.LATEX else formats.markdown
    typer.echo("\n\n".join(map(show, tables)))


def _measured(metrics: ModelMetrics) -> dict[str, Any]:
    """Return what was measured, means over the seeds where there are several, with standard deviations."""
    values = {"name": metrics.name, "values": metrics.tasks}
    return values | ({"spread": metrics.spread} if metrics.by_seed else {})
