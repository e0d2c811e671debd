"""Where quantisation loses: the signal-to-noise ratio of every layer of an int8 model against its float model.

A copy of each model whose every intermediate tensor is an output runs beside the other on the same images: in the
runtime's usual kernels, unlike LiteRT's own debugging option, which leaves out the ones that devices run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ednas.config import StrictModel
from ednas.exceptions import ExportError
from ednas.export.manifest import Manifest, read_manifest
from ednas.export.runtime import dequantise, input_tensor, load_interpreter, load_session, tensor_spec

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

BEST_DB = 40.0
"""About what a tensor of 8 bits reaches by itself; above it, a loss of decibels is no loss of accuracy."""

LIMIT_DB = 200.0
"""Ratios end here: equal tensors have no noise at all."""


class LayerSNR(StrictModel):
    """A layer of the int8 model.

    Attributes:
        name: Its output tensor.
        op: Its operator.
        snr_db: Signal-to-noise ratio of its output, dB.
        drop_db: The ratio of its worst input, at most 40 dB, less that of its output: the noise that enters here.
        tasks: Tasks whose outputs depend on it.
    """

    name: str
    op: str
    snr_db: float
    drop_db: float
    tasks: tuple[str, ...]


def snr_db(reference: Array, value: Array) -> float:
    """Signal-to-noise ratio of an array in dB, between -200 and 200 (equal arrays).

    Example:
        >>> round(snr_db(np.array([10.0, -10.0]), np.array([10.1, -10.1])), 1)
        40.0
    """
    signal = np.square(reference, dtype=np.float64).sum()
    noise = np.square(np.subtract(value, reference, dtype=np.float64)).sum()
    return _decibels(float(signal), float(noise))


def entry_layer(layers: tuple[LayerSNR, ...], task: str) -> LayerSNR | None:
    """Return the layer where the error of a task's output enters: that with the largest drop before it."""
    return max((layer for layer in layers if task in layer.tasks), key=lambda layer: layer.drop_db, default=None)


def per_layer_snr(float_path: Path, int8_path: Path, images: Floats) -> tuple[LayerSNR, ...]:
    """Compare every layer of an int8 model with the float model that it was made from.

    Args:
        float_path: The float model, ``.tflite`` or ``.onnx``, as ``ednas export`` writes it.
        int8_path: The int8 model, of the same kind.
        images: Normalised images ``(N, H, W, 3)``.

    Returns:
        The layers that both have, in the order of the graph; layers that put out nothing but 0 are left out.

    Raises:
        ExportError: A model cannot be opened, or the two have no layer in common.
    """
    reference, quantised = _open(float_path), _open(int8_path)
    sums: dict[str, list[float]] = {}
    for image in images:
        exact, rounded = reference.run(image), quantised.run(image)
        for name, value in exact.items():
            if name in rounded and rounded[name].shape == value.shape:
                total = sums.setdefault(name, [0.0, 0.0])
                total[0] += float(np.square(value, dtype=np.float64).sum())
                total[1] += float(np.square(rounded[name] - value, dtype=np.float64).sum())
    ratios = {name: _decibels(signal, noise) for name, (signal, noise) in sums.items() if signal > 0}
    if not ratios:
        raise ExportError(f"{int8_path}: has no layer in common with {float_path}; export both again")
    tasks = _dependents(reference)
    return tuple(
        LayerSNR(
            name=step.name,
            op=step.op,
            snr_db=ratios[step.name],
            drop_db=min([BEST_DB, *(ratios.get(name, BEST_DB) for name in step.inputs)]) - ratios[step.name],
            tasks=tasks[step.name],
        )
        for step in reference.steps
        if step.name in ratios
    )


@dataclass(frozen=True)
class _Step:
    """An operator: its output tensor, what it does, and the computed tensors that it reads."""

    name: str
    op: str
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class _Open:
    """A model whose every tensor can be seen.

    ``run`` maps a normalised image ``(H, W, 3)`` to the real values of all that are numbers; class ids are none.
    """

    manifest: Manifest
    steps: tuple[_Step, ...]
    run: Callable[[Floats], Mapping[str, Floats]]


def _open(path: Path) -> _Open:
    manifest = read_manifest(path)
    return _open_tflite(path, manifest) if manifest.runtime == "litert" else _open_onnx(path, manifest)


def _open_tflite(path: Path, manifest: Manifest) -> _Open:
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    graph = model.subgraphs[0]
    names = [tensor.name.decode(errors="replace") for tensor in graph.tensors]
    made = {index for operator in graph.operators for index in operator.outputs}
    steps = tuple(
        _Step(
            name=names[operator.outputs[0]],
            op=str(flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex)),
            inputs=tuple(names[index] for index in operator.inputs if index in made),
        )
        for operator in graph.operators
    )
    graph.outputs = sorted(made)
    model.signatureDefs = []  # else the interpreter wants names for the new outputs
    interpreter = load_interpreter(bytes(flatbuffer_utils.convert_object_to_bytearray(model)))
    input_index = interpreter.get_input_details()[0]["index"]
    outputs = [(entry["index"], tensor_spec(entry)) for entry in interpreter.get_output_details()]
    outputs = [(index, spec) for index, spec in outputs if spec.scale is not None or spec.dtype == "float32"]

    def run(image: Floats) -> dict[str, Floats]:
        interpreter.set_tensor(input_index, input_tensor(image, manifest))
        interpreter.invoke()
        return {spec.name: dequantise(interpreter.get_tensor(index), spec) for index, spec in outputs}

    return _Open(manifest, steps, run)


def _open_onnx(path: Path, manifest: Manifest) -> _Open:
    import onnx

    model = onnx.load(str(path))
    nodes = list(model.graph.node)
    made = {name for node in nodes for name in node.output}
    steps = tuple(_Step(node.output[0], node.op_type, tuple(n for n in node.input if n in made)) for node in nodes)
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=step.name) for step in steps if step.name not in known)
    session = load_session(model.SerializeToString())
    names = [output.name for output in session.get_outputs()]

    def run(image: Floats) -> dict[str, Floats]:
        values: dict[str, Floats] = dict(
            zip(names, session.run(names, {manifest.input.name: input_tensor(image, manifest)}), strict=True)
        )
        # What the next layer reads is the tensor after it was rounded to 8 bits.
        rounded = {name: values.get(f"{name}_DequantizeLinear_Output", values[name]) for name in names}
        return {name: value for name, value in rounded.items() if value.dtype == np.float32}

    return _Open(manifest, steps, run)


def _dependents(model: _Open) -> dict[str, tuple[str, ...]]:
    """Return, for every tensor, the tasks whose outputs depend on it."""
    makers = {step.name: step for step in model.steps}
    tasks: dict[str, list[str]] = {step.name: [] for step in model.steps}
    for task, spec in model.manifest.outputs.items():
        for name in _before(spec.name, makers):
            tasks[name].append(task)
    return {name: tuple(found) for name, found in tasks.items()}


def _before(output: str, makers: Mapping[str, _Step]) -> Iterator[str]:
    """Yield a tensor and all that it is computed from, each once."""
    seen: set[str] = set()
    waiting = [output]
    while waiting:
        name = waiting.pop()
        if name in makers and name not in seen:
            seen.add(name)
            waiting += makers[name].inputs
            yield name


def _decibels(signal: float, noise: float) -> float:
    if noise == 0 or signal == 0:
        return LIMIT_DB if noise == 0 else -LIMIT_DB
    return min(LIMIT_DB, max(-LIMIT_DB, 10 * math.log10(signal / noise)))
