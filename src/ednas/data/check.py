"""Reading all of a dataset once, to find every bad file and to see what the labels hold."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ednas.data.complaints import group
from ednas.data.formats import dataset_splits, open_dataset
from ednas.data.reader import Progress, Reader, split_remarks
from ednas.data.sample import DEPTHS, VOID, DenseDataset, TargetInfo, valid_pixels
from ednas.data.units import likely_unit
from ednas.exceptions import DataError, one_line

_FACING = 0.97
"""Least share of normals that face the camera; below it the axes are probably wrong (right ones give over 0.99)."""

SATURATED = 0.01
"""Share of pixels with the largest value from which on it looks like a mark."""

_FAR_OFF = 10.0
"""The largest value, as a multiple of the mean, from which on :data:`_SELDOM` is enough for that."""

_SELDOM = 0.0005
"""Share of pixels; measured values hardly ever share one extreme value."""

_NEAREST, _FARTHEST = 0.05, 1000.0
"""Metres between which the mean depth of usual scenes lies."""

_OTHER_SCALE = 20.0
"""Ratio of two splits' or samples' mean depths from which on they look stored differently."""

_FOCAL_LENGTH = 0.9
"""Assumed focal length over image width (NYUv2 0.81, Cityscapes 1.1); the share depends little on it."""


@dataclass(frozen=True)
class TargetReport:
    """What one target of a split holds.

    Attributes:
        kind: As in :class:`ednas.data.sample.TargetInfo`.
        unit: Unit of the values.
        labelled: Number of samples that have a label: a valid pixel at least.
        pixels: Number of pixels read.
        invalid: Share of pixels without a label, 0 to 1.
        minimum: Smallest valid value of a distance or disparity; NaN if there is none.
        maximum: Largest valid value.
        mean: Mean of the valid values.
        saturated: Share of valid values that are the largest one, 0 to 1.
        facing: Share of valid normals that point towards the camera (n . ray < 0, for a camera with a usual angle of
            view); NaN for other kinds.
        frequencies: Share of each class among the labelled pixels; empty for other kinds.
        class_names: Names of the classes, as far as known.
        far_below: Number of samples whose mean is less than the typical sample's by :data:`_OTHER_SCALE`.
    """

    kind: str
    unit: str
    labelled: int
    pixels: int
    invalid: float
    minimum: float
    maximum: float
    mean: float
    saturated: float
    facing: float
    frequencies: tuple[float, ...]
    class_names: tuple[str, ...]
    far_below: int

    def to_json(self) -> dict[str, Any]:
        """What was measured as JSON values; NaN becomes None."""
        measured = {name: value for name, value in vars(self).items() if name != "far_below"}
        unknown = (name for name, value in measured.items() if isinstance(value, float) and math.isnan(value))
        return {**measured, **dict.fromkeys(unknown)}


@dataclass(frozen=True)
class SplitReport:
    """What one split holds.

    Attributes:
        split: Its name.
        samples: Number of samples.
        bad: Number of samples that cannot be read.
        sizes: Number of samples by (height, width).
        targets: By name.
        problems: One line for each bad file, or for a split that cannot be opened.
    """

    split: str
    samples: int
    bad: int
    sizes: dict[tuple[int, int], int]
    targets: dict[str, TargetReport]
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values; sizes become ``"HxW"``."""
        sizes = {f"{height}x{width}": count for (height, width), count in self.sizes.items()}
        targets = {name: target.to_json() for name, target in self.targets.items()}
        return {**vars(self), "sizes": sizes, "targets": targets}


