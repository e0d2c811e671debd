"""`ednas latency` and `ednas targets`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ednas.cli.options import parse_heads, parse_size, print_json, print_table

if TYPE_CHECKING:
    from ednas.hw import Cost, Target


def latency(
    network: Annotated[
        str,
        typer.Argument(help="An architecture (name, JSON file, checkpoint, text form), or a JSON file of layer lists."),
    ],
    target: Annotated[
        str, typer.Option("--target", "-t", help="A device: see `ednas targets`; or a YAML file.")
    ] = "coral_usb",
    size: Annotated[
        str | None, typer.Option("--input", help="HEIGHTxWIDTH; default: the architecture's, or 256x256.")
    ] = None,
    tasks: Annotated[str, typer.Option(help="Tasks with their output channels.")] = "segmentation:19,depth",
    name: Annotated[str | None, typer.Option("--network", help="Which network of a file of layer lists.")] = None,
    per_layer: Annotated[bool, typer.Option("--per-layer", help="Show every layer.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate the latency of one inference on a device, and where the time goes.

    [bold]Examples[/bold]

    ednas latency base --target coral_usb --input 256x256

    ednas latency runs/demo/best.json --per-layer

    ednas latency layer_lists.json --network inception_v1 --json
    """
    from ednas.hw import load_target

    device = load_target(target)
    cost = _cost(network, name, tasks, size, device)
    if as_json:
        print_json(asdict(cost))
        return
    from ednas.report.tables import latency_table

    print_table(latency_table(cost, largest=None if per_layer else 8))


def _cost(network: str, name: str | None, tasks: str, size: str | None, device: Target) -> Cost:
    from ednas.arch import load_architecture
    from ednas.hw import estimate, load_layer_list, simulate

    if name is not None or _is_layer_list(Path(network)):
        return simulate(load_layer_list(network, name), device)
    architecture = load_architecture(network)
    shape = parse_size(size) if size else architecture.input_size or (256, 256)
    return estimate(architecture, parse_heads(tasks), shape, device)


def _is_layer_list(path: Path) -> bool:
    """Whether a file holds layer lists: an object with `layers`, or objects with `layers` by name."""
    from ednas.exceptions import ConfigError
    from ednas.files import read_json

    if path.suffix != ".json" or not path.is_file():
        return False
    value = read_json(path, ConfigError)
    entries = [value, *value.values()] if isinstance(value, dict) else []
    return any(isinstance(entry, dict) and "layers" in entry for entry in entries)


def targets(
    name: Annotated[str | None, typer.Argument(help="A device or a YAML file; default: list all devices.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the devices, or print one with the source of each of its numbers.

    [bold]Example[/bold]

    ednas targets coral_usb
    """
    import yaml

    from ednas.hw import load_target, target_names

    if name is None:
        devices = {device: load_target(device).title for device in target_names()}
        if as_json:
            print_json({"targets": devices})
            return
        for device, description in devices.items():
            typer.echo(f"{device:16} {description}")
        return
    values = load_target(name).model_dump(mode="json")
    if as_json:
        print_json(values)
    else:
        typer.echo(yaml.safe_dump(values, sort_keys=False, width=100).rstrip())
