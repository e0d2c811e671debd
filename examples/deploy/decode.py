"""What a device computes around an ednas model: from a picture to the input, and from the outputs to predictions.

NumPy is all that it needs. Copy this file to the device, beside the model and its ``model.json``:

    decoder = Decoder(read_manifest("model.tflite"))  # reads the model.json beside it
    tensor = decoder.prepare(image)                   # uint8 RGB (H, W, 3) of any size -> the model's input
    outputs = ...                                     # run the model: an array for each task
    predictions = decoder.decode(outputs)             # class ids, depth, unit normals
    pictures = decoder.paint(predictions)             # RGB to look at; what the colours mean, decoder.legends says

:func:`open_network` does the first four in one, where LiteRT is installed.

It computes what ``ednas predict`` computes, step by step: the same resizing, normalisation and decoding.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Picture = npt.NDArray[Any]
"""RGB, ``uint8`` ``(H, W, 3)``."""
Size = tuple[int, int]

_PIXEL_BITS = 22
"""Resized pixels are sums of products with weights that are whole multiples of 1 / 2 ** 22, as Pillow has them."""

_SCALE = [(18, 8, 46), (62, 15, 96), (110, 25, 110), (158, 42, 99), (202, 66, 75), (233, 103, 45), (247, 152, 24)]
_SCALE += [(245, 204, 62), (250, 250, 176)]
"""Colours of depths, from far to near."""

_NO_DEPTH, _SKY = (128, 128, 128), (135, 190, 235)
"""Colours of pixels that are not on that scale."""

_CLASSES = ("argmax", "class_ids")
"""Kinds of decoding that give classes."""

_KEYS = {"runtime", "tasks", "targets", "input_size", "normalisation", "input", "outputs"}
"""What a manifest must have to be one."""


class Legend(NamedTuple):
    """What the colours of a picture mean.

    Attributes:
        colors: Names and their colours, RGB.
        scale: The depth or disparity at the near (bright) and at the far (dark) end of the scale, if there is one.
        unit: Of the scale.
    """

    colors: Sequence[tuple[str, Sequence[int]]] = ()
    scale: tuple[float, float] | None = None
    unit: str = ""


class DeployError(Exception):
    """A model, its manifest or a picture cannot be used; the message says why in one line."""


def read_manifest(model: str | Path) -> dict[str, Any]:
    """Read ``model.json``: the file itself, or the one beside a model.

    Raises:
        DeployError: It is missing, damaged, or no manifest that this program understands.
    """
    path = Path(model) if Path(model).suffix == ".json" else Path(model).parent / "model.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DeployError(f"{path}: no such file; `ednas export` writes it beside the model, copy both") from None
    except (OSError, ValueError) as error:
        raise DeployError(f"{path}: cannot be read ({error})") from None
    if not isinstance(manifest, dict) or not manifest.keys() >= _KEYS:
        raise DeployError(f"{path}: is no manifest of an exported model")
    if manifest.get("format") != 1:
        raise DeployError(f"{path}: manifest of format {manifest.get('format')}, this program reads format 1")
    return manifest


class Decoder:
    """Prepares pictures for a model and decodes what it says.

    Args:
        manifest: From :func:`read_manifest`.

    Attributes:
        manifest: The same.
        input_size: ``(H, W)`` of the model's input.
        tasks: In the order of the model's outputs.
    """

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        self.manifest = manifest
        self.input_size: Size = tuple(manifest["input_size"])
        self.tasks: tuple[str, ...] = tuple(manifest["tasks"])
        self._channels_first = manifest["runtime"] == "onnx"
        self._table = _input_table(manifest["input"], manifest["normalisation"])

    def prepare(self, image: Picture) -> Array:
        """Return the model's input, resized, normalised and quantised as it expects.

        Args:
            image: RGB, ``uint8`` ``(H, W, 3)``, any size; stretched if its aspect ratio is another than the model's.

        Raises:
            DeployError: The image is of another kind.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise DeployError(f"image is {image.dtype} {image.shape}, must be uint8 (height, width, 3)")
        pixels = resize_image(image, self.input_size)
        tensor = np.stack([self._table[:, channel][pixels[..., channel]] for channel in range(3)], axis=-1)[None]
        return np.ascontiguousarray(np.moveaxis(tensor, -1, 1)) if self._channels_first else tensor

    def decode(self, outputs: Mapping[str, Array], size: Size | None = None) -> dict[str, Array]:
        """Return what each task predicts.

        Args:
            outputs: By task, as they come from the model.
            size: ``(H, W)`` of the predictions; by default that of the model's input, which is the quickest.

        Returns:
            Class ids ``uint8`` ``(H, W)``; depth ``float32`` ``(H, W)``, in the unit of the manifest; unit normals
            ``float32`` ``(H, W, 3)``, x right, y down, z forward; for other tasks the raw output.

        Raises:
            DeployError: An output is missing or has another shape than the manifest says.
        """
        for task in self.tasks:
            expected = tuple(self.manifest["outputs"][task]["shape"])
            if task not in outputs or outputs[task].shape != expected:
                found = f"has shape {outputs[task].shape}" if task in outputs else "is missing"
                raise DeployError(f"output {task} {found}; model.json, which says {expected}, is of another model")
        return {task: self._decode(task, outputs[task], size or self.input_size) for task in self.tasks}

    def paint(self, predictions: Mapping[str, Array]) -> dict[str, Picture]:
        """Return an RGB picture ``uint8`` ``(H, W, 3)`` of every prediction."""
        sky = self._sky(predictions)
        return {task: self._paint(task, prediction, sky) for task, prediction in predictions.items()}

    def legends(self, predictions: Mapping[str, Array]) -> dict[str, Legend]:
        """Return what the colours of :meth:`paint` mean, by task."""
        sky = self._sky(predictions)
        return {task: self._legend(task, prediction, sky) for task, prediction in predictions.items()}

    def _decode(self, task: str, output: Array, size: Size) -> Array:
        spec = self.manifest["outputs"][task]
        kind = spec["decoding"]["kind"]
        values = np.moveaxis(output, 1, -1)[0] if self._channels_first and output.ndim == 4 else output[0]
        if kind == "class_ids":
            return _resize_nearest(values.reshape(values.shape[:2]), size).astype(np.uint8)
        real = values.astype(np.float32)
        if spec["scale"] is not None:
            real = (real - np.float32(spec["zero_point"])) * np.float32(spec["scale"])
        # Raw outputs are resized, not what is decoded from them: between two classes there is no third one.
        real = resize_bilinear(resize_bilinear(real, self.input_size), size)
        if kind == "argmax":
            return real.argmax(axis=-1).astype(np.uint8)
        if kind == "normals":
            return _unit_vectors(real)
        values = real[..., 0] if real.shape[-1] == 1 else real
        return np.maximum(values, 0) if kind == "depth" else values

    def _paint(self, task: str, prediction: Array, sky: Array) -> Picture:
        decoding = self.manifest["outputs"][task]["decoding"]
        if decoding["kind"] in _CLASSES:
            palette = np.zeros((256, 3), np.uint8)
            palette[: len(decoding["colors"])] = decoding["colors"]
            return palette[prediction]
        if decoding["kind"] == "normals":
            return np.rint((np.clip(prediction, -1, 1) + 1) * 127.5).astype(np.uint8)
        if decoding["kind"] != "depth":
            channel = prediction if prediction.ndim == 2 else prediction[..., 0]
            far, near = _range(channel, np.isfinite(channel))
            return paint_scale(channel, near, far)
        picture = paint_scale(prediction, *self._ends(task, prediction, sky))
        picture[prediction <= 0] = _NO_DEPTH
        picture[np.broadcast_to(sky, prediction.shape)] = _SKY
        return picture

    def _legend(self, task: str, prediction: Array, sky: Array) -> Legend:
        decoding = self.manifest["outputs"][task]["decoding"]
        if decoding["kind"] in _CLASSES:
            names = decoding["class_names"] or [f"class {index}" for index in range(decoding["channels"])]
            return Legend(list(zip(names, decoding["colors"], strict=True)))
        if decoding["kind"] != "depth":
            return Legend()
        named = [("sky", _SKY), ("no depth", _NO_DEPTH)]
        return Legend(named, self._ends(task, prediction, sky), decoding["unit"])

    def _ends(self, task: str, depth: Array, sky: Array) -> tuple[float, float]:
        """Return the values at the near and at the far end of a depth's scale."""
        low, high = _range(depth, (depth > 0) & ~sky)
        is_disparity = self.manifest["targets"].get(task, {}).get("kind") == "disparity"
        return (high, low) if is_disparity else (low, high)

    def _sky(self, predictions: Mapping[str, Array]) -> Array:
        """Return where classes say sky: a network is taught no depth there."""
        sky = np.array(False)
        for task, prediction in predictions.items():
            names = list(self.manifest["outputs"][task]["decoding"]["class_names"])
            if "sky" in names:
                sky = sky | (prediction == names.index("sky"))
        return sky


