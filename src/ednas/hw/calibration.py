"""Fitting a target's free constants to latencies that were measured on the device.

Free are the figures that a target's file marks with ``fit: true``. They are fitted together, on a logarithmic scale, so
that a network of 1 ms counts as much as one of 100 ms and no constant becomes negative. A weak pull towards the values
in the file keeps constants that the measurements do not determine where they were. The error that matters is that on
networks that were not fitted: it is reported by leaving out one after the other, and by random halves.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import exp, log

from ednas.exceptions import TargetError
from ednas.hw.figure import Figure
from ednas.hw.graph import LayerGraph
from ednas.hw.simulator import simulate
from ednas.hw.target import Target

FOLDS = 20
"""At most so many fits for the errors of left-out rows: beyond, several rows are left out at a time."""

RANDOM_SPLITS = 5

PRIOR = 0.02
"""Weight of a constant's relative change beside a row's relative error."""

_LARGEST_CHANGE = log(100.0)
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Sample:
    """A measurement.

    Attributes:
        name: What was measured, for people.
        graph: The network.
        latency_ms: Its latency on the device.
        is_layer: Whether it is a layer of a running network, measured without a call's dispatch and transfers.
    """

    name: str
    graph: LayerGraph
    latency_ms: float
    is_layer: bool = False

    def predicted_ms(self, target: Target) -> float:
        """Return what the simulator makes of it.

        Raises:
            TargetError: The target cannot run it.
        """
        cost = simulate(self.graph, target)
        return sum(layer.latency_ms for layer in cost.layers) if self.is_layer else cost.latency_ms


@dataclass(frozen=True)
class RowError:
    """How well a row is predicted.

    Attributes:
        name: The sample's name.
        measured_ms: Its latency.
        fitted_ms: What the target predicts that was fitted to all rows.
        held_out_ms: What a target predicts that was fitted without this row.
    """

    name: str
    measured_ms: float
    fitted_ms: float
    held_out_ms: float


@dataclass(frozen=True)
class Calibration:
    """The result.

    Attributes:
        target: The target with the fitted constants; their provenance is ``measured``.
        changes: Old and new value of each free constant, by its path in the file.
        rows: The rows with their errors.
        split_mape: Mean absolute relative error on the half that was not fitted, for each of several random halves.
    """

    target: Target
    changes: Mapping[str, tuple[float, float]]
    rows: tuple[RowError, ...]
    split_mape: tuple[float, ...]

    @property
    def fitted_mape(self) -> float:
        """Mean absolute relative error of the fit, 0.1 = 10 %."""
        return mape([row.fitted_ms for row in self.rows], [row.measured_ms for row in self.rows])

    @property
    def held_out_mape(self) -> float:
        """Mean absolute relative error of rows that were left out of the fit."""
        return mape([row.held_out_ms for row in self.rows], [row.measured_ms for row in self.rows])


def mape(predicted: Sequence[float], measured: Sequence[float]) -> float:
    """Return the mean absolute relative error, 0.1 = 10 %."""
    return statistics.mean(abs(p / m - 1.0) for p, m in zip(predicted, measured, strict=True))


def spearman(predicted: Sequence[float], measured: Sequence[float]) -> float:
    """Return the rank correlation, -1 to 1."""
    from scipy.stats import spearmanr

    return float(spearmanr(predicted, measured).statistic)


def calibrate(
    target: Target,
    samples: Sequence[Sample],
    *,
    name: str | None = None,
    source: str = "calibration",
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Fit a target's free constants.

    Args:
        target: Where to start; the figures marked ``fit: true`` are free.
        samples: The measurements, at least as many as free constants.
        name: The new target's name; None = the old one's with ``_calibrated``.
        source: What the fitted figures shall say where they come from.
        seed: Of the random halves.
        progress: Told the number of fits done and in all.

    Raises:
        TargetError: No figure is free or a free one is 0, there are too few samples, a latency is not above 0, or the
            target cannot run a network. SciPy is missing.
    """
    free = {path: figure for path, figure in target.figures().items() if figure.fit}
    _check(target, free, samples)
    everything = range(len(samples))
    folds = min(len(samples), FOLDS)
    total = 1 + folds + RANDOM_SPLITS
    done = 0

    def fit(chosen: Sequence[int], start: Target) -> Target:
        nonlocal done
        fitted = _fit(start, free, [samples[index] for index in chosen])
        done += 1
        if progress:
            progress(done, total)
        return fitted

    best = fit(everything, target)
    held_out: dict[int, float] = {}
    for fold in range(folds):
        left_out = everything[fold::folds]
        partial = fit([index for index in everything if index not in left_out], best)
        held_out |= {index: samples[index].predicted_ms(partial) for index in left_out}
    generator = random.Random(seed)
    splits = []
    for _ in range(RANDOM_SPLITS):
        order = generator.sample(everything, len(samples))
        half = len(samples) // 2
        partial = fit(order[half:], target)
        rest = [samples[index] for index in order[:half]]
        splits.append(mape([sample.predicted_ms(partial) for sample in rest], [sample.latency_ms for sample in rest]))
    new = best.figures()
    values = {
        path: figure.model_copy(update={"value": new[path].value, "provenance": "measured", "source": source})
        for path, figure in free.items()
    }
    result = replace_figures(target, values, name or f"{target.name}_calibrated")
    rows = tuple(
        RowError(sample.name, sample.latency_ms, sample.predicted_ms(result), held_out[index])
        for index, sample in enumerate(samples)
    )
    changes = {path: (figure.value, new[path].value) for path, figure in free.items()}
    return Calibration(result, changes, rows, tuple(splits))


