"""Running exported models on this computer: ``.tflite`` files in LiteRT, ``.onnx`` files in ONNX Runtime.

Both runtimes are native code that trusts the file. So a file's structure is read by code that trusts nothing, and then
a process of its own loads the model and runs it once, before this process does: what a damaged file may bring down is
that process, and the user reads one line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ednas.exceptions import ExportError, TargetError
from ednas.export.manifest import Manifest, Runtime, TensorSpec, read_manifest
from ednas.hw.sources.litert import MISSING, LiteRT
from ednas.hw.tflite.reader import load_tflite

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

SUFFIXES: Mapping[str, Runtime] = {".tflite": "litert", ".onnx": "onnx"}
"""Runtimes by the end of a model file's name."""

_PATIENCE_S = 300.0
"""A model's first load and run may take so long."""


class Runner(Protocol):
    """An exported model that is ready to run."""

    @property
    def manifest(self) -> Manifest:
        """What the model is."""

    def run(self, images: Floats) -> dict[str, Floats]:
        """Predict every task.

        Args:
            images: RGB, normalised as the manifest says, ``(N, H, W, 3)``; quantised here where the model wants it.

        Returns:
            By task, the dequantised output ``(N, C, h, w)`` (class ids: one channel) at the model's output stride.

        Raises:
            ExportError: The images have another size than the model's, or the model cannot be run.
        """


def open_model(path: Path | str, *, threads: int = 1) -> Runner:
    """Open an exported model.

    Args:
        path: A ``.tflite`` or ``.onnx`` file that ``ednas export`` wrote.
        threads: Threads of the runtime.

    Raises:
        ExportError: The file is missing, damaged, no exported model, compiled for a device, or does not fit its
            manifest; or the runtime is not installed.
    """
    path = Path(path)
    runtime = SUFFIXES.get(path.suffix.lower())
    if runtime is None:
        raise ExportError(f"{path}: is no exported model; give a {' or '.join(SUFFIXES)} file of `ednas export`")
    manifest = read_manifest(path)
    if manifest.runtime != runtime:
        raise ExportError(f"{path}: its manifest is of a model for {manifest.runtime}; export the model again")
    return LiteRTRunner(path, manifest, threads) if runtime == "litert" else OnnxRunner(path, manifest, threads)


class LiteRTRunner:
    """A ``.tflite`` file in LiteRT; see :class:`Runner`.

    Args:
        path: The file.
        manifest: What it holds.
        threads: Threads of LiteRT.

    Raises:
        ExportError: As :func:`open_model`.
    """

    def __init__(self, path: Path, manifest: Manifest, threads: int = 1) -> None:
        self.manifest = manifest
        self._path = path
        try:
            load_tflite(path)
        except TargetError as error:
            raise ExportError(str(error)) from None
        _try(path)
        self._interpreter = load_interpreter(path, threads)
        with _one_line_errors(f"{path}: is damaged"):  # names may be no text
            inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        _check_tensors(
            path, manifest, [tensor_spec(entry) for entry in inputs], [tensor_spec(entry) for entry in outputs]
        )
        self._input: int = inputs[0]["index"]
        self._outputs: dict[str, int] = {entry["name"]: entry["index"] for entry in outputs}

    def run(self, images: Floats) -> dict[str, Floats]:
        """Predict every task; see :meth:`Runner.run`."""
        return _run(self.manifest, self._invoke, images, self._path)

    def _invoke(self, image: Array) -> dict[str, Array]:
        self._interpreter.set_tensor(self._input, image)
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(index) for name, index in self._outputs.items()}


class OnnxRunner:
    """An ``.onnx`` file in ONNX Runtime; see :class:`Runner`.

    Args:
        path: The file.
        manifest: What it holds.
        threads: Threads of ONNX Runtime.

    Raises:
        ExportError: As :func:`open_model`.
    """

    def __init__(self, path: Path, manifest: Manifest, threads: int = 1) -> None:
        self.manifest = manifest
        self._path = path
        _try(path)
        self._session = load_session(path, threads)
        with _one_line_errors(f"{path}: is damaged"):  # names may be no text
            inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        _check_tensors(
            path, manifest, [_onnx_spec(entry) for entry in inputs], [_onnx_spec(entry) for entry in outputs]
        )
        self._names = [entry.name for entry in outputs]

    def run(self, images: Floats) -> dict[str, Floats]:
        """Predict every task; see :meth:`Runner.run`."""
        return _run(self.manifest, self._invoke, images, self._path)

    def _invoke(self, image: Array) -> dict[str, Array]:
        values = self._session.run(self._names, {self.manifest.input.name: image})
        return dict(zip(self._names, values, strict=True))


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
    batch = image[None] if manifest.runtime == "litert" else np.ascontiguousarray(image.transpose(2, 0, 1)[None])
    return quantise(batch, manifest.input)


