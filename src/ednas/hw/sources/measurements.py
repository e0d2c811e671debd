"""A user's own measurements of a device: latencies of networks, or of single layers, as CSV.

Networks, one a row, to calibrate a target with::

    network,latency_ms,input,tasks
    models/mobilenet.tflite,2.6,,
    base,3.4,256x256,segmentation:19;depth:1
    layers.json#inception_v1,3.4,,

``network`` is what ``ednas latency`` takes; paths count from the file's folder; ``input`` and ``tasks`` are for
architectures and may be left out. Layers, one a row, to add up (:mod:`ednas.hw.sources.table`) or to calibrate with::

    op,input,output,kernel,stride,dilation,groups,latency_ms
    CONV_2D,112x112x32,112x112x64,1x1,1,1,1,0.21
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from ednas.exceptions import ConfigError, EdnasError, TargetError
from ednas.files import exists
from ednas.hw.graph import ops
from ednas.hw.graph.layer_list import layer_macs
from ednas.hw.graph.layers import Layer, LayerGraph, Shape, sides_text
from ednas.hw.networks import load_network
from ednas.hw.targets.calibration import Sample

NETWORK_COLUMNS = ("network", "latency_ms")
LAYER_COLUMNS = ("op", "input", "output", "latency_ms")
ROW_COLUMNS = ("op", "input", "output", "kernel", "stride", "dilation", "groups")
"""What distinguishes a layer from others."""

_OPTIONAL = {"network": ("input", "tasks"), "op": ("kernel", "stride", "dilation", "groups", "name")}
_DEFAULTS = {"kernel": "1x1", "stride": "1", "dilation": "1", "groups": "1", "name": ""}


def read_measurements(path: str | Path) -> list[Sample]:
    """Read measured networks or layers.

    Args:
        path: The CSV file.

    Raises:
        ConfigError: The file is missing or no CSV, a column is missing or unknown, or a value is wrong; the message
            names the line.
        EdnasError: A network cannot be read.
    """
    path = Path(path)
    rows = _rows(path)
    if not rows:
        raise ConfigError(f"{path}: holds no measurement; one a row below the columns")
    if "network" not in rows[0][1]:
        return [
            Sample(layer.name, LayerGraph((layer,), 0, 0), latency, is_layer=True) for layer, latency in _layers(rows)
        ]
    samples = []
    for where, row in rows:
        latency = _latency(row, where)
        if not row["network"]:
            raise ConfigError(f"{where}: 'network' is empty")
        heads = _heads(row["tasks"], where) if row.get("tasks") else None
        input_size = _pair(row["input"], where, "input") if row.get("input") else None
        try:
            network = load_network(_located(row["network"], path.parent), heads=heads, input_size=input_size)
        except EdnasError as error:
            raise ConfigError(f"{where}: {error}") from None
        samples.append(Sample(row["network"], network.graph, latency))
    return samples


def read_layers(path: str | Path) -> list[tuple[Layer, float]]:
    """Read measured layers, each with its latency in milliseconds; none of an empty file, in which they begin.

    Raises:
        ConfigError: The file holds networks, not layers, or as :func:`read_measurements`.
    """
    rows = _rows(Path(path))
    if rows and "network" in rows[0][1]:
        raise ConfigError(f"{path}: holds networks; a table of layers has the columns {', '.join(LAYER_COLUMNS)}")
    return _layers(rows)


def layers_text(layers: Iterable[Layer]) -> str:
    """Return a file of layers with their latencies left open, to be measured and filled in."""
    rows = [",".join(row_values(layer)) + "," for layer in layers]
    return "\n".join([",".join((*ROW_COLUMNS, "latency_ms")), *rows]) + "\n"


def row_values(layer: Layer) -> tuple[str, ...]:
    """Return what distinguishes a layer from others, as the columns :data:`ROW_COLUMNS` hold it."""
    shapes = map(sides_text, (layer.input, layer.output, layer.kernel))
    return layer.op, *shapes, str(layer.stride), str(layer.dilation), str(layer.groups)


def _rows(path: Path) -> list[tuple[str, dict[str, str]]]:
    """Return the rows with their places in the file."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = tuple(name.strip() for name in reader.fieldnames or ())
            if not columns:
                return []
            reader.fieldnames = list(columns)
            _check_columns(columns, path)
            rows = []
            for row in reader:
                where = f"{path}: line {reader.line_num}"
                if None in row or None in row.values():
                    raise ConfigError(f"{where}: has {'more' if None in row else 'fewer'} values than columns")
                rows.append((where, {name: value.strip() for name, value in row.items()}))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: not a CSV file that can be read: {error}") from None
    return rows