@dataclass(frozen=True)
class CheckReport:
    """Result of :func:`check_dataset`.

    Attributes:
        path: What was checked.
        name: Name of the dataset.
        format: Its format.
        splits: One for each split.
        warnings: What is readable but looks wrong.
    """

    path: str
    name: str
    format: str
    splits: tuple[SplitReport, ...]
    warnings: tuple[str, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """Problems of all splits."""
        return tuple(problem for split in self.splits for problem in split.problems)

    @property
    def ok(self) -> bool:
        """Whether every sample of every split can be read."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "path": self.path,
            "name": self.name,
            "format": self.format,
            "ok": self.ok,
            "warnings": list(self.warnings),
            "splits": [split.to_json() for split in self.splits],
        }

    def to_text(self) -> str:
        """The report for people, several lines; faults that many files have are one."""
        lines = [f"{self.name} ({self.format}) at {self.path}"]
        for split in self.splits:
            sizes = ", ".join(f"{height} x {width}" for height, width in split.sizes)
            lines.append(f"{split.split}: {split.samples} samples, {split.bad} bad; {sizes or 'no sizes'}")
            readable = split.samples - split.bad
            lines += [f"  {name}: {_target_text(target, readable)}" for name, target in split.targets.items()]
        lines += [f"warning: {warning}" for warning in self.warnings]
        lines += [f"problem: {problem}" for problem in group(self.problems)]
        return "\n".join(map(one_line, lines))


def check_dataset(path: str | Path, progress: Progress | None = None, **options: Any) -> CheckReport:
    """Read every sample of every split.

    Args:
        path: As in :func:`ednas.data.formats.open_dataset`.
        progress: Called after each sample.
        **options: Options of the format.

    Returns:
        Every problem (a bad file does not stop the check), class frequencies, ranges and shares of invalid pixels.

    Raises:
        DataError: Nothing known is at ``path``.
        ConfigError: An option or a ``dataset.yaml`` is wrong.
    """
    reports: list[SplitReport] = []
    opened: list[DenseDataset] = []
    for split in dataset_splits(path):
        try:
            dataset = open_dataset(path, split, **options)
        except DataError as error:
            reports.append(SplitReport(split, 0, 0, {}, {}, (str(error),)))
            continue
        opened.append(dataset)
        reports.append(_check_split(dataset, progress))
    info = opened[0].info if opened else None
    return CheckReport(
        path=str(path),
        name=info.name if info else "?",
        format=info.format if info else "?",
        splits=tuple(reports),
        warnings=tuple(
            [f"{dataset.split}: {remark}" for dataset in opened for remark in split_remarks(dataset)]
            + _overlaps(opened)
            + _unlike(reports)
            + [text for report in reports for text in _oddities(report)]
        ),
    )


@dataclass
class _Tally:
    """Running numbers of one target."""

    info: TargetInfo
    labelled: int = 0
    pixels: int = 0
    valid: int = 0
    total: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf
    at_maximum: int = 0
    means: list[float] = field(default_factory=list)
    facing: int = 0
    classes: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(VOID + 1, np.int64))

    def add(self, values: npt.NDArray[Any]) -> None:
        valid = valid_pixels(values, self.info)
        self.pixels += valid.size
        self.valid += int(valid.sum())
        if not valid.any():
            return
        self.labelled += 1
        if self.info.kind == "labels":
            self.classes += np.bincount(values.ravel(), minlength=VOID + 1)
        elif self.info.kind == "normals":
            self.facing += count_facing(values)
        else:
            measured = values[valid]
            self.total += float(measured.sum(dtype=np.float64))
            self.means.append(float(measured.mean(dtype=np.float64)))
            self.minimum = min(self.minimum, float(measured.min()))
            largest = float(measured.max())
            if largest > self.maximum:
                self.maximum, self.at_maximum = largest, 0
            self.at_maximum += int((measured == self.maximum).sum())

    def report(self) -> TargetReport:
        info, nan = self.info, math.nan
        any_value = self.valid > 0 and info.kind in DEPTHS
        counts = self.classes[: info.num_classes]
        return TargetReport(
            kind=info.kind,
            unit=info.unit,
            labelled=self.labelled,
            pixels=self.pixels,
            invalid=1 - self.valid / self.pixels if self.pixels else nan,
            minimum=self.minimum if any_value else nan,
            maximum=self.maximum if any_value else nan,
            mean=self.total / self.valid if any_value else nan,
            saturated=self.at_maximum / self.valid if any_value else nan,
            facing=self.facing / self.valid if self.valid and info.kind == "normals" else nan,
            frequencies=tuple(float(count) for count in counts / max(1, self.valid)),
            class_names=info.class_names,
            far_below=int((np.multiply(self.means, _OTHER_SCALE) < np.quantile(self.means or [nan], 0.75)).sum()),
        )


def count_facing(normals: npt.NDArray[Any]) -> int:
    """Number of normals that point against the ray through their pixel."""
    height, width = normals.shape[:2]
    focal = _FOCAL_LENGTH * width
    x = (np.arange(width) - (width - 1) / 2) / focal
    y = (np.arange(height) - (height - 1) / 2) / focal
    along_ray = normals[:, :, 0] * x + normals[:, :, 1] * y[:, None] + normals[:, :, 2]
    return int((along_ray < 0).sum())


def _check_split(dataset: DenseDataset, progress: Progress | None) -> SplitReport:
    tallies = {name: _Tally(info) for name, info in dataset.info.targets.items()}
    sizes: Counter[tuple[int, int]] = Counter()
    problems: list[str] = []
    bad = 0
    for index in range(len(dataset)):
        try:
            sample = dataset[index]
        except DataError as error:
            bad += 1
            # A reader of files can go on after a sample's first bad file.
            more = dataset.problems(index) if isinstance(dataset, Reader) else ()
            problems += more or (str(error),)
        else:
            sizes[(sample.image.shape[0], sample.image.shape[1])] += 1
            for name, tally in tallies.items():
                tally.add(sample.targets[name])
        if progress is not None:
            progress(dataset.split, index + 1, len(dataset))
    targets = {name: tally.report() for name, tally in tallies.items()}
    return SplitReport(dataset.split, len(dataset), bad, dict(sizes), targets, tuple(dict.fromkeys(problems)))


def _overlaps(datasets: list[DenseDataset]) -> list[str]:
    """Warn of samples that two splits share: a network would be tested on what it has learned."""
    found = []
    names = [{dataset.source(index) for index in range(len(dataset))} for dataset in datasets]
    for i, first in enumerate(datasets):
        for j in range(i):
            shared = len(names[i] & names[j])
            if shared:
                found.append(f"'{datasets[j].split}' and '{first.split}' share samples: {shared}")
    return found


def _unlike(reports: list[SplitReport]) -> list[str]:
    """Warn of depth that two splits store differently, for example in 8 and in 16 bits."""
    found = []
    first, *others = reports
    for other in others:
        for name, target in other.targets.items():
            means = [target.mean, first.targets[name].mean if name in first.targets else math.nan]
            ratio = max(means) / min(means) if min(means) > 0 else math.nan
            if ratio > _OTHER_SCALE:
                theirs, ours = (_with_unit(mean, target) for mean in means)
                found.append(
                    f"{name}: the mean is {ours} in '{first.split}' and {theirs} in '{other.split}', {ratio:.0f} times "
                    "as much: are both stored alike?"
                )
    return found


def _oddities(report: SplitReport) -> list[str]:
    found = []
    for name, target in report.targets.items():
        where = f"{report.split}: {name}"
        if not target.pixels:
            continue
        if target.invalid == 1:
            found.append(f"{where} has no valid pixel")
            continue
        if target.facing < _FACING:
            found.append(f"{where}: only {target.facing:.1%} of the normals face the camera; are their axes right?")
        if target.far_below:
            found.append(
                f"{where}: {target.far_below} samples hold values of less than a {_OTHER_SCALE:.0f}th of the others': "
                "are all stored alike, for example in 16 bits?"
            )
        if _looks_marked(target) and target.maximum > target.minimum:
            found.append(
                f"{where}: {target.saturated:.1%} of the valid pixels have the largest value, "
                f"{_with_unit(target.maximum, target)}: if that means 'too far' or 'not measured', name it under "
                "invalid, or set a maximum"
            )
        if target.kind == "distance" and target.unit == "m" and not _NEAREST < _usual_mean(target) < _FARTHEST:
            found.append(f"{where}: {_other_scale(target)}")
        absent = [i for i, share in enumerate(target.frequencies) if share == 0]
        if absent:
            named = ", ".join(target.class_names[i] if i < len(target.class_names) else str(i) for i in absent)
            found.append(f"{where}: {len(absent)} classes never occur ({named})")
    return found


def _looks_marked(target: TargetReport) -> bool:
    """Whether the largest value looks like a mark: many pixels have it, or some that are far off from all others."""
    is_far_off = target.maximum > _FAR_OFF * target.mean
    return target.saturated > (_SELDOM if is_far_off else SATURATED)


def _usual_mean(target: TargetReport) -> float:
    """Mean of a distance, without its largest value where that looks like a mark."""
    share = target.saturated if _looks_marked(target) else 0.0
    return (target.mean - share * target.maximum) / (1 - share) if share < 1 else target.mean


def _other_scale(target: TargetReport) -> str:
    """Say what a mean depth that no usual scene has may mean."""
    mean = _usual_mean(target)
    text = f"the mean is {_with_unit(mean, target)}"
    guess = likely_unit(mean)
    if mean >= _FARTHEST and guess is not None:
        unit, metres = guess
        return f"{text}; these look like {unit}: scale: {metres:g} (or {metres:g} times the scale that is set already)"
    return f"{text}; is the scale right? It is 1 for stored metres, 0.001 for millimetres"


def _with_unit(value: float, target: TargetReport) -> str:
    return f"{_number(value)} {target.unit}".rstrip()


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _target_text(target: TargetReport, samples: int) -> str:
    text = f"{target.kind}, {target.labelled} of {samples} samples labelled"
    if not target.labelled:
        return text
    text = f"{text}, {target.invalid:.1%} invalid"
    if target.frequencies:
        present = sum(share > 0 for share in target.frequencies)
        largest = int(np.argmax(target.frequencies))
        name = target.class_names[largest] if largest < len(target.class_names) else f"class {largest}"
        return f"{text}, {present} of {len(target.frequencies)} classes, most: {name} {max(target.frequencies):.1%}"
    if target.kind == "normals":
        return f"{text}, {target.facing:.1%} face the camera"
    most, mean = (_with_unit(value, target) for value in (target.maximum, target.mean))
    return f"{text}, {_number(target.minimum)} to {most}, mean {mean}"