def tensor_spec(detail: Mapping[str, Any]) -> TensorSpec:
    """Return what LiteRT says about a tensor, with one step of quantisation for all of it (as activations have)."""
    scale, zero_point = detail["quantization"]
    return TensorSpec(
        name=detail["name"],
        shape=tuple(int(side) for side in detail["shape"]),
        dtype=np.dtype(detail["dtype"]).name,
        scale=float(scale) or None,
        zero_point=int(zero_point),
    )


def load_interpreter(model: Path | bytes, threads: int = 1) -> Any:
    """Load a TFLite model that can be trusted not to crash the process.

    Raises:
        ExportError: LiteRT is missing or cannot load it.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise ExportError(MISSING) from None
    source = {"model_content": model} if isinstance(model, bytes) else {"model_path": str(model)}
    with _silence(), _one_line_errors(f"{_name(model)}: LiteRT cannot load it"):
        interpreter = Interpreter(**source, num_threads=threads)
        interpreter.allocate_tensors()
        return interpreter


def load_session(model: Path | bytes, threads: int = 1) -> Any:
    """Load an ONNX model that can be trusted not to crash the process.

    Raises:
        ExportError: ONNX Runtime is missing or cannot load it.
    """
    try:
        import onnxruntime
    except ImportError:
        raise ExportError('ONNX Runtime is not installed; pip install "ednas[onnx]"') from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    source = model if isinstance(model, bytes) else str(model)
    with _one_line_errors(f"{_name(model)}: ONNX Runtime cannot load it"):
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _run(
    manifest: Manifest, invoke: Callable[[Array], dict[str, Array]], images: Floats, path: Path
) -> dict[str, Floats]:
    expected = (*manifest.input_size, 3)
    if images.ndim != 4 or images.shape[1:] != expected or not len(images):
        raise ExportError(f"{path}: images of shape {images.shape}, expected (N, {', '.join(map(str, expected))})")
    predicted: dict[str, list[Floats]] = {task: [] for task in manifest.outputs}
    for image in images:
        with _one_line_errors(f"{path}: cannot be run"):
            values = invoke(input_tensor(image, manifest))
        for task, spec in manifest.outputs.items():
            predicted[task].append(_planes(dequantise(values[spec.name], spec), manifest))
    return {task: np.concatenate(parts) for task, parts in predicted.items()}


def _planes(values: Floats, manifest: Manifest) -> Floats:
    """Bring an output into the layout ``(1, C, h, w)``; class ids come without an axis of channels."""
    if values.ndim == 3:
        return values[:, None]
    return values.transpose(0, 3, 1, 2) if manifest.runtime == "litert" else values


def _try(path: Path) -> None:
    """Raise unless another process could load and run a file."""
    try:
        LiteRT(processes=1, runs=1, warmup=0, timeout_s=_PATIENCE_S).measure_file(path)
    except TargetError as error:
        raise ExportError(str(error)) from None


def _check_tensors(path: Path, manifest: Manifest, inputs: list[TensorSpec], outputs: list[TensorSpec]) -> None:
    """Raise unless a file's inputs and outputs are those of its manifest, which device programs go by."""
    expected = {spec.name: spec for spec in manifest.outputs.values()}
    found = {spec.name: spec for spec in outputs}
    wanted = manifest.input
    if len(inputs) != 1 or not _same(inputs[0], wanted):
        raise ExportError(f"{path}: its input is not what its manifest says ({_text(wanted)}); export the model again")
    height_at = 1 if manifest.runtime == "litert" else 2
    if wanted.shape[height_at : height_at + 2] != manifest.input_size:
        raise ExportError(f"{path}: its manifest says two input sizes; export the model again")
    for name, spec in expected.items():
        if name not in found or not _same(found[name], spec):
            raise ExportError(
                f"{path}: its output '{name}' is not what its manifest says ({_text(spec)}); export the model again"
            )


def _same(found: TensorSpec, told: TensorSpec) -> bool:
    if (found.name, found.shape, found.dtype) != (told.name, told.shape, told.dtype):
        return False
    if found.scale is None or told.scale is None:
        return found.scale == told.scale
    return found.zero_point == told.zero_point and np.isclose(found.scale, told.scale, rtol=1e-6, atol=0).item()


def _onnx_spec(node: Any) -> TensorSpec:
    names = {"float": "float32", "double": "float64", "float16": "float16"}
    dtype = node.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(side if isinstance(side, int) else -1 for side in node.shape)
    return TensorSpec(name=node.name, shape=shape, dtype=names.get(dtype, dtype))


def _text(spec: TensorSpec) -> str:
    return f"'{spec.name}', {'x'.join(map(str, spec.shape))}, {spec.dtype}"


def _name(model: Path | bytes) -> str:
    return "the model" if isinstance(model, bytes) else str(model)


@contextmanager
def _one_line_errors(what: str) -> Iterator[None]:
    """Turn whatever a runtime raises, which has no common base, into one line."""
    try:
        yield
    except Exception as error:
        raise ExportError(f"{what}: {' '.join(str(error).split())[:300]}") from None


@contextmanager
def _silence() -> Iterator[None]:
    """Drop what native code prints on standard error meanwhile: LiteRT reports there that all is well."""
    sys.stderr.flush()
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
