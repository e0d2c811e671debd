"""A user's own measurements of a device: latencies of networks, or of single layers, as CSV.

Networks, one a row, to calibrate a target with::

    network,latency_ms,input,tasks
    models/mobilenet.tflite,2.6,,
    base,3.4,256x256,segmentation:19;depth:1
    layers.json#inception_v1,3.4,,

``network`` is what ``ednas latency`` takes; paths count from the file's folder; ``input`` and ``tasks`` are for
architectures and may be left out. A table that others made, of several devices, is read with a :class:`Selection`::

    device,threads,network,min_ms,avg_ms
    Raspberry Pi 4,1,mobilenet_v2,93.1,95.2

Layers, one a row, to add up (:mod:`ednas.hw.sources.table`) or to calibrate with::

    op,input,output,kernel,stride,dilation,groups,latency_ms
    CONV_2D,112x112x32,112x112x64,1x1,1,1,1,0.21
"""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from ednas.exceptions import ConfigError, EdnasError, TargetError, hint
from ednas.files import exists, is_file, is_folder, require_regular
from ednas.hw.graph import ops
from ednas.hw.graph.layer_list import layer_macs
from ednas.hw.graph.layers import Layer, LayerGraph, Precision, Shape, sides_text
from ednas.hw.networks import load_network
from ednas.hw.targets.calibration import Sample

LATENCY = "latency_ms"
NETWORK_COLUMNS = ("network", LATENCY)
LAYER_COLUMNS = ("op", "input", "output", LATENCY)
ROW_COLUMNS = ("op", "input", "output", "kernel", "stride", "dilation", "groups")
"""What distinguishes a layer from others."""

_OPTIONAL = {"network": ("input", "tasks"), "op": ("kernel", "stride", "dilation", "groups", "name")}
_MOST_OFFERED = 5
_Row: TypeAlias = tuple[str, dict[str, str]]
"""A row's place in the file, and its values by column."""

_DEFAULTS = {"kernel": "1x1", "stride": "1", "dilation": "1", "groups": "1", "name": ""}


@dataclass(frozen=True)
class Selection:
    """What to read of a table of several devices.

    Attributes:
        where: What columns must hold: the text, or what only one text in that column begins with.
        latency: The column of the latency in milliseconds.
        folder: Where the networks are: ``NAME`` is its file of that name, whatever its ending.
        only: Networks to read; empty = all.
    """

    where: Mapping[str, str] = field(default_factory=dict)
    latency: str = LATENCY
    folder: Path | None = None
    only: tuple[str, ...] = ()


def read_measurements(
    path: str | Path,
    selection: Selection | None = None,
    *,
    precision: Precision | None = None,
    left_out: Callable[[str], None] | None = None,
) -> list[Sample]:
    """Read measured networks or layers.

    Args:
        path: The CSV file.
        selection: What to read of a table of several devices, which may have columns that are not read.
        precision: The type in which the device computes every network: files of integers are left out.
        left_out: Called with the reason for each network that is left out; None = a network that cannot be read is an
            error.

    Raises:
        ConfigError: The file is missing or no CSV, a column is missing or unknown, a value is wrong, or a selection
            fits no row; the message names the line.
        EdnasError: A network cannot be read.
    """
    path = Path(path)
    folder = selection.folder if selection else None
    if folder is not None and not is_folder(folder):
        raise ConfigError(f"{folder}: no such folder of networks")
    rows = _rows(path) if selection is None else _selected(path, selection)
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
            located = _located(row["network"], path.parent) if folder is None else _file_of(row["network"], folder)
            if selection and folder is None and not (heads or input_size or exists(located.partition("#")[0])):
                raise ConfigError(f"'{row['network']}' is no file; give the folder of the networks")
            network = load_network(located, heads=heads, input_size=input_size)
        except EdnasError as error:
            if left_out is None:
                raise ConfigError(f"{where}: {error}") from None
            left_out(f"{where}: {error}")
            continue
        if precision and network.heads is None and _has_integers(network.graph):
            if left_out is None:
                raise ConfigError(f"{where}: '{row['network']}' computes integers, the device {precision}")
            left_out(f"{where}: '{row['network']}' computes integers, the device {precision}")
            continue
        samples.append(Sample(row["network"], network.graph, latency))
    if not samples:
        raise ConfigError(f"{path}: none of its {len(rows)} networks can be taken")
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


