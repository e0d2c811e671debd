"""Predictions for pictures of any size, as arrays and as pictures to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from ednas.data.legend import Legend, with_legend
from ednas.data.rasters import SUFFIXES, read_image, resize_image
from ednas.data.sample import TargetInfo
from ednas.exceptions import ConfigError, DataError, TrainingError
from ednas.files import atomic_path
from ednas.nn.heads import resize_bilinear
from ednas.tasks import Task
from ednas.tasks.pictures import paint
from ednas.training.device import resolve_device
from ednas.training.model import Model
from ednas.training.size import stretching
from ednas.training.tiles import Tiling, forward_tiles

Array = npt.NDArray[Any]

_Picture = tuple[Path, npt.NDArray[np.uint8]]
"""Where a picture is from, and RGB ``(H, W, 3)``."""

_Output = tuple[Path, npt.NDArray[np.uint8], Mapping[str, Tensor]]
"""Where a picture is from, the image at the size of the prediction, and the raw outputs ``(1, C, h, w)`` by task."""

OutputSize = Literal["image", "model"]
"""Size of a prediction: the picture's own, or that of the model's input."""

ALPHA = 0.6
"""How much of the image classes hide that are laid over it."""


class Predictor(Protocol):
    """What predicts: a :class:`Model`, or an exported one (:class:`ednas.export.predictor.ExportedModel`)."""

    @property
    def tasks(self) -> Mapping[str, Task]:
        """By name."""

    @property
    def targets(self) -> Mapping[str, TargetInfo]:
        """What the dataset said about the targets that the tasks read."""

    @property
    def input_size(self) -> tuple[int, int]:
        """``(H, W)`` of the images."""

    @property
    def device(self) -> torch.device:
        """Where the images must be."""

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Map images ``(N, 3, H, W)`` in [0, 1] to the raw output of every task, ``(N, C, H, W)``."""


@dataclass(frozen=True)
class Prediction:
    """What a model says about one picture.

    Attributes:
        source: The picture's file.
        image: RGB, ``uint8`` ``(H, W, 3)``, at the size of the predictions.
        values: By task, ``(H, W)`` or ``(H, W, C)``: class ids ``uint8``, depth ``float32`` in the unit of the labels,
            unit normals ``float32`` (x right, y down, z forward).
        pictures: By task, RGB to look at, ``uint8`` ``(H, W, 3)``.
        legends: By task, what the colours of such pictures mean.
    """

    source: Path
    image: npt.NDArray[np.uint8]
    values: Mapping[str, Array]
    pictures: Mapping[str, npt.NDArray[np.uint8]]
    legends: Mapping[str, Legend]

    def overlay(self, task: str, alpha: float = ALPHA) -> npt.NDArray[np.uint8]:
        """Return a task's picture; one of classes is laid over the image.

        Args:
            task: The task.
            alpha: How much of the image the classes hide, from 0 to 1.
        """
        if self.values[task].dtype.kind not in "iu":
            return self.pictures[task]
        return np.array(Image.blend(Image.fromarray(self.image), Image.fromarray(self.pictures[task]), alpha))


