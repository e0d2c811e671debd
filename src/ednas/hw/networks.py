"""One way in for every description of a network.

An architecture, a checkpoint, a TFLite file, an ncnn ``.param`` file, a layer list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ednas.exceptions import ConfigError
from ednas.files import is_file, is_folder, read_json
from ednas.hw.graph.layer_list import load_layer_list
from ednas.hw.graph.layers import LayerGraph, sides_text
from ednas.hw.ncnn.param_file import MAGIC
from ednas.hw.tflite import schema
from ednas.runs import CheckpointFolder, RunFolder

DEFAULT_HEADS: Mapping[str, int] = {"segmentation": 19, "depth": 1}
"""Tasks with their output channels where nothing says otherwise: those of Cityscapes in the paper."""

DEFAULT_INPUT_SIZE = (256, 256)
"""Height and width in pixels where nothing says otherwise."""


@dataclass(frozen=True)
class Network:
    """A network whose cost is asked for.

    Attributes:
        name: For people.
        graph: Its layers.
        model: Its TFLite file; None if it does not come from one.
        input_size: Height and width in pixels of an architecture's input, or of one that an ncnn file left open; None
            for what fixes its own.
        heads: Output channels by task of an architecture; None for what is no architecture.
    """

    name: str
    graph: LayerGraph
    model: Path | None = None
    input_size: tuple[int, int] | None = None
    heads: Mapping[str, int] | None = None

    @property
    def title(self) -> str:
        """The name with what the cost depends on: ``base, 256x256, segmentation:19, depth:1``."""
        size = [] if self.input_size is None else [sides_text(self.input_size)]
        return ", ".join([self.name, *size, *(f"{task}:{channels}" for task, channels in (self.heads or {}).items())])

    def to_dict(self) -> dict[str, Any]:
        """Return what ``ednas latency --json`` prints of it."""
        return {
            "name": self.name,
            "input_size": self.input_size and list(self.input_size),
            "tasks": self.heads and dict(self.heads),
        }


def load_network(
    source: str,
    *,
    network: str | None = None,
    heads: Mapping[str, int] | None = None,
    input_size: tuple[int, int] | None = None,
) -> Network:
    """Return the network that ``source`` means.

    Args:
        source: A ``.tflite`` file; an ncnn ``.param`` file; a JSON file of layer lists, ``FILE#NAME`` for one of
            several; or whatever :func:`ednas.arch.load_architecture` takes: a name, a JSON file, a checkpoint folder, a
            text form.
        network: Which network of a file of layer lists.
        heads: Output channels by task of an architecture; None = those of the checkpoint or of the search that found
            it, else :data:`DEFAULT_HEADS`.
        input_size: Height and width in pixels for an architecture, or for a ``.param`` file that leaves its size open;
            None = those of the checkpoint or of the search, or the architecture's own, else
            :data:`DEFAULT_INPUT_SIZE`.

    Raises:
        TargetError: The TFLite or ncnn file is not one, or holds what the cost model does not know.
        ConfigError: The layer list is wrong, or ``network``, ``heads`` or ``input_size`` does not fit the kind of
            source.
        ArchitectureError: There is no such architecture, or the heads or the input size are wrong.
    """
    if not source.strip():
        raise ConfigError("the network's name is empty; give an architecture, a .tflite file or a layer list")
    path, chosen = _place(source, network)
    if is_tflite(path):
        from ednas.hw.tflite.reader import load_tflite

        _refuse(source, "a TFLite file", heads, input_size)
        if chosen is not None:
            raise ConfigError(f"{source}: a TFLite file holds a single network, '{chosen}' cannot be chosen")
        return Network(path.stem, load_tflite(path), path)
    if is_ncnn(path):
        from ednas.hw.ncnn.reader import load_ncnn

        _refuse(source, "an ncnn file", heads, None)
        if chosen is not None:
            raise ConfigError(f"{source}: an ncnn file holds a single network, '{chosen}' cannot be chosen")
        return Network(path.stem, load_ncnn(path, input_size), input_size=input_size)
    if chosen is not None or is_layer_list(path):
        _check_choice(source, path, chosen)
        _refuse(source, "a layer list", heads, input_size)
        return Network(chosen or path.stem, load_layer_list(path, chosen))
    return _traced(source, path, heads, input_size)


def is_architecture(source: str) -> bool:
    """Whether tasks and an input size can be chosen for what a text means: not for files that fix both."""
    path, chosen = _place(source, None)
    return chosen is None and not (is_tflite(path) or is_ncnn(path) or is_layer_list(path))


def is_tflite(path: Path) -> bool:
    """Whether a file bears TFLite's mark, whatever its name, or a path TFLite's ending."""
    return path.suffix == ".tflite" or _beginning(path, 8)[4:] == schema.IDENTIFIER


def is_ncnn(path: Path) -> bool:
    """Whether a file begins as ncnn's ``.param`` files do, whatever its name, or a path has their ending."""
    return path.suffix == ".param" or _beginning(path, len(MAGIC)) == MAGIC.encode()