class Network:
    """A model in an interpreter: from a picture to predictions.

    Type and quantisation of the tensors are read from the model file, so that ``model_float.tflite`` runs with the same
    ``model.json``.

    Args:
        interpreter: LiteRT's (or tflite_runtime's), its tensors allocated.
        manifest: From :func:`read_manifest`.

    Attributes:
        decoder: What prepares pictures and decodes outputs.

    Raises:
        DeployError: The manifest is of another model.
    """

    def __init__(self, interpreter: Any, manifest: Mapping[str, Any]) -> None:
        self._interpreter = interpreter
        self._input = _match(manifest["input"], interpreter.get_input_details())
        found = interpreter.get_output_details()
        self._outputs = {task: _match(spec, found) for task, spec in manifest["outputs"].items()}
        self.decoder = Decoder({**manifest, "input": self._input, "outputs": self._outputs})

    def predict(self, image: Picture, size: Size | None = None) -> dict[str, Array]:
        """Return what each task predicts; arguments and results as in :meth:`Decoder.prepare` and ``decode``."""
        self._interpreter.set_tensor(self._input["index"], self.decoder.prepare(image))
        self._interpreter.invoke()
        outputs = {task: self._interpreter.get_tensor(spec["index"]) for task, spec in self._outputs.items()}
        return self.decoder.decode(outputs, size)