def _rows(path: Path) -> list[_Row]:
    """Return the rows of a file of networks or layers."""
    columns, rows = _table(path)
    if columns:
        _check_columns(columns, path)
    return rows


def _selected(path: Path, selection: Selection) -> list[_Row]:
    """Return the rows of a table that are selected, with the columns of a file of networks."""
    columns, rows = _table(path)
    for name in ("network", selection.latency, *selection.where):
        if name not in columns:
            raise ConfigError(f"{path}: no column '{name}'; its columns are {', '.join(columns)}")
    for name, wanted in selection.where.items():
        values = {row[name] for _, row in rows}
        found = {wanted} & values or {value for value in values if value.startswith(wanted)}
        if len(found) != 1:
            problem = f"{len(found)} texts begin with" if found else "no row holds"
            offer = "; ".join(sorted(found)[:_MOST_OFFERED]) or hint(wanted, values, f"there are {len(values)} others")
            raise ConfigError(f"{path}: {problem} '{wanted}' in column '{name}': {offer}")
        rows = [(where, row) for where, row in rows if row[name] in found]
    unknown = set(selection.only) - {row["network"] for _, row in rows}
    if unknown:
        raise ConfigError(f"{path}: no row of '{sorted(unknown)[0]}' among those that are selected")
    chosen = [row for _, row in rows if not selection.only or row["network"] in selection.only]
    repeated = next((name for name, count in Counter(row["network"] for row in chosen).items() if count > 1), None)
    if repeated is not None:
        own = [row for row in chosen if row["network"] == repeated]
        differ = [name for name in columns if name != selection.latency and len({row[name] for row in own}) > 1]
        problem = f"they differ in {', '.join(differ)}" if differ else "they are of one kind"
        raise ConfigError(f"{path}: {len(own)} rows of '{repeated}' are selected, {problem}; choose one of them")
    taken = [name for name in _OPTIONAL["network"] if name in columns]
    return [
        (where, {"network": row["network"], LATENCY: row[selection.latency], **{name: row[name] for name in taken}})
        for where, row in rows
        if not selection.only or row["network"] in selection.only
    ]


def _table(path: Path) -> tuple[tuple[str, ...], list[_Row]]:
    """Return the columns of a file, and its rows with their places in it."""
    try:
        require_regular(path, ConfigError)
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = tuple(name.strip() for name in reader.fieldnames or ())
            reader.fieldnames = list(columns)
            rows = []
            for row in reader if columns else ():
                where = f"{path}: line {reader.line_num}"
                if None in row or None in row.values():
                    raise ConfigError(f"{where}: has {'more' if None in row else 'fewer'} values than columns")
                rows.append((where, {name: value.strip() for name, value in row.items()}))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: not a CSV file that can be read: {error}") from None
    return columns, rows


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


def _layers(rows: list[_Row]) -> list[tuple[Layer, float]]:
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


def _file_of(network: str, folder: Path) -> str:
    """Return the file of a network in a folder."""
    files = [path for path in sorted(folder.glob("*")) if network in (path.name, path.stem) and is_file(path)]
    if len(files) != 1:
        raise ConfigError(f"{folder}: {'several files are' if files else 'no file is'} named '{network}'")
    return str(files[0])


def _has_integers(graph: LayerGraph) -> bool:
    """Whether a layer with weights computes integers."""
    return any(layer.op in ops.CONVOLUTIONS and not layer.is_float for layer in graph.layers)
