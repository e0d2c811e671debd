"""`ednas specialise`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ednas.cli.options import AllowPlugins, Plugins, parse_limits, run_plugins
from ednas.cli.printing import print_table

if TYPE_CHECKING:
    from ednas.training import Callback


def specialise(
    supernet: Annotated[Path, typer.Argument(help="The folder of a search whose evaluator trained a supernet.")],
    target: Annotated[
        list[str], typer.Option("--target", "-t", help="A device, as of `ednas search`; can be repeated.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="A folder for each device is made in it.")] = Path(
        "runs/specialised"
    ),
    limit: Annotated[
        list[str] | None,
        typer.Option(
            help="What a network must not exceed on each device, QUANTITY=VALUE, like latency_ms=0.8*baseline; can be "
            "repeated. Default: latency_ms=baseline, the base network's on that device."
        ),
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Networks to judge for each device. Default: 200.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps to fine-tune each winner by. Default: 200.")] = None,
    rate: Annotated[
        float | None, typer.Option(min=0, help="Learning rate of that, as a share of the supernet's. Default: 0.25.")
    ] = None,
    export: Annotated[bool, typer.Option("--export/--no-export", help="Export each as an int8 LiteRT model.")] = True,
    plugin: Plugins = None,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Make networks for several devices out of one supernet: search without training, fine-tune, export.

    Each device gets a folder with its search and report.html, which shows its Pareto front, the fine-tuned network in
    trained/ and the exported model in model/. The same command goes on where it was ended.

    [bold]Examples[/bold]

    ednas search --data my.yaml --recipe mini --evaluator supernet --trials 1 --out runs/supernet

    ednas specialise runs/supernet --target coral_usb --target ethos_u85_1024 --limit latency_ms=0.8*baseline
    """
    from ednas.cli.progress import training_bars
    from ednas.cli.report import write_page
    from ednas.config import parse
    from ednas.plugins import configured_plugins
    from ednas.report.tables.specialised import specialised_table
    from ednas.search.progress import SearchProgress
    from ednas.specialise import SpecialiseConfig, load_supernet_search
    from ednas.specialise import specialise as run_specialise

    run_plugins(plugin)
    source, _ = load_supernet_search(supernet)
    run_plugins(configured_plugins({"plugins": source.training.plugins}), allow_plugins)
    given = {
        "targets": target,
        "limits": parse_limits(limit) if limit else None,
        "trials": trials,
        "steps": steps,
        "rate": rate,
        "export": export,
    }
    config = parse(SpecialiseConfig, {key: value for key, value in given.items() if value is not None}, "specialise")
    found = []
    with SearchProgress() as progress, training_bars() as begin:

        def bars(name: str) -> list[Callback]:
            return begin(f"fine-tuning for {name}")

        for one in run_specialise(supernet, out, config, search_callbacks=[progress], training_callbacks=bars):
            found.append(one)
            typer.echo(f"{one.target}: wrote {write_page(one.folder.path, one.folder.report)}", err=True)
    print_table(specialised_table([one.row for one in found]))
