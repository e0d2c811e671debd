"""Predictions for pictures of any size, as arrays and as pictures to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from ednas.data.cache import resize_image
from ednas.data.rasters import SUFFIXES, read_image
from ednas.exceptions import ConfigError, DataError
from ednas.files import atomic_path
from ednas.nn.heads import resize_bilinear
from ednas.tasks import Task
from ednas.training.device import resolve_device
from ednas.training.model import Model
from ednas.training.tiles import Tiling, forward_tiles

Array = npt.NDArray[Any]

OutputSize = Literal["image", "model"]
"""Size of a prediction: the picture's own, or that of the model's input."""


@dataclass(frozen=True)
class Prediction:
    """What a model says about one picture.

    Attributes:
        source: The picture's file.
        image: RGB, ``uint8`` ``(H, W, 3)``, at the size of the predictions.
        values: By task, ``(H, W)`` or ``(H, W, C)``: class ids ``uint8``, depth ``float32`` in the unit of the labels,
            unit normals ``float32`` (x right, y down, z forward).
        pictures: By task, RGB to look at, ``uint8`` ``(H, W, 3)``.
    """

    source: Path
    image: npt.NDArray[np.uint8]
    values: Mapping[str, Array]
    pictures: Mapping[str, npt.NDArray[np.uint8]]


def find_images(paths: Iterable[Path | str]) -> list[Path]:
    """Return the picture files among ``paths``, and those that folders among them hold, sorted by name.

    Of a folder, files whose names begin with a dot are left out: systems put them beside pictures.

    Raises:
        DataError: A path does not exist, or a folder holds no picture.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            visible = (file for file in path.iterdir() if not file.name.startswith("."))
            inside = sorted(file for file in visible if file.suffix.lower() in SUFFIXES and file.is_file())
            if not inside:
                raise DataError(f"{path}: holds no picture ({', '.join(SUFFIXES)})")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise DataError(f"{path}: no such file or folder")
    return found


def predict(
    model: Model,
    images: Iterable[Path | str],
    *,
    size: OutputSize = "image",
    tiling: Tiling | None = None,
    batch_size: int = 8,
    device: str | None = None,
    on_error: Callable[[DataError], None] | None = None,
) -> Iterator[Prediction]:
    """Predict every task for pictures of any size, one after the other.

    A picture is resized to the model's input size, as the samples of its training were; with ``tiling`` it keeps its
    own size and is predicted in overlapping windows.

    Args:
        model: What predicts; left in evaluation mode.
        images: Picture files (PNG, JPEG or NPY), or folders of them.
        size: ``image`` brings predictions back to the picture's own size, ``model`` leaves them at the model's.
        tiling: Predict in overlapping windows instead of resized pictures.
        batch_size: Pictures, or windows of one picture, at a time.
        device: Where the network is moved to before; None = where it is.
        on_error: Told about each picture that cannot be read, which is then left out; None = it is an error.

    Yields:
        One prediction per picture, in order.

    Raises:
        DataError: A path does not exist (before anything is predicted), or a picture is corrupt; names the file.
        ConfigError: Wrong size, batch size or device; or the model's size with ``tiling``.
    """
    if size not in ("image", "model"):
        raise ConfigError(f"size '{size}': write image (the picture's own size) or model (the model's input size)")
    if size == "model" and tiling is not None:
        raise ConfigError("size 'model': tiles cover a picture at its own size; leave out one of the two")
    if batch_size < 1:
        raise ConfigError(f"batch size {batch_size}: must be at least 1")
    files = find_images(images)
    if device is not None:
        model.to(resolve_device(device))
    model.network.eval()
    pictures = _read(files, on_error)
    if tiling is not None:
        return _predict_tiled(model, pictures, tiling, batch_size)
    return _predict(model, pictures, size, batch_size)


