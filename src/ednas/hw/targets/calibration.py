"""Fitting a target's free constants to latencies that were measured on the device.

Free are the figures that a target's file marks with ``fit: true``. They are fitted together, on a logarithmic scale, so
that a network of 1 ms counts as much as one of 100 ms and no constant becomes negative. A pull towards the values in
the file keeps constants that the measurements hardly determine where they were, the stronger the less devices differ in
them by what the file says; one on which no measurement depends is not fitted at all, and keeps what its file says of
it. The error that matters is that on networks that were not fitted: it is reported by leaving out one after the other,
and by random halves.
"""

from __future__ import annotations

import itertools
import random
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from math import exp, log
from operator import attrgetter
from typing import Any

from ednas.exceptions import TargetError
from ednas.hw.graph.layers import LayerGraph
from ednas.hw.model.errors import FEWEST, LARGEST_RATIO, SMALLEST_RATIO, ErrorConfig, interval_of
from ednas.hw.model.figure import Figure
from ednas.hw.model.simulator import simulate
from ednas.hw.model.target import Target

FOLDS = 20
"""At most so many fits for the errors of left-out rows: beyond, several rows are left out at a time."""

RANDOM_SPLITS = 5

FEWEST_NETWORKS = 2

PRIOR = 0.02
"""Weight of a constant's relative change beside a row's relative error, where its spread is not known."""

ROW_ERROR = 0.1
"""Relative error of a row that no constant can mend: 6 to 12 % for networks on processors. Over a constant's spread, it
weighs the constant's change."""

LARGEST_FACTOR = 100.0
"""A constant is searched for between this part and this multiple of the file's value."""

LARGEST_SPREAD = 3.0
"""Latencies of one network that differ by a larger factor contradict each other."""

_LARGEST_CHANGE = log(LARGEST_FACTOR)
_AT_BOUND = 0.99 * _LARGEST_CHANGE
_CENTRE = 2 * _LARGEST_CHANGE
_TOLERANCE = 1e-4
_COARSE = 1e-2
_ROBUST_FROM = 0.2
"""Relative error from which a row weighs less than its square."""