def replace_figures(target: Target, figures: Mapping[str, Figure], name: str | None = None) -> Target:
    """Return a target with other figures.

    Args:
        target: The target.
        figures: The figures by their path, for example ``engine.clock_mhz``.
        name: The new target's name; None = the old one's.
    """
    content = target.model_dump()
    for path, figure in figures.items():
        *sections, key = path.split(".")
        section = content
        for part in sections:
            section = section[part]
        section[key] = figure.model_dump()
    return Target.model_validate(content | {"name": name or target.name})


def _fit(start: Target, free: Mapping[str, Figure], samples: Sequence[Sample]) -> Target:
    from scipy.optimize import least_squares

    first = start.figures()
    # A parameter is 1 at the file's value, to which the pull is, and grows by 1 as the value grows by e: SciPy's steps
    # are relative to a parameter, and one that is too small vanishes in the simulator's whole bytes and cycles.
    logs = [log(figure.value) - 1.0 for figure in free.values()]

    def changed(parameters: Sequence[float]) -> Target:
        return replace_figures(
            start,
            {
                path: first[path].model_copy(update={"value": exp(base + float(parameter))})
                for (path, base, parameter) in zip(free, logs, parameters, strict=True)
            },
        )

    def residuals(parameters: Sequence[float]) -> list[float]:
        target = changed(parameters)
        errors = [log(sample.predicted_ms(target) / sample.latency_ms) for sample in samples]
        return errors + [PRIOR * (float(parameter) - 1.0) for parameter in parameters]

    begin = [log(first[path].value) - base for path, base in zip(free, logs, strict=True)]
    solution = least_squares(
        residuals,
        begin,
        bounds=(1.0 - _LARGEST_CHANGE, 1.0 + _LARGEST_CHANGE),
        loss="soft_l1",
        f_scale=0.2,
        diff_step=1e-3,
        xtol=_TOLERANCE,
        ftol=_TOLERANCE,
    )
    return changed(solution.x)


def _check(target: Target, free: Mapping[str, Figure], samples: Sequence[Sample]) -> None:
    if find_spec("scipy") is None:
        raise TargetError('calibration needs SciPy: pip install "ednas[calibrate]"')
    if not free:
        raise TargetError(f"target '{target.name}': no figure is marked 'fit: true', so nothing can be calibrated")
    for path, figure in free.items():
        if figure.value <= 0:
            raise TargetError(f"target '{target.name}': {path} is 0 and free; give it a value above 0 to start from")
    if len(samples) < len(free):
        names = ", ".join(free)
        raise TargetError(
            f"{len(samples)} measurements are too few for {len(free)} free constants ({names}); measure more networks"
        )
    for sample in samples:
        if not sample.latency_ms > 0:
            raise TargetError(f"{sample.name}: latency is {sample.latency_ms} ms, must be above 0")