def open_network(model: str | Path, delegate: str | None = None, threads: int = 1) -> Network:
    """Load a TFLite file into LiteRT.

    Args:
        model: The file, with ``model.json`` beside it.
        delegate: A library that runs it on other hardware, for example ``libedgetpu.so.1``.
        threads: Threads on the processor.

    Raises:
        DeployError: LiteRT is missing, or the model, its manifest or the delegate cannot be loaded.
    """
    manifest, runtime = read_manifest(model), _runtime()
    try:
        # A library that is missing fails in ctypes already: in load_delegate it would leave a traceback behind.
        delegates = [runtime.load_delegate(delegate)] if delegate and ctypes.CDLL(delegate) else None
        interpreter = runtime.Interpreter(str(model), experimental_delegates=delegates, num_threads=threads)
        interpreter.allocate_tensors()
    except (OSError, ValueError, RuntimeError) as error:
        raise DeployError(f"{model}: cannot be loaded ({' '.join(str(error).split())})") from None
    return Network(interpreter, manifest)


def _runtime() -> ModuleType:
    """Return LiteRT's module, or that of its predecessor, which some libraries for Coral are built for."""
    problems = []
    for name in ("ai_edge_litert.interpreter", "tflite_runtime.interpreter"):
        try:
            return import_module(name)
        except ImportError as error:
            problems.append(str(error))
    raise DeployError(f"LiteRT cannot be loaded ({problems[0]}); pip install ai-edge-litert")


def resize_image(image: Picture, size: Size) -> Picture:
    """Resize a picture by a triangle filter, which averages when it shrinks, as for the training.

    That is Pillow's ``BILINEAR`` bit for bit along one axis. Along both it may be a level of 255 off, since versions of
    Pillow differ in which axis comes first.

    Args:
        image: ``uint8`` ``(H, W, C)``.
        size: The new ``(H, W)``.
    """
    for axis, new in ((1, size[1]), (0, size[0])):
        old = image.shape[axis]
        if old == new:
            continue
        reach = max(old / new, 1.0)
        centres = (np.arange(new) + 0.5) * (old / new)
        first = np.maximum(centres - reach + 0.5, 0).astype(int)
        pixels = first[:, None] + np.arange(int(np.ceil(reach)) * 2 + 1)
        weights = np.maximum(1 - np.abs(pixels + 0.5 - centres[:, None]) / reach, 0) * (pixels < old)
        weights = np.floor(weights / weights.sum(1, keepdims=True) * 2**_PIXEL_BITS + 0.5).astype(np.int32)
        sums = np.int32(2 ** (_PIXEL_BITS - 1))
        for pixel, weight in zip(np.minimum(pixels, old - 1).T, weights.T, strict=True):
            sums = sums + image.take(pixel, axis) * np.expand_dims(weight, (1, 2) if axis == 0 else (0, 2))
        image = np.clip(sums >> _PIXEL_BITS, 0, 255).astype(np.uint8)
    return image