_PROBES = (0.5, 2.0)


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
        is_layer: Whether it is a layer alone.
    """

    name: str
    measured_ms: float
    fitted_ms: float
    held_out_ms: float
    is_layer: bool = False


@dataclass(frozen=True)
class Calibration:
    """The result.

    Attributes:
        target: The target with the fitted constants; their provenance is ``measured``, or ``assumed`` where the fit
            ended at a bound.
        changes: Old and new value of each fitted constant, by its path in the file.
        rows: The rows with their errors.
        split_mape: Mean absolute relative error on the half that was not fitted, for each of several random halves.
        warnings: What is wrong with single constants, one line each.
    """

    target: Target
    changes: Mapping[str, tuple[float, float]]
    rows: tuple[RowError, ...]
    split_mape: tuple[float, ...]
    warnings: tuple[str, ...] = ()

    @property
    def error(self) -> ErrorConfig | None:
        """How far off the target is, by networks that were left out of the fit; None where they are few, or far off."""
        by_network: dict[str, list[float]] = {}
        for row in self.rows:
            if not row.is_layer:
                by_network.setdefault(row.name, []).append(row.measured_ms / row.held_out_ms)
        ratios = [statistics.geometric_mean(own) for own in by_network.values()]
        if len(ratios) < FEWEST:
            return None
        low, high = (float(f"{ratio:.3g}") for ratio in interval_of(ratios))
        if not SMALLEST_RATIO < low <= high < LARGEST_RATIO:
            return None
        source = "the networks that it was fitted to, each left out of a fit"
        return ErrorConfig(low=low, high=high, networks=len(ratios), source=source)

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


def fit(target: Target, samples: Sequence[Sample]) -> Target:
    """Return a target with the constants that fit the samples best, without judging it; errors as :func:`calibrate`."""
    return _fit(target, _free(target, samples), samples)


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
        samples: The measurements, of at least as many networks as there are free constants without a known spread.
        name: The new target's name; None = the old one's with ``_calibrated``.
        source: What the fitted figures shall say where they come from.
        seed: Of the random halves.
        progress: Called with the fits done and in all.

    Raises:
        TargetError: No figure is free or a free one is 0, a latency is not above 0, two of one network contradict each
            other, no sample depends on a free figure, there are too few samples, or the target cannot run a network.
            SciPy is missing.
    """
    free = _free(target, samples)
    everything = range(len(samples))
    folds = min(len(samples), FOLDS)
    done = itertools.count(1)

    def fit_to(chosen: Sequence[int], start: Target) -> Target:
        fitted = _fit(start, free, [samples[index] for index in chosen])
        if progress:
            progress(next(done), 1 + folds + RANDOM_SPLITS)
        return fitted

    best = fit_to(everything, target)
    held_out: dict[int, float] = {}
    for fold in range(folds):
        left_out = everything[fold::folds]
        partial = fit_to([index for index in everything if index not in left_out], best)
        held_out |= {index: samples[index].predicted_ms(partial) for index in left_out}
    generator = random.Random(seed)
    splits = []
    for _ in range(RANDOM_SPLITS):
        order = generator.sample(everything, len(samples))
        partial = fit_to(order[len(samples) // 2 :], target)
        rest = [samples[index] for index in order[: len(samples) // 2]]
        splits.append(mape([sample.predicted_ms(partial) for sample in rest], [sample.latency_ms for sample in rest]))
    figures = best.figures()
    values = {path: _fitted(figure, figures[path].value, source) for path, figure in free.items()}
    result = replace_figures(target, values, name or f"{target.name}_calibrated")
    rows = tuple(
        RowError(sample.name, sample.latency_ms, sample.predicted_ms(result), held_out[index], sample.is_layer)
        for index, sample in enumerate(samples)
    )
    changes = {path: (figure.value, figures[path].value) for path, figure in free.items()}
    return Calibration(result, changes, rows, tuple(splits), _warnings(changes, _marked(target).keys() - free.keys()))


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


def _fitted(figure: Figure, value: float, source: str) -> Figure:
    """Return a figure with its fitted value; one at a bound is no measurement."""
    if _is_at_bound(figure.value, value):
        update = {"provenance": "assumed", "source": f"{source}, where the fit ended at its bound"}
    else:
        update = {"provenance": "measured", "source": source}
    return figure.model_copy(update={"value": value, **update})


def _warnings(changes: Mapping[str, tuple[float, float]], unused: Iterable[str]) -> tuple[str, ...]:
    """Return what is wrong with constants: those that end at a bound, and those on which no measurement depends."""
    bounded = [
        f"{path}: the fit ended at its bound, {'' if new > old else '1/'}{LARGEST_FACTOR:g} of the file's value, so it "
        "is not determined; check the unit of the latencies, or start from a target that is nearer"
        for path, (old, new) in changes.items()
        if _is_at_bound(old, new)
    ]
    idle = [
        f"{path}: no measurement depends on it, so it stays as it was; measure whole networks, some larger than others"
        for path in sorted(unused)
    ]
    return (*bounded, *idle)


def _is_at_bound(old: float, new: float) -> bool:
    return abs(log(new / old)) >= _AT_BOUND


def _fit(start: Target, free: Mapping[str, Figure], samples: Sequence[Sample]) -> Target:
    from scipy.optimize import least_squares

    first = start.figures()
    # A parameter is _CENTRE at the file's value, to which the pull is, and grows by 1 as the value grows by e: SciPy's
    # steps are relative to a parameter, which must not come near 0: a step that is too small vanishes in the
    # simulator's whole bytes and cycles.
    logs = [log(figure.value) - _CENTRE for figure in free.values()]

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
        changes = zip(parameters, free.values(), strict=True)
        return errors + [_pull(figure) * (float(parameter) - _CENTRE) for parameter, figure in changes]

    begin = [log(first[path].value) - base for path, base in zip(free, logs, strict=True)]
    options: dict[str, Any] = {
        "bounds": (_CENTRE - _LARGEST_CHANGE, _CENTRE + _LARGEST_CHANGE),
        "diff_step": 1e-3 / _CENTRE,
    }
    if statistics.median(map(abs, residuals(begin)[: len(samples)])) > _ROBUST_FROM:
        # Squares first: far from the measurements a robust loss has hardly a slope.
        begin = least_squares(residuals, begin, xtol=_COARSE, ftol=_COARSE, **options).x
    solution = least_squares(
        residuals, begin, loss="soft_l1", f_scale=_ROBUST_FROM, xtol=_TOLERANCE, ftol=_TOLERANCE, **options
    )
    return changed(solution.x)


def _pull(figure: Figure) -> float:
    """Return the weight of a constant's change."""
    return PRIOR if figure.spread is None else ROW_ERROR / figure.spread


def _marked(target: Target) -> dict[str, Figure]:
    return {path: figure for path, figure in target.figures().items() if figure.fit}


def _free(target: Target, samples: Sequence[Sample]) -> dict[str, Figure]:
    """Return the figures that can be fitted: those that the file marks and a sample depends on."""
    marked = _marked(target)
    _check(target, marked, samples)
    free = {path: figure for path, figure in marked.items() if _matters(path, target, samples)}
    _check_count(target, marked, free, samples)
    return free


def _check(target: Target, free: Mapping[str, Figure], samples: Sequence[Sample]) -> None:
    if find_spec("scipy") is None:
        raise TargetError('calibration needs SciPy: pip install "ednas[calibrate]"')
    if not free:
        raise TargetError(f"target '{target.name}': no figure is marked 'fit: true', so nothing can be calibrated")
    for path, figure in free.items():
        if figure.value <= 0:
            raise TargetError(f"target '{target.name}': {path} is 0 and free; give it a value above 0 to start from")
    for sample in samples:
        if not sample.latency_ms > 0:
            raise TargetError(f"{sample.name}: latency is {sample.latency_ms} ms, must be above 0")
    for same in _by_network(samples):
        low, high = min(same, key=attrgetter("latency_ms")), max(same, key=attrgetter("latency_ms"))
        if high.latency_ms > LARGEST_SPREAD * low.latency_ms:
            raise TargetError(
                f"{low.name}: measured as {low.latency_ms:g} ms and as {high.latency_ms:g} ms, which differ by more "
                f"than a factor of {LARGEST_SPREAD:g}; measure it again, and keep what is right"
            )


def _check_count(
    target: Target, marked: Mapping[str, Figure], free: Mapping[str, Figure], samples: Sequence[Sample]
) -> None:
    """Refuse measurements that cannot determine the constants that they depend on.

    Args:
        target: The target.
        marked: The figures that may be fitted.
        free: Those of them on which a sample depends.
        samples: The measurements.
    """
    if not free:
        hint = "a layer's time holds no link and no dispatch, " if any(sample.is_layer for sample in samples) else ""
        raise TargetError(
            f"target '{target.name}': no measurement depends on a free constant ({', '.join(marked)}); "
            f"{hint}measure whole networks, or mark other figures 'fit: true'"
        )
    count = len(_by_network(samples))
    free = {path: figure for path, figure in free.items() if figure.spread is None}
    if count < len(free):
        networks = f" of {count} network{'s' if count > 1 else ''}" if count < len(samples) else ""
        raise TargetError(
            f"{len(samples)} measurements{networks} are too few for {len(free)} free constants ({', '.join(free)}); "
            "measure more networks"
        )
    if count < FEWEST_NETWORKS:
        raise TargetError(
            f"measurements of {count} network: {FEWEST_NETWORKS} are needed at least, since each is left out of a fit "
            "to say how far it is off"
        )


def _matters(path: str, target: Target, samples: Sequence[Sample]) -> bool:
    """Whether a sample's prediction depends on a figure, near the value in the file."""
    figure = target.figures()[path]
    probes = [
        replace_figures(target, {path: figure.model_copy(update={"value": factor * figure.value})})
        for factor in _PROBES
    ]
    return any(len({sample.predicted_ms(probe) for probe in (target, *probes)}) > 1 for sample in samples)


def _by_network(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Return the samples in groups of equal networks, or of equal layers."""
    groups: dict[tuple[LayerGraph, bool], list[Sample]] = {}
    for sample in samples:
        nameless = tuple(replace(layer, name="", scope="") for layer in sample.graph.layers)
        groups.setdefault((replace(sample.graph, layers=nameless), sample.is_layer), []).append(sample)
    return list(groups.values())