def is_layer_list(path: Path) -> bool:
    """Whether a file holds layer lists, whatever its name: an object with `layers`, or objects with `layers` by name.

    Raises:
        ConfigError: The file's name ends with ``.json``, and it holds none.
    """
    if not is_file(path) or (path.suffix != ".json" and not _beginning(path, 64).lstrip().startswith(b"{")):
        return False
    try:
        value = read_json(path, ConfigError)
    except ConfigError:
        if path.suffix == ".json":
            raise
        return False
    entries = [value, *value.values()] if isinstance(value, dict) else []
    return any(isinstance(entry, dict) and "layers" in entry for entry in entries)


def _place(source: str, network: str | None) -> tuple[Path, str | None]:
    """Return the path that a text may be, and which network of a file of layer lists is meant."""
    text, _, fragment = source.partition("#")
    if network and fragment and network != fragment:
        raise ConfigError(f"{source}: '{fragment}' is chosen after the #, and '{network}' beside it; choose one")
    return Path(text), network or fragment or None


def _beginning(path: Path, count: int) -> bytes:
    if not is_file(path):
        return b""
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None


def _check_choice(source: str, path: Path, chosen: str | None) -> None:
    """Refuse the choice of a network from what is no file of layer lists; a missing file is named by its reader."""
    is_missing = bool(path.suffix) and not is_file(path)
    if chosen is not None and not is_missing and not is_layer_list(path):
        raise ConfigError(f"{source}: is no file of layer lists, so that '{chosen}' cannot be chosen from it")


def _refuse(source: str, kind: str, heads: Mapping[str, int] | None, input_size: tuple[int, int] | None) -> None:
    """Refuse what would be ignored."""
    for name, value in (("input size", input_size), ("tasks", heads)):
        if value is not None:
            raise ConfigError(f"{source}: {kind} fixes its own {name}; leave the {name} out")


def _traced(source: str, path: Path, heads: Mapping[str, int] | None, input_size: tuple[int, int] | None) -> Network:
    from ednas.arch import load_architecture, read_facts, stored_input_size
    from ednas.hw.graph.trace import trace_network

    _check_folder(source)
    architecture = load_architecture(source)
    facts = read_facts(path)
    size = input_size or stored_input_size(path) or architecture.input_size or DEFAULT_INPUT_SIZE
    tasks = heads or _stored_heads(facts) or DEFAULT_HEADS
    graph = trace_network(architecture, tasks, size)
    return Network(architecture.name or architecture.fingerprint(), graph, None, size, tasks)


def _check_folder(source: str) -> None:
    """Refuse a folder that is no checkpoint, and name what it holds: the folders of runs do."""
    folder = Path(source)
    run = RunFolder(folder)
    if not is_folder(folder) or CheckpointFolder(folder).config.exists():
        return
    known = [place for place in (run.best, run.checkpoint.path) if place.exists()]
    hint = f"give {' or '.join(map(str, known))}" if known else "give a checkpoint's folder, or a file"
    raise ConfigError(f"{source}: is a folder without a checkpoint's config.json; {hint}")


def _stored_heads(facts: Mapping[str, Any]) -> dict[str, int]:
    heads = facts.get("heads")
    is_sound = isinstance(heads, dict) and all(isinstance(count, int) and count > 0 for count in heads.values())
    return dict(heads) if isinstance(heads, dict) and is_sound else {}
