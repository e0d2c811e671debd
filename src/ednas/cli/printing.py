"""How commands print: results on standard output, what is said beside them on standard error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from ednas.exceptions import one_line

if TYPE_CHECKING:
    from rich.table import Table

    from ednas.metrics import TaskValues


def say(line: str) -> None:
    """Tell the user something beside the result: a line on standard error."""
    typer.echo(one_line(line), err=True)


def print_json(value: Mapping[str, Any]) -> None:
    """Print a result for machines: JSON on standard output."""
    print(json.dumps(value, indent=2))


def print_table(table: Table) -> None:
    """Print a table for people; into a file or a pipe at a width that cuts nothing off."""
    from rich.console import Console
    from rich.text import Text

    class PlainConsole(Console):
        """Writes control characters of names out, which would act on the terminal."""

        def render_str(self, text: str, *args: Any, **options: Any) -> Text:
            return super().render_str("\n".join(map(one_line, text.split("\n"))), *args, **options)

    console = PlainConsole()
    (console if console.is_terminal else PlainConsole(width=200)).print(table)


def print_metrics(
    metrics: dict[str, Any], as_json: bool, note: str, spread: TaskValues | None = None, *, per_class: bool = False
) -> None:
    """Print what was measured of a network, and what is odd about it.

    Args:
        metrics: Content of a ``metrics.json``.
        as_json: Print just that.
        note: A last line.
        spread: Standard deviations over several runs.
        per_class: Print the classes too.
    """
    if as_json:
        print_json(metrics)
        return
    from ednas.report.tables.metrics import classes_table, metrics_table
    from ednas.training.trivial import shortcomings

    if "params" in metrics:
        about = f"{metrics['params'] / 1e6:.2f} M parameters"
    else:
        about = f"{metrics['model']}: {metrics['precision']} in {metrics['runtime']}, stride {metrics['output_stride']}"
    typer.echo(f"protocol {metrics['protocol']}, {about}")
    print_table(metrics_table(metrics, spread))
    for task, classes in metrics["classes"].items() if per_class else ():
        print_table(classes_table(task, classes))
    for line in shortcomings(metrics):
        typer.echo(f"warning: {line}")
    if note:
        typer.echo(note)
