"""The pictures of a run: predictions beside labels, kept as PNG files in the run's ``predictions/`` folder.

``predictions/index.json`` says what is what, so that names of models and tasks need not be file names::

    {"format": 1, "samples": [{"name": "scene 1", "image": "0/image.png", "tasks": {
        "depth": {"label": "0/task_0_label.png", "legend": "0/task_0_legend.png",
                  "predictions": {"baseline": "0/task_0_0.png", "found": "0/task_0_1.png"}}
    }}]}
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ednas.exceptions import DataError
from ednas.files import atomic_path, read_json, write_json
from ednas.report.content import Picture

if TYPE_CHECKING:
    from torch import Tensor

    from ednas.data import CachedSplit, DenseDataset
    from ednas.data.sample import TargetInfo
    from ednas.tasks import Task
    from ednas.training import Model

INDEX = "index.json"

_WIDTH = 256
"""Largest width of a picture, and that of its legend."""


def encode_png(pixels: Any, max_width: int = _WIDTH) -> bytes:
    """Return a picture as PNG, made smaller if it is wider than ``max_width``.

    Args:
        pixels: RGB, ``uint8`` ``(H, W, 3)``, for example from :meth:`ednas.tasks.base.Task.picture`.
        max_width: Largest width in pixels.
    """
    from PIL import Image

    image = Image.fromarray(pixels)
    if image.width > max_width:
        size = (max_width, max(1, round(image.height * max_width / image.width)))
        image = image.resize(size, Image.Resampling.BOX)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def paint_picture(
    sample: str,
    name: str,
    task: Task,
    *,
    image: npt.NDArray[np.uint8],
    label: Tensor,
    predictions: Mapping[str, Tensor],
    sky: npt.NDArray[np.bool_] | np.bool_,
) -> Picture:
    """Paint a label and predictions of it as one picture, so that a colour means the same in all, and cut it apart.

    Args:
        sample: Name of the image.
        name: Name of the task.
        task: The task.
        image: RGB ``(H, W, 3)``.
        label: Decoded, without the batch axis.
        predictions: By model, decoded, of the label's size.
        sky: Where the labels of classes say sky ``(H, W)``: see :meth:`ednas.tasks.Task.with_sky`.
    """
    from ednas.data.legend import draw_legend

    values = (label, *predictions.values())
    arrays = [(value.float() if value.is_floating_point() else value).cpu().numpy() for value in values]
    together = np.concatenate([task.with_sky(array, sky, arrays[0]) for array in arrays], -1)
    pixels = task.picture(together)
    legend = draw_legend(task.legend(together).seen_in([pixels]), _WIDTH)
    parts = [encode_png(part) for part in np.split(pixels, len(arrays), axis=1)]
    return Picture(
        sample=sample,
        task=name,
        image=encode_png(image),
        label=parts[0],
        predictions=tuple(zip(predictions, parts[1:], strict=True)),
        legend=encode_png(legend) if len(legend) else None,
    )


def label_sky(batch: Mapping[str, Tensor], targets: Mapping[str, TargetInfo]) -> npt.NDArray[np.bool_] | np.bool_:
    """Return where the class labels of a batch's first sample say sky, ``(H, W)``."""
    from ednas.data.colors import sky_pixels

    return sky_pixels({name: batch[name][0].cpu().numpy() for name in targets}, targets)


