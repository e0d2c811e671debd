"""What a format of exported models is, and which there are.

A format is one :class:`Converter`: how a network becomes a file, how a file says what it is, and how it runs on this
computer. The package's own are in :mod:`ednas.export.formats`, one file each; a user's own comes with a plugin.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator

from ednas.exceptions import ConfigError, ExportError
from ednas.export.manifest import Manifest, TensorSpec, parse_manifest
from ednas.files import read_json

if TYPE_CHECKING:
    from ednas.export.audit import Audit
    from ednas.export.deployed import Deployed
    from ednas.hw import Target

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

IO = Literal["int8", "uint8", "float"]
"""Elements of the input and outputs of an int8 model."""

Ranges = Literal["full", "average"]
"""What range a tensor of activations gets from several images: from the least to the greatest value in any of them, or
the images' ranges averaged, which clips what is rare for smaller steps."""


@dataclass(frozen=True)
class Session:
    """A model file that a runtime has loaded.

    Attributes:
        inputs: What the file takes.
        outputs: What it puts out.
        run: Maps the input, as the file takes it, to the outputs by name, as the file puts them out.
    """

    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    run: Callable[[Array], Mapping[str, Array]]


@dataclass(frozen=True)
class Step:
    """An operator of a model: its output tensor, what it does, and the computed tensors that it reads."""

    name: str
    op: str
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Inspection:
    """A model whose every tensor can be seen.

    Attributes:
        steps: The operators, in the order of the graph.
        run: Maps the input, as the file takes it, to the real values of all tensors that are numbers, by name; class
            ids are none.
    """

    steps: tuple[Step, ...]
    run: Callable[[Array], Mapping[str, Floats]]


@dataclass(frozen=True, kw_only=True)
class Converter:
    """A format of exported models: all that is particular to it.

    Attributes:
        name: Its name, for ``--format`` and the manifest's ``runtime``.
        suffix: End of its files' names, with the dot.
        convert: Writes a network as a float file.
        finish: Embeds a manifest in a file, in place of an older one; returns it with the file's input and outputs. The
            input is named ``image``, an output by its task.
        read_manifest: Returns the text of the embedded manifest, None if there is none. A file that is damaged is an
            ``ExportError``.
        open: Loads a file with so many threads.
        packages: What it needs, by the names to import; their versions stand in the manifest.
        extra: Extra of ednas that installs these; empty = they are installed by their own names.
        channels_last: Whether the input is ``(1, H, W, 3)`` and outputs ``(1, h, w, C)``; else channels come first.
        quantise: Each writes a float file as an int8 one, by how it takes the ranges of activations (:data:`Ranges`).
            Called with the float file, normalised images ``(1, H, W, 3)``, the file to write, and ``io=`` where that is
            asked for. Empty: the format knows float models only.
        io: Whether an int8 file may take and give other elements, as ``quantise`` takes it as ``io=``.
        fuse: Whether its files may put out class ids.
        audit: Tells which operators of a file a device runs; None: that is not known.
        inspect: Opens a file so that every tensor can be seen; None: an int8 model's noise is not followed by layer.
    """

    name: str
    suffix: str
    convert: Callable[[Deployed, Path], None]
    finish: Callable[[Path, Manifest], Manifest]
    read_manifest: Callable[[Path], str | None]
    open: Callable[[Path, int], Session]
    packages: tuple[str, ...] = ()
    extra: str = ""
    channels_last: bool = False
    quantise: Mapping[Ranges, Callable[..., None]] = field(default_factory=dict)
    io: bool = False
    fuse: bool = False
    audit: Callable[[Path, Target], Audit] | None = None
    inspect: Callable[[Path], Inspection] | None = None

    @property
    def lacks(self) -> tuple[str, ...]:
        """Options of an export that other formats have and this one has not."""
        has = {"int8": bool(self.quantise), "io": self.io, "targets": self.audit is not None, "fuse": self.fuse}
        return tuple(option for option, known in has.items() if not known)

    def check_installed(self) -> None:
        """Raise unless its packages are there; they are not imported.

        Raises:
            ExportError: One is missing; the message says what to install.
        """
        missing = [package for package in self.packages if find_spec(package) is None]
        if missing:
            wanted = f'"ednas[{self.extra}]"' if self.extra else " ".join(missing)
            raise ExportError(f"format {self.name} needs {', '.join(missing)}; pip install {wanted}")

    def versions(self) -> dict[str, str]:
        """Return the versions of its packages that are installed."""
        found = {}
        for package in self.packages:
            with suppress(PackageNotFoundError):
                found[package] = version(package)
        return found


