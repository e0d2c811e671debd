"""A contact sheet of a dataset: one row a sample, its image and every target side by side, legends at the foot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from ednas.data.colors import Picture, color_target, depth_range, mark_sky, sky_pixels
from ednas.data.legend import INK, PAPER, Legend, draw_legend, printable, target_legend
from ednas.data.rasters import resize_image, resize_nearest
from ednas.data.sample import DEPTHS, DenseDataset, TargetInfo, valid_pixels
from ednas.exceptions import ConfigError
from ednas.files import atomic_path

_GAP = 4
_LINE = 16


def preview(dataset: DenseDataset, out_path: Path | str, *, count: int = 8, width: int = 256) -> Path:
    """Draw samples spread over a split and save them as one PNG.

    All samples of a depth share one scale of colours.

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
    rows = [_read_row(dataset, int(index), width) for index in chosen]
    images = _Column("image", [row.image for row in rows], draw_legend(Legend(), width))
    targets = [_target_column(rows, name, info, width) for name, info in dataset.info.targets.items()]
    sheet = _paste(rows, [images, *targets], width)
    with atomic_path(out_path) as temporary:
        sheet.save(temporary, format="PNG")
    return out_path


@dataclass(frozen=True)
class _Row:
    """One sample at the size of the cells; a target is None where the sample has no label of it."""

    name: str
    image: Picture
    targets: dict[str, npt.NDArray[Any] | None]


@dataclass(frozen=True)
class _Column:
    """What stands below a title: a cell for each sample, and a legend for all."""

    title: str
    cells: list[Picture]
    legend: Picture


def _read_row(dataset: DenseDataset, index: int, width: int) -> _Row:
    sample = dataset[index]
    size = (max(1, round(width * sample.image.shape[0] / sample.image.shape[1])), width)
    infos = dataset.info.targets
    sky = sky_pixels(sample.targets, infos)
    targets: dict[str, npt.NDArray[Any] | None] = {}
    for name, info in infos.items():
        values = sample.targets[name]
        has_label = valid_pixels(values, info)
        if info.kind in DEPTHS:
            values = mark_sky(values, sky & ~has_label)
        targets[name] = resize_nearest(values, size) if has_label.any() else None
    return _Row(dataset.source(index), resize_image(sample.image, size), targets)


def _target_column(rows: list[_Row], name: str, info: TargetInfo, width: int) -> _Column:
    """Paint a target of all samples: a colour means the same in all of them."""
    labelled = [values for row in rows if (values := row.targets[name]) is not None]
    together = np.concatenate([values.ravel() for values in labelled]) if labelled else np.zeros(0)
    span = depth_range(together) if info.kind in DEPTHS and labelled else None
    pictures = [color_target(values, info, span) for values in labelled]
    legend = draw_legend(target_legend(info, span).seen_in(pictures), width)
    painted = iter(pictures)
    cells = [_no_label(row.image.shape) if row.targets[name] is None else next(painted) for row in rows]
    title = f"{name} ({info.num_classes} classes)" if info.kind == "labels" else f"{name} {info.unit}".rstrip()
    return _Column(title, cells, legend)


def _no_label(shape: tuple[int, ...]) -> Picture:
    cell = Image.fromarray(np.full(shape, PAPER, np.uint8))
    ImageDraw.Draw(cell).text((_GAP, _GAP), "no label", fill=INK, font=ImageFont.load_default())
    return np.array(cell)


def _paste(rows: list[_Row], columns: list[_Column], width: int) -> Image.Image:
    """Lay out the rows below a line of titles, each with its name above it, and the legends below all."""
    height = _GAP + _LINE + sum(_LINE + row.image.shape[0] + _GAP for row in rows)
    legends = max(len(column.legend) for column in columns)
    sheet = Image.new("RGB", (_GAP + (width + _GAP) * len(columns), height + legends), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default()
    for number, column in enumerate(columns):
        left, top = _GAP + number * (width + _GAP), _GAP + _LINE
        draw.text((left, _GAP), printable(column.title), fill=INK, font=font)
        for cell in column.cells:
            sheet.paste(Image.fromarray(cell), (left, top + _LINE))
            top += _LINE + len(cell) + _GAP
        sheet.paste(Image.fromarray(column.legend), (left, top))
    top = _GAP + _LINE
    for row in rows:
        draw.text((_GAP, top), printable(row.name), fill=INK, font=font)
        top += _LINE + len(row.image) + _GAP
    return sheet
