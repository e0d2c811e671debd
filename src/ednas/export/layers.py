"""Where quantisation loses: the signal-to-noise ratio of every layer of an int8 model against its float model.

A copy of each model whose every intermediate tensor is an output runs beside the other on the same images: in the
runtime's usual kernels, unlike LiteRT's own debugging option, which leaves out the ones that devices run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from ednas.config import StrictModel
from ednas.exceptions import ExportError
from ednas.export.converter import Array, Floats, Step, converter_of, read_manifest
from ednas.export.manifest import Manifest
from ednas.export.runtime import input_tensor

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
        float_path: The float model, as ``ednas export`` writes it.
        int8_path: The int8 model, of the same format.
        images: Normalised images ``(N, H, W, 3)``.

    Returns:
        The layers that both have, in the order of the graph; layers that put out nothing but 0 are left out. None where
        the format does not let its layers be seen.

    Raises:
        ExportError: A model cannot be opened, or the two have no layer in common.
    """
    inspect = converter_of(float_path).inspect
    if inspect is None:
        return ()
    manifests = read_manifest(float_path), read_manifest(int8_path)
    reference, quantised = inspect(float_path), inspect(int8_path)
    sums: dict[str, list[float]] = {}
    for image in images:
        exact, rounded = (
            model.run(input_tensor(image, manifest))
            for model, manifest in zip((reference, quantised), manifests, strict=True)
        )
        for name, value in exact.items():
            if name in rounded and rounded[name].shape == value.shape:
                total = sums.setdefault(name, [0.0, 0.0])
                total[0] += float(np.square(value, dtype=np.float64).sum())
                total[1] += float(np.square(rounded[name] - value, dtype=np.float64).sum())
    ratios = {name: _decibels(signal, noise) for name, (signal, noise) in sums.items() if signal > 0}
    if not ratios:
        raise ExportError(f"{int8_path}: has no layer in common with {float_path}; export both again")
    tasks = _dependents(reference.steps, manifests[0])
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


def _dependents(steps: tuple[Step, ...], manifest: Manifest) -> dict[str, tuple[str, ...]]:
    """Return, for every tensor, the tasks whose outputs depend on it."""
    makers = {step.name: step for step in steps}
    tasks: dict[str, list[str]] = {name: [] for name in makers}
    for task, spec in manifest.outputs.items():
        for name in _before(spec.name, makers):
            tasks[name].append(task)
    return {name: tuple(found) for name, found in tasks.items()}


def _before(output: str, makers: Mapping[str, Step]) -> Iterator[str]:
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