_registry: dict[str, Converter] = {}


def register_converter(converter: Converter, *, replace: bool = False) -> None:
    """Make a format known by its name, and its files by their suffix.

    Args:
        converter: The format.
        replace: Allow the name to be taken already (in a notebook, where a cell runs twice).

    Raises:
        ConfigError: The name is taken, or the suffix, by another format.
    """
    if converter.name in converters() and not replace:
        raise ConfigError(
            f"an export format '{converter.name}' exists already; choose another name, or pass replace=True"
        )
    owner = by_suffix().get(converter.suffix)
    if owner is not None and owner.name != converter.name:
        raise ConfigError(f"{converter.suffix} files are those of format '{owner.name}'; choose another suffix")
    _registry[converter.name] = converter


def converters() -> dict[str, Converter]:
    """Return all formats by name, sorted: those of this package and those registered by others."""
    package = import_module("ednas.export.formats")
    for module in iter_modules(package.__path__):
        import_module(f"{package.__name__}.{module.name}")
    return dict(sorted(_registry.items()))


def find_converter(name: str) -> Converter:
    """Return a format by its name.

    Raises:
        ConfigError: There is none.
    """
    known = converters()
    if name not in known:
        raise ConfigError(
            f"unknown format '{name}'; known: {', '.join(known)}; give the file that registers another one by --plugin"
        )
    return known[name]


def by_suffix() -> dict[str, Converter]:
    """Return all formats by the end of their files' names."""
    return {converter.suffix: converter for converter in converters().values()}


def converter_of(path: Path) -> Converter:
    """Return the format of a model file, by the end of its name.

    Raises:
        ExportError: It is none of an exported model.
    """
    known = by_suffix()
    if path.suffix.lower() not in known:
        raise ExportError(
            f"{path}: is no exported model; give a {' or '.join(known)} file of `ednas export` (and the plugin of a "
            "format of your own)"
        )
    return known[path.suffix.lower()]


def read_manifest(path: Path | str) -> Manifest:
    """Read a manifest from a ``.json`` file, or the one embedded in a model.

    Nothing in the file is trusted: a damaged one is an error, whatever is wrong with it.

    Raises:
        ExportError: The file is missing, damaged, holds no manifest, or one of another version.
    """
    path = Path(path)
    if not path.is_file():
        raise ExportError(f"{path}: {'is a folder, give a model file' if path.is_dir() else 'no such file'}")
    if path.suffix == ".json":
        return _of_known_format(parse_manifest(read_json(path, ExportError), path), path)
    text = converter_of(path).read_manifest(path)
    if text is None:
        raise ExportError(f"{path}: holds no manifest of ednas; write the model with `ednas export`")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise ExportError(f"{path}: its manifest is damaged; export the model again") from None
    return _of_known_format(parse_manifest(content, path), path)


def _of_known_format(manifest: Manifest, path: Path) -> Manifest:
    try:
        find_converter(manifest.runtime)
    except ConfigError as error:
        raise ExportError(f"{path}: 'runtime': {error}") from None
    return manifest


def _known(name: str) -> str:
    try:
        return find_converter(name).name
    except ConfigError as error:
        raise ValueError(str(error)) from None


FormatName = Annotated[str, AfterValidator(_known)]
"""Name of a format that is known."""
