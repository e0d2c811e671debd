"""What `evaluate` and `predict` share: a checkpoint or an exported model, and tiles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ednas.cli.options import parse_size

if TYPE_CHECKING:
    from ednas.export.predictor import ExportedModel
    from ednas.training import Model, Tiling

ModelPath = Annotated[
    Path,
    typer.Argument(
        help="A checkpoint folder, or an exported model: a .tflite or .onnx file, or one of a plugin's format."
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps; exported models run on the CPU.")]
Tile = Annotated[
    str | None,
    typer.Option(
        help="HEIGHTxWIDTH, or auto (the model's input size): do not resize images to the model's input size, predict "
        "them in overlapping tiles and blend these."
    ),
]
Overlap = Annotated[
    float | None, typer.Option(help="Share of a tile that the next one covers too, 0 to 0.9; default: 0.25.")
]


def open_model(path: Path, device: str) -> Model | ExportedModel:
    """Open a checkpoint, its network on a device, or an exported model.

    Raises:
        ConfigError: Unknown device, or an exported model is to run on another one than the CPU.
        EdnasError: It is missing or damaged.
    """
    from ednas.export.converter import by_suffix

    if path.is_file() or path.suffix in by_suffix():
        from ednas.exceptions import ConfigError
        from ednas.export.predictor import ExportedModel

        if device not in ("auto", "cpu"):
            raise ConfigError(f"device '{device}': exported models run on the CPU; leave --device out")
        return ExportedModel.open(path)
    from ednas.training import load_checkpoint
    from ednas.training.device import resolve_device

    where = resolve_device(device)
    return load_checkpoint(path).to(where)


def parse_tiling(tile: str | None, overlap: float | None, input_size: tuple[int, int]) -> Tiling | None:
    """Read ``--tile`` and ``--overlap``.

    Raises:
        ConfigError: One is wrong, or an overlap is given without tiles.
    """
    from ednas.exceptions import ConfigError
    from ednas.training.tiles import DEFAULT_OVERLAP, Tiling

    if tile is None:
        if overlap is not None:
            raise ConfigError("--overlap: is that of tiles; give --tile too")
        return None
    size = input_size if tile == "auto" else parse_size(tile, "tile")
    return Tiling(size, DEFAULT_OVERLAP if overlap is None else overlap)