def _check_columns(columns: tuple[str, ...], path: Path) -> None:
    first = "network" if "network" in columns else "op"
    required = NETWORK_COLUMNS if first == "network" else LAYER_COLUMNS
    missing = [name for name in required if name not in columns]
    if missing:
        raise ConfigError(
            f"{path}: no column '{missing[0]}'; a file of networks has {', '.join(NETWORK_COLUMNS)}, "
            f"one of layers {', '.join(LAYER_COLUMNS)}"
        )
    allowed = (*required, *_OPTIONAL[first])
    for name in columns:
        if name not in allowed:
            raise ConfigError(f"{path}: unknown column {name!r:.60}; known: {', '.join(allowed)}")


def _layers(rows: list[tuple[str, dict[str, str]]]) -> list[tuple[Layer, float]]:
    return [
        (_layer(_DEFAULTS | {k: v for k, v in row.items() if v}, where), _latency(row, where)) for where, row in rows
    ]


def _layer(row: Mapping[str, str], where: str) -> Layer:
    for name in ("op", "input", "output"):
        if not row.get(name):
            raise ConfigError(f"{where}: '{name}' is empty")
    if not ops.is_known(row["op"]):
        raise ConfigError(f"{where}: unknown op {row['op']!r:.60}; use TFLite's name (a custom op is CUSTOM:<name>)")
    try:
        layer = Layer(
            name=row["name"] or f"{row['op'].lower()} {row['input']} to {row['output']}",
            scope="network",
            op=row["op"],
            input=_shape(row["input"], where, "input"),
            output=_shape(row["output"], where, "output"),
            kernel=_pair(row["kernel"], where, "kernel"),
            stride=_sides(row["stride"], 1, where, "stride")[0],
            dilation=_sides(row["dilation"], 1, where, "dilation")[0],
            groups=_sides(row["groups"], 1, where, "groups")[0],
        )
    except TargetError as error:
        raise ConfigError(f"{where}: {error}") from None
    return replace(layer, macs=layer_macs(layer.op, layer.input, layer.output, layer.kernel, layer.groups))


def _shape(text: str, where: str, column: str) -> Shape:
    height, width, channels = _sides(text, 3, where, column)
    return height, width, channels


def _pair(text: str, where: str, column: str) -> tuple[int, int]:
    height, width = _sides(text, 2, where, column)
    return height, width


def _sides(text: str, count: int, where: str, column: str) -> tuple[int, ...]:
    if not re.fullmatch(rf"\d{{1,6}}(x\d{{1,6}}){{{count - 1}}}", text, re.ASCII):
        form = {1: "a number", 2: "HEIGHTxWIDTH", 3: "HEIGHTxWIDTHxCHANNELS"}[count]
        raise ConfigError(f"{where}: {column} is {text!r:.60}, must be {form}")
    return tuple(int(side) for side in text.split("x"))


def _heads(text: str, where: str) -> dict[str, int]:
    heads = {}
    for part in text.split(";"):
        match = re.fullmatch(r"\s*(\w+):(\d{1,4})\s*", part, re.ASCII)
        if not match:
            raise ConfigError(f"{where}: tasks is {text!r:.60}, must be TASK:CHANNELS, several separated by ';'")
        heads[match[1]] = int(match[2])
    return heads


def _latency(row: Mapping[str, str], where: str) -> float:
    text = row["latency_ms"]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ConfigError(f"{where}: latency_ms is {text!r:.60}, must be a number of milliseconds above 0")
    return value


def _located(network: str, folder: Path) -> str:
    """Return a network's path as seen from here; names and text forms stay."""
    file = folder / network.partition("#")[0]
    return str(folder / network) if exists(file) and not Path(network).is_absolute() else network
