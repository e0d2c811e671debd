"""What every dataset yields, whatever its format: the one convention that the rest of the code relies on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from ednas.exceptions import DataError, one_line

VOID = 255
"""Label of pixels without a class, in every segmentation map (``uint8``)."""

TargetKind = Literal["labels", "distance", "disparity", "normals"]
"""How geometry acts on a target.

- ``labels``: class ids, ``uint8`` ``(H, W)``, :data:`VOID` = no label.
- ``distance``: depth along the optical axis, ``float32`` ``(H, W)``, 0 = invalid; divided by s when the scene is
  magnified s times.
- ``disparity``: a value proportional to 1/depth, ``float32`` ``(H, W)``, 0 = invalid; multiplied by s.
- ``normals``: unit vectors in the camera frame (x right, y down, z forward, so that a surface facing the camera has
  z < 0), ``float32`` ``(H, W, 3)``, (0, 0, 0) = invalid; x changes sign when the scene is mirrored.
"""

DEPTHS: tuple[TargetKind, ...] = ("distance", "disparity")
"""Kinds of targets that say how far things are."""


@dataclass(frozen=True)
class TargetInfo:
    """One kind of label that a dataset has.

    Attributes:
        kind: How the values are stored and how geometry acts on them.
        num_classes: Number of classes; 0 unless ``kind`` is ``labels``.
        class_names: Names of the classes; may be empty.
        unit: For people, for example ``m`` or ``p/65535``.

    Raises:
        DataError: A name holds control characters.
    """

    kind: TargetKind
    num_classes: int = 0
    class_names: tuple[str, ...] = ()
    unit: str = ""

    def __post_init__(self) -> None:
        for name in (*self.class_names, self.unit):
            if name != one_line(name):
                raise DataError(f"the name '{name}' of a class or unit holds control characters; write it without")

    def difference(self, other: TargetInfo) -> str:
        """Name the first thing in which another target means something else; empty if they mean the same."""
        for what in ("kind", "unit", "num_classes"):
            ours, theirs = getattr(self, what), getattr(other, what)
            if ours != theirs:
                return f"{what} {ours!r}, not {theirs!r}"
        if self.class_names != other.class_names:
            pairs = enumerate(zip(self.class_names, other.class_names, strict=False))
            named = (f"class {index} is '{a}', not '{b}'" for index, (a, b) in pairs if a != b)
            return next(named, "only one of them names its classes")
        return ""


def no_label(info: TargetInfo, size: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return the target of a sample that has none: void or invalid in every pixel of ``size`` ``(H, W)``."""
    if info.kind == "labels":
        return np.full(size, VOID, np.uint8)
    return np.zeros((*size, 3) if info.kind == "normals" else size, np.float32)


def valid_pixels(values: npt.NDArray[Any], info: TargetInfo) -> npt.NDArray[np.bool_]:
    """Return which pixels of a target have a label, ``(H, W)``."""
    if info.kind == "normals":
        return np.asarray((values != 0).any(axis=-1))
    return np.asarray(values != VOID if info.kind == "labels" else values > 0)


@dataclass(frozen=True)
class DatasetInfo:
    """What a dataset is, before any sample is read.

    Attributes:
        name: For people and file names.
        format: The reader, for example ``folder`` or ``adashare_nyuv2``.
        targets: Labels by name: ``segmentation``, ``depth``, ``normals``, or a user's own.
    """

    name: str
    format: str
    targets: Mapping[str, TargetInfo] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """One image and its labels.

    Attributes:
        image: RGB, ``uint8`` ``(H, W, 3)``.
        targets: By target name, arrays as :data:`TargetKind` says, all of the image's height and width. Where a sample
            has no label of a target, all of it is void or invalid: losses and metrics skip such pixels anyway.
    """

    image: npt.NDArray[np.uint8]
    targets: Mapping[str, npt.NDArray[np.generic]]


class DenseDataset(Protocol):
    """A split of a dataset with dense labels: the contract of every reader."""

    @property
    def info(self) -> DatasetInfo:
        """What the dataset is."""

    @property
    def split(self) -> str:
        """``train`` or ``val``."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample:
        """Read sample ``index``.

        Raises:
            DataError: A file of the sample is missing, corrupt, of another size than the image, or holds values out of
                range; the message names the file.
        """

    def source(self, index: int) -> str:
        """Name of sample ``index`` for people: the image's path below the root, or the seed of a rendered scene."""

    def fingerprint(self) -> str:
        """Hex digest that changes when the data change, and may change when they do not (paths, sizes, times)."""
