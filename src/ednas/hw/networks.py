"""One way in for every description of a network: an architecture, a checkpoint, a TFLite file, a layer list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ednas.exceptions import ArchitectureError, ConfigError
from ednas.files import read_json
from ednas.hw.graph import LayerGraph
from ednas.hw.layer_list import load_layer_list

DEFAULT_HEADS: Mapping[str, int] = {"segmentation": 19, "depth": 1}
"""Tasks with their output channels where nothing says otherwise: those of Cityscapes in the paper."""

DEFAULT_INPUT_SIZE = (256, 256)
"""Height and width in pixels where nothing says otherwise."""

_CHANNELS = {"normals": 3}
"""Output channels by kind of target; 1 for the others that have no classes."""


@dataclass(frozen=True)
class Network:
    """A network whose cost is asked for.

    Attributes:
        name: For people.
        graph: Its layers.
        model: Its TFLite file; None if it does not come from one.
    """

    name: str
    graph: LayerGraph
    model: Path | None = None


def load_network(
    source: str,
    *,
    network: str | None = None,
    heads: Mapping[str, int] | None = None,
    input_size: tuple[int, int] | None = None,
) -> Network:
    """Return the network that ``source`` means.

    Args:
        source: A ``.tflite`` file; a JSON file of layer lists, ``FILE#NAME`` for one of several; or whatever
            :func:`ednas.arch.load_architecture` takes: a name, a JSON file, a checkpoint folder, a text form.
        network: Which network of a file of layer lists.
        heads: Output channels by task of an architecture; None = a checkpoint's, else :data:`DEFAULT_HEADS`.
        input_size: Height and width in pixels for an architecture; None = a checkpoint's or the architecture's own,
            else :data:`DEFAULT_INPUT_SIZE`.

    Raises:
        TargetError: The TFLite file is not one, or holds what the cost model does not know.
        ConfigError: The layer list is wrong, or ``network`` does not fit the kind of source.
        ArchitectureError: There is no such architecture, or the heads or the input size are wrong.
    """
    text, _, fragment = source.partition("#")
    path = Path(text)
    network = network or fragment or None
    if path.suffix == ".tflite" or _starts_like_tflite(path):
        from ednas.hw.tflite import load_tflite

        _refuse_name(network, source)
        return Network(path.stem, load_tflite(path), path)
    if network is not None or _is_layer_list(path):
        return Network(network or path.stem, load_layer_list(path, network))
    return _traced(source, heads, input_size)


def _traced(source: str, heads: Mapping[str, int] | None, input_size: tuple[int, int] | None) -> Network:
    from ednas.arch import load_architecture
    from ednas.hw.trace import trace_network

    architecture = load_architecture(source)
    config = _checkpoint_config(Path(source))
    size = input_size or _size(config.get("input_size")) or architecture.input_size or DEFAULT_INPUT_SIZE
    graph = trace_network(architecture, heads or _checkpoint_heads(config) or DEFAULT_HEADS, size)
    return Network(architecture.name or architecture.fingerprint(), graph)


def _starts_like_tflite(path: Path) -> bool:
    """Whether a file bears TFLite's mark, whatever its name."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(8)[4:] == b"TFL3"


def _is_layer_list(path: Path) -> bool:
    """Whether a file holds layer lists: an object with `layers`, or objects with `layers` by name."""
    if path.suffix != ".json" or not path.is_file():
        return False
    value = read_json(path, ConfigError)
    entries = [value, *value.values()] if isinstance(value, dict) else []
    return any(isinstance(entry, dict) and "layers" in entry for entry in entries)


def _checkpoint_config(path: Path) -> Mapping[str, Any]:
    file = path / "config.json" if path.is_dir() else path
    if file.name != "config.json" or not file.is_file():
        return {}
    value = read_json(file, ArchitectureError)
    return value if isinstance(value, dict) else {}


def _checkpoint_heads(config: Mapping[str, Any]) -> dict[str, int]:
    tasks, targets = config.get("tasks"), config.get("targets")
    if not isinstance(tasks, list) or not isinstance(targets, dict):
        return {}
    heads = {}
    for task in tasks:
        target = targets.get(task)
        kind, classes = (target.get("kind"), target.get("num_classes")) if isinstance(target, dict) else (None, None)
        heads[str(task)] = classes if isinstance(classes, int) and classes > 0 else _CHANNELS.get(str(kind), 1)
    return heads


def _size(value: Any) -> tuple[int, int] | None:
    is_size = isinstance(value, list) and len(value) == 2 and all(isinstance(side, int) for side in value)
    return (value[0], value[1]) if is_size else None


def _refuse_name(network: str | None, source: str) -> None:
    if network is not None:
        raise ConfigError(f"{source}: a TFLite file holds a single network, '{network}' cannot be chosen")