def find_images(paths: Iterable[Path | str], announce: Callable[[str], None] | None = None) -> list[Path]:
    """Return the picture files among ``paths``, and those that folders among them hold, sorted by name.

    Of a folder, files whose names begin with a dot are left out: systems put them beside pictures.

    Args:
        paths: Files and folders.
        announce: Called with a line that says what else a folder holds.

    Raises:
        DataError: A path does not exist, or a folder holds no picture.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            visible = sorted(file for file in path.iterdir() if not file.name.startswith("."))
            inside = [file for file in visible if file.suffix.lower() in SUFFIXES and file.is_file()]
            if not inside:
                raise DataError(f"{path}: holds no picture ({', '.join(SUFFIXES)})")
            others = [file.name for file in visible if file not in inside]
            if others and announce is not None:
                announce(f"{path}: {len(others)} others than {', '.join(SUFFIXES)} are left out, like {others[0]}")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise DataError(f"{path}: no such file or folder")
    return found


def predict(
    model: Predictor,
    images: Iterable[Path | str],
    *,
    size: OutputSize = "image",
    tiling: Tiling | None = None,
    batch_size: int = 8,
    device: str | None = None,
    on_error: Callable[[DataError], None] | None = None,
    announce: Callable[[str], None] | None = None,
) -> Iterator[Prediction]:
    """Predict every task for pictures of any size, one after the other.

    A picture is resized to the model's input size, as the samples of its training were: one of another shape is
    stretched. With ``tiling`` it keeps its own size and is predicted in overlapping windows.

    Args:
        model: What predicts; a network is left in evaluation mode.
        images: Picture files (PNG, JPEG or NPY), or folders of them.
        size: ``image`` brings predictions back to the picture's own size, ``model`` leaves them at the model's.
        tiling: Predict in overlapping windows instead of resized pictures.
        batch_size: Pictures, or windows of one picture, at a time.
        device: Where a network is moved to before; None = where it is. Exported models run on the CPU.
        on_error: Called for each picture that cannot be read and is left out; None = it is an error.
        announce: Called with a line that says how pictures are stretched, when the first one is.

    Yields:
        One prediction per picture, in order.

    Raises:
        DataError: A path does not exist (before anything is predicted), or a picture is corrupt; names the file.
        ConfigError: Wrong size, batch size or device; or the model's size with ``tiling``.
        ExportError: An exported model cannot be run, or takes no windows of such a size.
        TrainingError: A prediction is not finite.
    """
    files = find_images(images, announce)
    if isinstance(model, Model) and device is not None:
        model.to(resolve_device(device))
    pictures = _read(files, on_error)
    return predict_images(model, pictures, size=size, tiling=tiling, batch_size=batch_size, announce=announce)


def predict_images(
    model: Predictor,
    pictures: Iterable[_Picture],
    *,
    size: OutputSize = "image",
    tiling: Tiling | None = None,
    batch_size: int = 8,
    value_ranges: Mapping[str, tuple[float, float]] | None = None,
    announce: Callable[[str], None] | None = None,
) -> Iterator[Prediction]:
    """Predict every task for pictures that are read already; all else is as :func:`predict` says.

    Args:
        model: What predicts; a network is left in evaluation mode.
        pictures: Where each one is from, and its RGB ``uint8`` ``(H, W, 3)``.
        size: As for :func:`predict`.
        tiling: As for :func:`predict`.
        batch_size: As for :func:`predict`.
        value_ranges: Smallest and largest value of the colour scale by task; None: each picture has its own.
        announce: As for :func:`predict`.
    """
    if size not in ("image", "model"):
        raise ConfigError(f"size '{size}': write image (the picture's own size) or model (the model's input size)")
    if size == "model" and tiling is not None:
        raise ConfigError("size 'model': tiles cover a picture at its own size; leave out one of the two")
    if batch_size < 1:
        raise ConfigError(f"batch size {batch_size}: must be at least 1")
    if isinstance(model, Model):
        model.network.eval()
    if tiling is not None:
        outputs = _forward_tiled(model, iter(pictures), tiling, batch_size)
    else:
        outputs = _forward(model, _announced(pictures, model.input_size, announce), size, batch_size)
    return (_decode(model, file, image, raw, value_ranges or {}) for file, image, raw in outputs)


def write_predictions(predictions: Iterable[Prediction], out: Path | str, *, alpha: float = ALPHA) -> list[Path]:
    """Write ``<picture>_<task>.png`` and ``<picture>_<task>.npy`` for every prediction; each file whole or not at all.

    The PNG is to look at: classes lie over the image, and a legend of what is seen, or the scale of a depth, stands
    below. The array holds the prediction itself.

    Args:
        predictions: From :func:`predict`.
        out: The folder to write to; made if it is missing.
        alpha: How much of the image the classes hide, from 0 to 1.

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
        stem = free_name(prediction.source.stem, taken)
        for task, values in prediction.values.items():
            picture, array = out / f"{stem}_{task}.png", out / f"{stem}_{task}.npy"
            legend = prediction.legends[task].seen_in([prediction.pictures[task]])
            with atomic_path(picture) as temporary:
                Image.fromarray(with_legend(prediction.overlay(task, alpha), legend)).save(temporary, format="PNG")
            with atomic_path(array) as temporary:
                np.save(temporary, values, allow_pickle=False)
            written += [picture, array]
    return written


