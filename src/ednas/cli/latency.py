"""`ednas latency`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ednas.cli.options import AsJson, Plugins, parse_heads, parse_size, run_plugins
from ednas.cli.printing import print_json, print_table

if TYPE_CHECKING:
    from ednas.hw import Cost
    from ednas.hw.networks import Network
    from ednas.hw.sources import Source

_LARGEST = 8
"""Slowest layers that are shown without --per-layer."""


def latency(
    network: Annotated[
        str,
        typer.Argument(
            help="An architecture (name, JSON file, checkpoint folder, text form), a .tflite file, an ncnn .param "
            "file, or a JSON file of layer lists (FILE#NAME for one of several)."
        ),
    ],
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            "-t",
            help="A device: see `ednas targets`; a YAML file; or a source: litert (measured here), litert:float32, "
            "litert:int8, vela:ethos-u55-256, edgetpu (measured on a Coral that is plugged in), edgetpu_compiler, "
            "table:FILE.csv. Several are shown side by side. Default: coral_usb.",
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            "--input",
            help="HEIGHTxWIDTH of an architecture; default: the checkpoint's, the search's or its own, or 256x256. "
            "Also of a .param file that leaves it open.",
        ),
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            help="Tasks of an architecture with their channels; default: the checkpoint's or the search's, or "
            "segmentation:19,depth."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--network", help="Which network of a file of layer lists.")] = None,
    per_layer: Annotated[bool, typer.Option("--per-layer", help="Show every layer.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw a timeline and a roofline into this .svg (or .html) file.")
    ] = None,
    missing_rows: Annotated[
        Path | None,
        typer.Option(help="With --target table:FILE.csv: write the layers that the table lacks into this .csv file."),
    ] = None,
    plugin: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Print the latency of one inference on a device, where the time goes, and energy and memory if they are known.

    [bold]Examples: an architecture, a search's result, a checkpoint, a TFLite file, a list of layers[/bold]

    ednas latency base --target coral_usb --input 256x256

    ednas latency runs/demo/best.json --per-layer --plot cost.svg

    ednas latency runs/base/checkpoint

    ednas latency model.tflite --target coral_usb --target ethos_u55_256

    ednas latency mobilenet_v2.param --target raspberry_pi_4_ncnn_fp32

    ednas latency layer_lists.json#inception_v1 --json

    [bold]Examples: a device of your own, this computer, Arm's compiler, layers that you measured[/bold]

    ednas latency base --target my_device.yaml

    ednas latency model.tflite --target litert

    ednas latency base --target vela:ethos-u55-256

    ednas latency base --target table:layers.csv

    ednas latency base --target table:layers.csv --missing-rows to_measure.csv
    """
    from ednas.hw.networks import load_network
    from ednas.hw.sources import load_source

    run_plugins(plugin)
    names = target or ["coral_usb"]
    if plot is not None:
        _check_plot(plot, len(names))
    sources = [load_source(text) for text in names]
    found = load_network(
        network,
        network=name,
        heads=parse_heads(tasks) if tasks else None,
        input_size=parse_size(size) if size else None,
    )
    if missing_rows is not None:
        _write_missing(missing_rows, found, names)
        return
    costs = [source.cost(found.graph, found.model) for source in sources]
    if plot is not None:
        _draw(plot, found, sources, costs)
    if as_json:
        values = [cost.to_dict() for cost in costs]
        print_json({"network": found.to_dict(), **(values[0] if len(values) == 1 else {"costs": values})})
        return
    _print(found, costs, per_layer)
    if plot is not None:
        typer.echo(f"wrote {plot}")


def _print(network: Network, costs: list[Cost], per_layer: bool) -> None:
    from rich.markup import escape

    from ednas.report.tables.costs import costs_table, layers_table, parts_table, scopes_table

    if len(costs) > 1:
        table = costs_table(costs)
        table.title = f"Costs of {escape(network.title)}"
        print_table(table)
    for cost in costs:
        if len(costs) == 1 or per_layer:
            print_table(parts_table(cost, network.title))
        if len(costs) == 1:
            print_table(costs_table(costs, times=False))
        if len(costs) == 1 and len({layer.scope for layer in cost.layers}) > 1:
            print_table(scopes_table(cost))
        if cost.layers and (len(costs) == 1 or per_layer):
            print_table(layers_table(cost, None if per_layer else _LARGEST))


def _check_plot(path: Path, count: int) -> None:
    from ednas.exceptions import ConfigError
    from ednas.files import require_writable

    if path.suffix not in (".svg", ".html"):
        raise ConfigError(f"--plot {path}: the picture is written as .svg or .html, give the file one of these endings")
    if path.suffix == ".svg" and count > 1:
        raise ConfigError(f"--plot {path}: an .svg file holds one target's picture; write an .html file for {count}")
    require_writable(path, ConfigError)


def _write_missing(path: Path, network: Network, targets: list[str]) -> None:
    """Write the layers that a table lacks as rows to be measured."""
    from ednas.exceptions import ConfigError
    from ednas.files import write_text
    from ednas.hw.sources.measurements import layers_text
    from ednas.hw.sources.table import Table

    source, _, file = targets[0].partition(":")
    if source != "table" or len(targets) != 1:
        raise ConfigError(f"--missing-rows {path}: give one table: --target table:FILE.csv")
    if path.exists():
        raise ConfigError(f"--missing-rows {path}: exists already; choose another file")
    table = Table(Path(file))
    missing = table.missing(network.graph)
    if not missing:
        typer.echo(f"{table.path} has a row for every layer of {network.title}: nothing was written")
        return
    write_text(path, layers_text(missing))
    rows = f"{len(missing)} row{'s' if len(missing) > 1 else ''}"
    typer.echo(f"wrote {path}: {rows}; measure them, fill in latency_ms, and append them to {table.path}")


def _draw(path: Path, network: Network, sources: list[Source], costs: list[Cost]) -> None:
    from ednas.files import write_text
    from ednas.report.cost import cost_page, draw_cost

    drawings = [
        draw_cost(cost, source.target, title=network.title) for cost, source in zip(costs, sources, strict=True)
    ]
    write_text(path, drawings[0] if path.suffix == ".svg" else cost_page(drawings, f"{network.title}: cost"))