def write_predictions(predictions: Iterable[Prediction], out: Path | str) -> list[Path]:
    """Write ``<picture>_<task>.png`` and ``<picture>_<task>.npy`` for every prediction; each file whole or not at all.

    Args:
        predictions: From :func:`predict`.
        out: The folder to write to; made if it is missing.

    Returns:
        The files, in order.

    Raises:
        DataError: As :func:`predict`, for the picture that it comes to; files of the pictures before are whole.
        EdnasError: A file cannot be written.
    """
    out = Path(out)
    written: list[Path] = []
    taken: set[str] = set()
    for prediction in predictions:
        stem = _free_name(prediction.source.stem, taken)
        for task, values in prediction.values.items():
            picture, array = out / f"{stem}_{task}.png", out / f"{stem}_{task}.npy"
            with atomic_path(picture) as temporary:
                Image.fromarray(prediction.pictures[task]).save(temporary, format="PNG")
            with atomic_path(array) as temporary:
                np.save(temporary, values, allow_pickle=False)
            written += [picture, array]
    return written


def _read(
    files: Iterable[Path], on_error: Callable[[DataError], None] | None
) -> Iterator[tuple[Path, npt.NDArray[np.uint8]]]:
    for file in files:
        try:
            image = read_image(file)
        except DataError as error:
            if on_error is None:
                raise
            on_error(error)
        else:
            yield file, image


def _predict(
    model: Model, pictures: Iterator[tuple[Path, npt.NDArray[np.uint8]]], size: OutputSize, batch_size: int
) -> Iterator[Prediction]:
    while batch := list(islice(pictures, batch_size)):
        inputs = np.stack([resize_image(image, model.input_size) for _, image in batch])
        with torch.inference_mode():
            outputs = model.forward(_as_tensor(inputs, model.device))
        for index, (file, image) in enumerate(batch):
            shown = image if size == "image" else inputs[index]
            raw = {name: output[index : index + 1] for name, output in outputs.items()}
            yield _decode(model.tasks, file, shown, raw)


def _predict_tiled(
    model: Model, pictures: Iterator[tuple[Path, npt.NDArray[np.uint8]]], tiling: Tiling, batch_size: int
) -> Iterator[Prediction]:
    for file, image in pictures:
        with torch.inference_mode():
            outputs = forward_tiles(model.forward, _as_tensor(image[None], model.device), tiling, batch_size=batch_size)
        yield _decode(model.tasks, file, image, outputs)


def _as_tensor(images: npt.NDArray[np.uint8], device: torch.device) -> Tensor:
    """Turn ``uint8`` ``(N, H, W, 3)`` into what :meth:`Model.forward` takes."""
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float().div_(255)


@torch.inference_mode()
def _decode(
    tasks: Mapping[str, Task], file: Path, image: npt.NDArray[np.uint8], raw: Mapping[str, Tensor]
) -> Prediction:
    values: dict[str, Array] = {}
    pictures: dict[str, npt.NDArray[np.uint8]] = {}
    for name, task in tasks.items():
        # Raw outputs are resized, not what is decoded from them: between two classes there is no third one.
        decoded = task.decode(resize_bilinear(raw[name].float(), image.shape[:2]))[0].cpu().numpy()
        values[name] = _as_array(decoded)
        pictures[name] = task.picture(decoded)
    return Prediction(file, image, values, pictures)


def _as_array(decoded: Array) -> Array:
    """Channels last, one channel without an axis, and the smallest type that holds class ids."""
    if decoded.ndim == 3:
        decoded = decoded[0] if len(decoded) == 1 else np.moveaxis(decoded, 0, -1)
    if decoded.dtype.kind in "iu":
        return decoded.astype(np.uint8 if decoded.min() >= 0 and decoded.max() <= 255 else np.int32)
    return np.ascontiguousarray(decoded, dtype=np.float32)


def _free_name(stem: str, taken: set[str]) -> str:
    """Pictures of one name, from different folders, get numbers."""
    name, number = stem, 2
    while name in taken:
        name, number = f"{stem}_{number}", number + 1
    taken.add(name)
    return name