def _read(files: Iterable[Path], on_error: Callable[[DataError], None] | None) -> Iterator[_Picture]:
    for file in files:
        try:
            image = read_image(file)
        except DataError as error:
            if on_error is None:
                raise
            on_error(error)
        else:
            yield file, image


def _announced(
    pictures: Iterable[_Picture], size: tuple[int, int], announce: Callable[[str], None] | None
) -> Iterator[_Picture]:
    """Pass pictures on; say of the first one that is stretched how it is."""
    for file, image in pictures:
        how = stretching(size, image.shape[:2])
        if announce is not None and how:
            height, width = image.shape[:2]
            announce(f"predicting at {size[0]}x{size[1]} ({file}: {height}x{width} {how}; others of its shape too)")
            announce = None
        yield file, image


def _forward(model: Predictor, pictures: Iterator[_Picture], size: OutputSize, batch_size: int) -> Iterator[_Output]:
    while batch := list(islice(pictures, batch_size)):
        inputs = np.stack([resize_image(image, model.input_size) for _, image in batch])
        with torch.inference_mode():
            outputs = model.forward(_as_tensor(inputs, model.device))
        for index, (file, image) in enumerate(batch):
            shown = image if size == "image" else inputs[index]
            yield file, shown, {name: output[index : index + 1] for name, output in outputs.items()}


def _forward_tiled(
    model: Predictor, pictures: Iterator[_Picture], tiling: Tiling, batch_size: int
) -> Iterator[_Output]:
    for file, image in pictures:
        with torch.inference_mode():
            outputs = forward_tiles(model.forward, _as_tensor(image[None], model.device), tiling, batch_size=batch_size)
        yield file, image, outputs


def _as_tensor(images: npt.NDArray[np.uint8], device: torch.device) -> Tensor:
    """Turn ``uint8`` ``(N, H, W, 3)`` into what :meth:`Model.forward` takes."""
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float().div_(255)


@torch.inference_mode()
def _decode(
    model: Predictor,
    file: Path,
    image: npt.NDArray[np.uint8],
    raw: Mapping[str, Tensor],
    value_ranges: Mapping[str, tuple[float, float]],
) -> Prediction:
    decoded: dict[str, Array] = {}
    for name, task in model.tasks.items():
        if not bool(torch.isfinite(raw[name]).all()):
            raise TrainingError(f"{file}: {name} is predicted as NaN or infinite; the model is damaged, or diverged")
        # Raw outputs are resized, not what is decoded from them: between two classes there is no third one.
        decoded[name] = task.decode(resize_bilinear(raw[name].float(), image.shape[:2]))[0].cpu().numpy()
    pictures, legends = paint(model.tasks, decoded, value_ranges)
    values = {name: _as_array(each) for name, each in decoded.items()}
    return Prediction(file, image, values, pictures, legends)


def _as_array(decoded: Array) -> Array:
    """Channels last, one channel without an axis, and the smallest type that holds class ids."""
    if decoded.ndim == 3:
        decoded = decoded[0] if len(decoded) == 1 else np.moveaxis(decoded, 0, -1)
    if decoded.dtype.kind in "iu":
        return decoded.astype(np.uint8 if decoded.min() >= 0 and decoded.max() <= 255 else np.int32)
    return np.ascontiguousarray(decoded, dtype=np.float32)


def free_name(stem: str, taken: set[str]) -> str:
    """Return a name that is not taken, and take it: files of one name, from different folders, get numbers."""
    name, number = stem, 2
    while name in taken:
        name, number = f"{stem}_{number}", number + 1
    taken.add(name)
    return name