def resize_bilinear(values: Array, size: Size) -> Array:
    """Resize ``float32`` ``(H, W, C)``, bilinear with half-pixel centres: PyTorch's with ``align_corners=False``."""
    for axis, new in ((1, size[1]), (0, size[0])):
        old = values.shape[axis]
        if old == new:
            continue
        positions = np.maximum((np.arange(new) + 0.5) * float(np.float32(old / new)) - 0.5, 0).astype(np.float32)
        low = np.minimum(positions.astype(int), old - 1)
        share = np.expand_dims((positions - low).astype(np.float32), (1, 2) if axis == 0 else (0, 2))
        near, far = values.take(low, axis), values.take(np.minimum(low + 1, old - 1), axis)
        near *= 1 - share
        far *= share
        near += far
        values = near
    return values


def _resize_nearest(values: Array, size: Size) -> Array:
    """Resize ``(H, W)`` by taking, for every new pixel, the old one that its centre falls in."""
    rows, columns = ((2 * np.arange(new) + 1) * old // (2 * new) for new, old in zip(size, values.shape, strict=True))
    return values[rows[:, None], columns]


def _match(spec: Mapping[str, Any], tensors: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Complete a tensor's entry in the manifest by what the model file says about it, and where it is."""
    tensor = next((tensor for tensor in tensors if tensor["name"] == spec["name"]), None)
    if tensor is None or list(tensor["shape"]) != list(spec["shape"]):
        raise DeployError(f"the model has no '{spec['name']}' of shape {spec['shape']}; model.json is of another model")
    scale, zero_point = tensor["quantization"]
    dtype = np.dtype(tensor["dtype"]).name
    return {**spec, "index": tensor["index"], "dtype": dtype, "scale": scale or None, "zero_point": zero_point}


def _input_table(tensor: Mapping[str, Any], normalisation: Mapping[str, Any]) -> Array:
    """Return the input's number for each of a pixel's 256 values, ``(256, 3)``: normalising needs no arithmetic."""
    mean, std = (np.array(normalisation[name], np.float32) for name in ("mean", "std"))
    real = (np.arange(256, dtype=np.float32)[:, None] / np.float32(255) - mean) / std
    dtype = np.dtype(tensor["dtype"])
    if tensor["scale"] is None:
        return real.astype(dtype)
    limits = np.iinfo(dtype)
    levels = np.rint(real / np.float32(tensor["scale"])) + tensor["zero_point"]
    return np.clip(levels, limits.min, limits.max).astype(dtype)


def _unit_vectors(vectors: Array) -> Array:
    """Scale ``(H, W, 3)`` to length 1; a vector of length 0 becomes (0, 0, -1), which faces the camera."""
    # Dividing by the largest entry first keeps squares of very long and very short vectors within range.
    largest = np.abs(vectors).max(-1, keepdims=True)
    scaled = np.where(largest > 0, vectors / np.where(largest > 0, largest, 1), np.array([0, 0, -1], np.float32))
    return scaled / np.sqrt(np.square(scaled).sum(-1, keepdims=True))


def _range(values: Array, valid: Array) -> tuple[float, float]:
    """Return the 2nd and the 98th percentile of valid values, beyond which few pixels lie."""
    low, high = np.percentile(values[valid], (2, 98)) if valid.any() else (0.0, 1.0)
    return float(low), float(high)


def paint_scale(values: Array, near: float, far: float) -> Picture:
    """Paint numbers ``(H, W)``, bright at ``near``, dark at ``far``."""
    nearness = np.clip((values - far) / (near - far), 0, 1) if near != far else np.full(values.shape, 0.5)
    stops = np.linspace(0, 255, len(_SCALE))
    table = np.stack([np.interp(np.arange(256), stops, channel) for channel in zip(*_SCALE, strict=True)], axis=-1)
    return np.rint(table).astype(np.uint8)[np.rint(np.nan_to_num(nearness) * 255).astype(np.uint8)]
