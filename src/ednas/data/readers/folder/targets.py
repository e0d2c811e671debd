"""The kinds of targets that a ``dataset.yaml`` describes: what each says of its files, and how one is read."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from ednas.config import StrictModel
from ednas.data.colors import Color
from ednas.data.decode import (
    MAX_CLASSES,
    MAX_ID,
    MIN_ID,
    decode_colors,
    decode_depth,
    decode_labels,
    decode_normals,
    parse_axes,
)
from ednas.data.rasters import (
    JPEG_SUFFIXES,
    Array,
    is_jpeg,
    read_channel,
    read_colours,
    read_instances,
    read_measurements,
    read_vectors,
)
from ednas.data.sample import VOID, TargetInfo
from ednas.exceptions import DataError


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _as_colours(value: Any) -> Any:
    """Make a list of one colour, which may stand for itself; 'rest' and what is wrong stay what they are."""
    is_one = isinstance(value, list | tuple) and bool(value) and not isinstance(value[0], list | tuple)
    return (value,) if is_one else value


def _check_colour(value: Any) -> Any:
    channels = value if isinstance(value, list | tuple) else ()
    if len(channels) != 3 or not all(type(channel) is int and 0 <= channel <= 255 for channel in channels):
        raise ValueError("a colour has three numbers from 0 to 255, as [255, 0, 0]")
    return value


_Colours = Annotated[tuple[Annotated[Color, BeforeValidator(_check_colour)], ...], BeforeValidator(_as_colours)]


class Target(StrictModel):
    """What all kinds of targets say.

    Attributes:
        path: Where the files are: a path with ``{id}`` and, if wanted, ``{split}``; None where ``pairs`` name them.
        partial: Whether an image without this file has no label; otherwise it is an error.
    """

    path: str | None = None
    # Decides which files there are, not how one is read, which is all that a fingerprint wants from here.
    partial: bool = Field(default=False, exclude=True)

    @abstractmethod
    def info(self) -> TargetInfo:
        """Return what the target is, before any file is read."""

    @abstractmethod
    def load(self, path: Path) -> Array:
        """Read a file, as :class:`ednas.data.sample.Sample` wants it.

        Raises:
            DataError: The file is missing, corrupt or holds values out of range.
        """


class LabelsTarget(Target):
    """A target of classes, stored as ids or as colours; see the package's text.

    Attributes:
        kind: What is stored.
        num_classes: Number of classes; may be left out where names or colours give it.
        class_names: Names of the classes, in the order of their ids.
        void: Stored ids without a class: a number, a list, or ``rest`` for all that ``id_map`` does not name.
        id_map: Class by stored id; None = the ids are the classes.
        divisor: Of ids of instances: the class is the id divided by it and rounded down; ``void`` and ``id_map`` are
            about the result.
        colors: By name or number of a class: its colour or colours, each ``[red, green, blue]`` from 0 to 255. Names
            number the classes in their order, unless ``class_names`` do.
        ignore: Colours without a class: one, a list, or ``rest`` for all that are not listed.
    """

    kind: Literal["labels"]
    num_classes: int = Field(ge=1, le=MAX_CLASSES)
    class_names: tuple[str, ...] = ()
    void: tuple[int, ...] | Literal["rest"] = (VOID,)
    id_map: dict[int, int] | None = None
    divisor: int | None = Field(default=None, ge=2, le=2**24)
    colors: dict[str | int, _Colours] | None = Field(default=None, min_length=1)
    ignore: tuple[Color, ...] | Literal["rest"] = ()

    @model_validator(mode="before")
    @classmethod
    def _count_classes(cls, values: Any) -> Any:
        """Take the names from the colours, and the number from the names, where they are not said."""
        if not isinstance(values, dict):  # a target of another kind, which pydantic tries here, too
            return values
        colors = values.get("colors")
        if "class_names" not in values and isinstance(colors, dict) and all(isinstance(key, str) for key in colors):
            values = {**values, "class_names": list(colors)}
        names = values.get("class_names")
        if "num_classes" not in values and isinstance(names, list) and names:
            values = {**values, "num_classes": len(names)}
        return values

    @field_validator("void", mode="before")
    @classmethod
    def _check_void(cls, value: Any) -> Any:
        if value == "rest":
            return value
        ids = _as_tuple(value)
        if not all(isinstance(i, int) for i in ids):
            raise ValueError("must be a stored id, a list of them, or 'rest'")
        _check_ids(ids)
        return ids

    @field_validator("id_map")
    @classmethod
    def _check_id_map(cls, value: dict[int, int] | None, info: ValidationInfo) -> dict[int, int] | None:
        _check_ids(value or {})
        classes = info.data.get("num_classes", MAX_CLASSES)
        wrong = next((i for i in (value or {}).values() if not 0 <= i < classes), None)
        if wrong is not None:
            raise ValueError(f"maps to class {wrong}, allowed are 0..{classes - 1}")
        return value

    @field_validator("colors", mode="before")
    @classmethod
    def _check_keys(cls, value: Any) -> Any:
        wrong = next((key for key in value if type(key) not in (str, int)), None) if isinstance(value, dict) else None
        if wrong is not None:
            raise ValueError(f"{wrong!r:.40} is no name or number of a class; put a name in quotes")
        return value

    @field_validator("ignore", mode="before")
    @classmethod
    def _check_ignore(cls, value: Any) -> Any:
        if value == "rest":
            return value
        colours = _as_colours(value)
        if not isinstance(colours, list | tuple):
            raise ValueError("must be a colour, a list of them, or 'rest'")
        for colour in colours:
            _check_colour(colour)
        return colours

    @model_validator(mode="after")
    def _check(self) -> LabelsTarget:
        if self.class_names and len(self.class_names) != self.num_classes:
            raise ValueError(f"{len(self.class_names)} class_names for {self.num_classes} classes")
        name, count = Counter(self.class_names).most_common(1)[0] if self.class_names else ("", 0)
        if count > 1:
            raise ValueError(f"class_names: '{name}' is there {count} times; classes are distinguished by their names")
        if self.path is not None and PurePosixPath(self.path).suffix.lower() in JPEG_SUFFIXES:
            raise ValueError(f"path {self.path}: JPEG blurs classes; store labels as PNG or NPY")
        if self.colors is None and self.ignore:
            raise ValueError("ignore lists colours, but there are no colors; name ids without a class under void")
        if self.colors is not None:
            misplaced = next((key for key in ("void", "id_map", "divisor") if key in self.model_fields_set), None)
            if misplaced is not None:
                raise ValueError(f"{misplaced} is about ids, but the classes are colors; remove one")
            self._classes_of_colours()
        return self

    def _classes_of_colours(self) -> dict[Color, int]:
        classes: dict[Color, int] = {}
        ignored = () if self.ignore == "rest" else self.ignore
        for key, colours in (self.colors or {}).items():
            if isinstance(key, str) and key not in self.class_names:
                raise ValueError(f"colors: '{key}' is none of the class_names")
            if isinstance(key, int) and not 0 <= key < self.num_classes:
                raise ValueError(f"colors: class {key} is not in 0..{self.num_classes - 1}")
            for colour in colours:
                if colour in classes or colour in ignored:
                    raise ValueError(f"colors: {list(colour)} of '{key}' is there already; a colour has one class")
                classes[colour] = self.class_names.index(key) if isinstance(key, str) else key
        if not classes:
            raise ValueError("colors: lists no colour")
        return classes

    def info(self) -> TargetInfo:
        """Return what the target is; see :class:`Target`."""
        return TargetInfo("labels", self.num_classes, self.class_names)

    def load(self, path: Path) -> Array:
        """Read a file; see :class:`Target`. Where ids are those of instances, a colour picture holds ids, too."""
        if is_jpeg(path):
            raise DataError(f"{path}: is JPEG, which blurs classes, whatever its name; store labels as PNG or NPY")
        if self.colors is not None:
            return decode_colors(
                read_colours(path),
                classes=self._classes_of_colours(),
                ignore=() if self.ignore == "rest" else self.ignore,
                rest_is_void=self.ignore == "rest",
                where=path,
            )
        return decode_labels(
            read_channel(path) if self.divisor is None else read_instances(path),
            num_classes=self.num_classes,
            void=() if self.void == "rest" else self.void,
            id_map=None if self.id_map is None else self.id_map.items(),
            rest_is_void=self.void == "rest",
            divisor=self.divisor or 1,
            where=path,
        )


class DepthTarget(Target):
    """A target of depth or disparity; see the package's text.

    Attributes:
        kind: ``distance`` along the optical axis, or ``disparity``, which grows as things come closer.
        scale: The stored value times this is in metres; a disparity keeps a unit of its own.
        invalid: Stored values without a measurement: a number or a list.
        maximum: Values above it are invalid, after scaling.
        unit: For people; None = metres of a distance.
    """

    kind: Literal["distance", "disparity"]
    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    invalid: tuple[float, ...] = (0.0,)
    maximum: float | None = Field(default=None, gt=0)
    unit: str | None = None

    @field_validator("invalid", mode="before")
    @classmethod
    def _check_invalid(cls, value: Any) -> Any:
        return _as_tuple(value)

    def info(self) -> TargetInfo:
        """Return what the target is; see :class:`Target`."""
        unit = self.unit if self.unit is not None else "m" if self.kind == "distance" else ""
        return TargetInfo(self.kind, unit=unit)

    def load(self, path: Path) -> Array:
        """Read a file; see :class:`Target`."""
        return decode_depth(
            read_measurements(path), scale=self.scale, invalid=self.invalid, maximum=self.maximum, where=path
        )


class NormalsTarget(Target):
    """A target of surface normals; see the package's text.

    Attributes:
        kind: What is stored: v / 127.5 - 1 is a component; an ``.npy`` may hold floating point numbers.
        axes: Which stored channel is our x (right), y (down), z (forward); ``-g`` turns one round.
        invalid: Colours without a normal; grey, ``[128, 128, 128]``, always is.
    """

    kind: Literal["normals"]
    axes: tuple[str, str, str] = ("r", "g", "b")
    invalid: _Colours = ()

    @field_validator("axes")
    @classmethod
    def _check_axes(cls, value: tuple[str, str, str]) -> tuple[str, str, str]:
        parse_axes(value)
        return value

    def info(self) -> TargetInfo:
        """Return what the target is; see :class:`Target`."""
        return TargetInfo("normals")

    def load(self, path: Path) -> Array:
        """Read a file; see :class:`Target`."""
        return decode_normals(read_vectors(path), axes=parse_axes(self.axes), invalid=self.invalid, where=path)


AnyTarget = LabelsTarget | DepthTarget | NormalsTarget

TARGETS: dict[str, type[AnyTarget]] = {
    "labels": LabelsTarget,
    "distance": DepthTarget,
    "disparity": DepthTarget,
    "normals": NormalsTarget,
}
"""What reads each kind."""


def _check_ids(ids: Iterable[int]) -> None:
    wrong = next((i for i in ids if not MIN_ID <= i <= MAX_ID), None)
    if wrong is not None:
        raise ValueError(f"id {wrong} is out of range, allowed are {MIN_ID}..{MAX_ID}")
