"""A contact sheet of a dataset: one row a sample, its image and every target side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from ednas.data.colors import color_target
from ednas.data.sample import DenseDataset, TargetInfo, valid_pixels
from ednas.exceptions import ConfigError
from ednas.files import atomic_path

_GAP = 4
_LINE = 16
_PAPER = (255, 255, 255)
_INK = (40, 40, 40)


def preview(dataset: DenseDataset, out_path: Path | str, *, count: int = 8, width: int = 256) -> Path:
    """Draw samples spread over a split and save them as one PNG.

    Args:
        dataset: The split.
        out_path: Where to save; ends in ``.png``.
        count: Number of samples (at most as many as there are).
        width: Width of a cell in pixels; heights keep the shape of the image.

    Returns:
        ``out_path``.

    Raises:
        ConfigError: ``count`` or ``width`` is not positive, or the name does not end in ``.png``.
        DataError: A sample cannot be read.
        EdnasError: The file cannot be written.
    """
    out_path = Path(out_path)
    if count < 1 or width < 1:
        raise ConfigError(f"a preview needs at least 1 sample and 1 pixel (got {count} samples, width {width})")
    if out_path.suffix.lower() != ".png":
        raise ConfigError(f"{out_path}: a preview is a PNG; let the name end in .png")
    chosen = np.unique(np.linspace(0, len(dataset) - 1, min(count, len(dataset))).round().astype(int))
    rows = [_row(dataset, int(index), width) for index in chosen]
    sheet = _paste(rows, ["image", *(_title(dataset, name) for name in dataset.info.targets)])
    with atomic_path(out_path) as temporary:
        sheet.save(temporary, format="PNG")
    return out_path


def _row(dataset: DenseDataset, index: int, width: int) -> tuple[str, list[Image.Image]]:
    sample = dataset[index]
    size = (width, max(1, round(width * sample.image.shape[0] / sample.image.shape[1])))
    cells = [_resize(sample.image, size, Image.Resampling.BILINEAR)]
    cells += [_target_cell(sample.targets[name], info, size) for name, info in dataset.info.targets.items()]
    return dataset.source(index), cells


def _target_cell(values: npt.NDArray[np.generic], info: TargetInfo, size: tuple[int, int]) -> Image.Image:
    if valid_pixels(values, info).any():
        return _resize(color_target(values, info), size, Image.Resampling.NEAREST)
    cell = Image.new("RGB", size, _PAPER)
    ImageDraw.Draw(cell).text((_GAP, _GAP), "no label", fill=_INK, font=ImageFont.load_default())
    return cell


def _resize(picture: npt.NDArray[np.uint8], size: tuple[int, int], how: Image.Resampling) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(picture)).resize(size, how)


def _title(dataset: DenseDataset, name: str) -> str:
    info = dataset.info.targets[name]
    return f"{name} ({info.num_classes} classes)" if info.kind == "labels" else f"{name} {info.unit}".rstrip()


def _paste(rows: list[tuple[str, list[Image.Image]]], titles: list[str]) -> Image.Image:
    """Lay out the rows below a line of titles; each row has its name above it."""
    width = rows[0][1][0].width
    height = _GAP + _LINE + sum(_LINE + cells[0].height + _GAP for _, cells in rows)
    sheet = Image.new("RGB", (_GAP + (width + _GAP) * len(titles), height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default()
    for column, title in enumerate(titles):
        draw.text((_GAP + column * (width + _GAP), _GAP), _printable(title), fill=_INK, font=font)
    top = _GAP + _LINE
    for name, cells in rows:
        draw.text((_GAP, top), _printable(name), fill=_INK, font=font)
        top += _LINE
        for column, cell in enumerate(cells):
            sheet.paste(cell, (_GAP + column * (width + _GAP), top))
        top += cells[0].height + _GAP
    return sheet


def _printable(text: str) -> str:
    """The built-in font may know Latin-1 only."""
    return text.encode("latin-1", "replace").decode("latin-1")