def paint_predictions(
    models: Sequence[tuple[str, Model]], tasks: Iterable[str], dataset: DenseDataset, samples: int
) -> Iterator[Picture]:
    """Paint what models predict for some samples of a dataset, spread evenly, beside the labels.

    Args:
        models: With their names; several may have one, each with tasks of its own.
        tasks: Which tasks; each is one of the last model's, at whose size it is painted.
        dataset: The split.
        samples: How many.
    """
    from ednas.data import open_cache
    from ednas.data.loader import load_samples

    splits = {model.input_size: open_cache(dataset, model.input_size) for _, model in models}
    step = max(1, len(dataset) // samples)
    for index in range(0, min(len(dataset), step * samples), step):
        for task in tasks:
            chosen = [(name, model) for name, model in models if task in model.tasks]
            last = chosen[-1][1]
            split, made = splits[last.input_size], last.tasks[task]
            batch = load_samples(split, [index])
            label = made.decode_target(batch[made.target])[0]
            yield paint_picture(
                dataset.source(index),
                task,
                made,
                image=split.image[index],
                label=label,
                predictions={
                    name: _decoded(model, splits[model.input_size], index, task, label) for name, model in chosen
                },
                sky=label_sky(batch, split.info.targets),
            )


def _decoded(model: Model, split: CachedSplit, index: int, task: str, like: Tensor) -> Tensor:
    """Return one sample's decoded prediction, at the size of the label ``like``."""
    import torch

    from ednas.data.loader import load_samples
    from ednas.nn.heads import resize_bilinear

    with torch.inference_mode():
        raw = model.forward(load_samples(split, [index])["image"])[task]
        return model.tasks[task].decode(resize_bilinear(raw, like.shape[-2:]))[0]


def save_pictures(pictures: Iterable[Picture], folder: Path | str) -> None:
    """Write pictures and their index into ``folder``, replacing what it held.

    Raises:
        EdnasError: The folder cannot be written.
    """
    with atomic_path(folder) as place:
        place.mkdir()
        samples: dict[str, dict[str, Any]] = {}
        for picture in pictures:
            new = {"name": picture.sample, "image": f"{len(samples)}/image.png", "tasks": {}}
            entry = samples.setdefault(picture.sample, new)
            (place / entry["image"]).parent.mkdir(exist_ok=True)
            _write(place, entry["image"], picture.image)
            prefix = f"{Path(entry['image']).parent}/task_{len(entry['tasks'])}"
            entry["tasks"][picture.task] = {
                "label": _write(place, f"{prefix}_label.png", picture.label),
                "legend": _write(place, f"{prefix}_legend.png", picture.legend),
                "predictions": {
                    model: _write(place, f"{prefix}_{position}.png", png)
                    for position, (model, png) in enumerate(picture.predictions)
                },
            }
        write_json(place / INDEX, {"format": 1, "samples": list(samples.values())})


def load_pictures(folder: Path | str, max_bytes: int = 800_000) -> tuple[Picture, ...]:
    """Read the pictures that :func:`save_pictures` wrote.

    Args:
        folder: The folder.
        max_bytes: No further image is read once the files have this size together, so that a report stays small.

    Raises:
        DataError: The index or a file is missing or damaged, or a path leads out of the folder.
    """
    folder = Path(folder)
    index = folder / INDEX
    value = read_json(index, DataError)
    try:
        if value.get("format") != 1:
            raise DataError(f"{index}: format {value.get('format')!r:.40}, this version reads format 1")
        pictures: list[Picture] = []
        for sample in value["samples"]:
            if sum(map(_size, pictures)) >= max_bytes:
                break
            pictures += _read_sample(folder, sample)
        return tuple(pictures)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{index}: not an index of pictures ({type(error).__name__}: {error})") from None


def _read_sample(folder: Path, sample: Mapping[str, Any]) -> list[Picture]:
    return [
        Picture(
            sample=str(sample["name"]),
            task=str(task),
            image=_read(folder, sample["image"]),
            label=None if files["label"] is None else _read(folder, files["label"]),
            predictions=tuple((str(model), _read(folder, name)) for model, name in files["predictions"].items()),
            legend=None if files.get("legend") is None else _read(folder, files["legend"]),
        )
        for task, files in sample["tasks"].items()
    ]


def _size(picture: Picture) -> int:
    shown = [picture.label or b"", picture.legend or b"", *(png for _, png in picture.predictions)]
    return len(picture.image) + sum(map(len, shown))


def _write(folder: Path, name: str, png: bytes | None) -> str | None:
    """Write a file if there is something to write; return its name, or None."""
    if png is None:
        return None
    (folder / name).write_bytes(png)
    return name


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{folder / INDEX}: '{name:.80}' lies outside the folder")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if not content.startswith(b"\x89PNG"):
        raise DataError(f"{path}: not a PNG file")
    return content
