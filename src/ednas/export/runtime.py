"""Running exported models on this computer, each in the runtime of its format.

LiteRT and ONNX Runtime are native code that trusts the file. So a file's structure is read by code that trusts nothing,
and then a process of its own loads the model and runs it once, before this process does: what a damaged file may bring
down is that process, and the user reads one line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ednas.exceptions import ExportError, TargetError
from ednas.export.converter import Array, Floats, Session, converter_of, read_manifest
from ednas.export.manifest import Manifest, TensorSpec
from ednas.hw.sources.litert import LiteRT

_PATIENCE_S = 300.0
"""A model's first load and run may take so long."""


class Runner:
    """An exported model that is ready to run.

    Args:
        path: The file.
        manifest: What it is.
        session: The file, loaded.

    Attributes:
        manifest: The same.

    Raises:
        ExportError: The file's input and outputs are not those of the manifest.
    """

    def __init__(self, path: Path, manifest: Manifest, session: Session) -> None:
        _check_tensors(path, manifest, session)
        self.manifest = manifest
        self._path = path
        self._session = session

    def run(self, images: Floats) -> dict[str, Floats]:
        """Predict every task.

        Args:
            images: RGB, normalised as the manifest says, ``(N, H, W, 3)``; quantised here where the model wants it.

        Returns:
            By task, the dequantised output ``(N, C, h, w)`` (class ids: one channel) at the model's output stride.

        Raises:
            ExportError: The images have another size than the model's, or the model cannot be run.
        """
        manifest, path = self.manifest, self._path
        expected = (*manifest.input_size, 3)
        if images.ndim != 4 or images.shape[1:] != expected or not len(images):
            raise ExportError(f"{path}: images of shape {images.shape}, expected (N, {', '.join(map(str, expected))})")
        predicted: dict[str, list[Floats]] = {task: [] for task in manifest.outputs}
        for image in images:
            with one_line_errors(f"{path}: cannot be run"):
                values = self._session.run(input_tensor(image, manifest))
            for task, spec in manifest.outputs.items():
                predicted[task].append(_planes(dequantise(values[spec.name], spec), manifest))
        return {task: np.concatenate(parts) for task, parts in predicted.items()}


def open_model(path: Path | str, *, threads: int = 1) -> Runner:
    """Open an exported model.

    Args:
        path: A file that ``ednas export`` wrote.
        threads: Threads of the runtime.

    Raises:
        ExportError: The file is missing, damaged, no exported model, compiled for a device, or does not fit its
            manifest; or the runtime is not installed.
    """
    path = Path(path)
    converter = converter_of(path)
    manifest = read_manifest(path)
    if manifest.runtime != converter.name:
        raise ExportError(f"{path}: its manifest is of a model for {manifest.runtime}; export the model again")
    return Runner(path, manifest, converter.open(path, threads))


def quantise(values: Floats, spec: TensorSpec) -> Array:
    """Return real values as a tensor holds them; rounded and saturated if it is quantised."""
    dtype = np.dtype(spec.dtype)
    if spec.scale is None:
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    steps = np.rint(values / np.float32(spec.scale)) + spec.zero_point
    quantised: Array = np.clip(steps, limits.min, limits.max).astype(dtype)
    return quantised


def dequantise(values: Array, spec: TensorSpec) -> Floats:
    """Return the real values of what a tensor holds."""
    real = values.astype(np.float32)
    return real if spec.scale is None else (real - np.float32(spec.zero_point)) * np.float32(spec.scale)


def input_tensor(image: Floats, manifest: Manifest) -> Array:
    """Return one normalised image ``(H, W, 3)`` as the model's input, with its layout and type."""
    batch = image[None] if manifest.channels_last else np.ascontiguousarray(image.transpose(2, 0, 1)[None])
    return quantise(batch, manifest.input)


def try_in_a_process(path: Path) -> None:
    """Load and run a TFLite or ONNX file in a process of its own.

    Raises:
        ExportError: It could not, or it died.
    """
    try:
        LiteRT(processes=1, runs=1, warmup=0, timeout_s=_PATIENCE_S).measure_file(path)
    except TargetError as error:
        raise ExportError(str(error)) from None


@contextmanager
def one_line_errors(what: str) -> Iterator[None]:
    """Turn whatever a runtime raises, which has no common base, into one line."""
    try:
        yield
    except Exception as error:
        raise ExportError(f"{what}: {' '.join(str(error).split())[:300]}") from None


def _planes(values: Floats, manifest: Manifest) -> Floats:
    """Bring an output into the layout ``(1, C, h, w)``; class ids come without an axis of channels."""
    if values.ndim == 3:
        return values[:, None]
    return values.transpose(0, 3, 1, 2) if manifest.channels_last else values


def _check_tensors(path: Path, manifest: Manifest, session: Session) -> None:
    """Raise unless a file's inputs and outputs are those of its manifest, which device programs go by."""
    wanted = manifest.input
    if len(session.inputs) != 1 or not _same(session.inputs[0], wanted):
        raise ExportError(f"{path}: its input is not what its manifest says ({_text(wanted)}); export the model again")
    if wanted.shape not in ((1, *manifest.input_size, 3), (1, 3, *manifest.input_size)):
        raise ExportError(f"{path}: its manifest says two input sizes; export the model again")
    found = {spec.name: spec for spec in session.outputs}
    for spec in manifest.outputs.values():
        if spec.name not in found or not _same(found[spec.name], spec):
            raise ExportError(
                f"{path}: its output '{spec.name}' is not what its manifest says ({_text(spec)}); "
                "export the model again"
            )


def _same(found: TensorSpec, described: TensorSpec) -> bool:
    if (found.name, found.shape, found.dtype) != (described.name, described.shape, described.dtype):
        return False
    if found.scale is None or described.scale is None:
        return found.scale == described.scale
    return (
        found.zero_point == described.zero_point and np.isclose(found.scale, described.scale, rtol=1e-6, atol=0).item()
    )


def _text(spec: TensorSpec) -> str:
    return f"'{spec.name}', {'x'.join(map(str, spec.shape))}, {spec.dtype}"
