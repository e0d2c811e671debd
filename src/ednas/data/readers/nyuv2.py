"""NYUv2 as its authors distribute it (Silberman et al., 2012): one MATLAB file, ``nyu_depth_v2_labeled.mat``.

The file is HDF5 (MATLAB 7.3) with arrays transposed: ``images`` ``(N, 3, W, H)`` ``uint8``, ``depths`` (filled) and
``rawDepths`` (0 = not measured) ``(N, W, H)`` in metres, ``labels`` ``(N, W, H)`` with 894 object classes, 0 = none.
Two more files are needed, which others distribute:

- the map from the object classes to 40 (or 13) classes: ``classMapping40.mat`` with the variable ``mapClass``, or a
  JSON list with the class, 1 to 40, of object class 1, 2, ...; 0 means void;
- the official split into 795 and 654 images: ``splits.mat`` with ``trainNdxs`` and ``testNdxs``, or JSON
  ``{"train": [...], "val": [...]}`` (or ``"test"``), numbers of images from 1.

They are looked for beside the ``.mat`` file under these names (``class_map.json`` and ``splits.json`` for JSON), or
given by the options ``class_map`` and ``splits``. MATLAB 7.3 files are read with h5py, older ones with SciPy; both
come with ``pip install "ednas[mat]"``. There are no normals in this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ednas.config import StrictModel, parse
from ednas.data.classes import known_class_names
from ednas.data.decode import decode_depth, decode_labels
from ednas.data.rasters import Array, brief, require_file
from ednas.data.reader import IMAGE, SPLITS, Format, Reader, choose_split
from ednas.data.sample import VOID, DatasetInfo, TargetInfo
from ednas.exceptions import ConfigError, DataError
from ednas.files import read_json

FILE_NAME = "nyu_depth_v2_labeled.mat"
CLASS_MAP_NAMES = ("classMapping40.mat", "class_map.json")
SPLITS_NAMES = ("splits.mat", "splits.json")

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HDF5_OFFSETS = (0, 512)
_VARIABLES = {"filled": "depths", "raw": "rawDepths"}
_NDIM = {"images": 4, "depths": 3, "rawDepths": 3, "labels": 3}


class NYUv2Options(StrictModel):
    """Options of :class:`NYUv2`.

    Attributes:
        class_map: Path of the class map; None: beside the ``.mat`` file.
        splits: Path of the split; None: beside the ``.mat`` file.
        depth: ``filled`` (in-painted, no invalid pixels) or ``raw`` (as measured, with holes).
    """

    class_map: Path | None = None
    splits: Path | None = None
    depth: Literal["filled", "raw"] = "filled"


class NYUv2(Reader[int]):
    """Raw NYUv2: targets ``segmentation`` and ``depth`` (metres). A record is the number of an image, from 0.

    Args:
        path: The ``.mat`` file.
        split: ``train`` or ``val``.
        options: See :class:`NYUv2Options`.

    Raises:
        ConfigError: An option is wrong, or h5py (or SciPy, for an old file) is not installed.
    """

    def __init__(self, path: Path, split: str = "train", options: Mapping[str, Any] | None = None) -> None:
        chosen = parse(NYUv2Options, options or {}, "options of nyuv2")
        choose_split(split, SPLITS, path)
        self._path = path
        self._class_map_path = chosen.class_map or _beside(path, CLASS_MAP_NAMES, "the map to 40 classes", "class_map")
        self._splits_path = chosen.splits or _beside(path, SPLITS_NAMES, "the official split", "splits")
        self._depth = _VARIABLES[chosen.depth]
        count = _count_images(path, self._depth)
        class_map = _read_class_map(self._class_map_path)
        classes = max(class_map)
        # Object class 0 is "unlabelled"; class 0 of the map is void too.
        self._id_map = [(stored, ours - 1) for stored, ours in enumerate(class_map, start=1) if ours > 0]
        self._void = [0, *(stored for stored, ours in enumerate(class_map, start=1) if ours == 0)]
        targets = {
            "segmentation": TargetInfo("labels", classes, known_class_names(classes)),
            "depth": TargetInfo("distance", unit="m"),
        }
        super().__init__(
            root=path.parent,
            split=split,
            info=DatasetInfo("NYUv2", "nyuv2", targets),
            records=_read_split(self._splits_path, split, count),
            options=chosen,
        )

    def _name(self, record: int) -> str:
        return f"{self._path.name}[{record + 1}]"

    def _paths(self, record: int) -> Mapping[str, Path]:
        del record  # all images are in one file
        return {
            **dict.fromkeys((IMAGE, *self.info.targets), self._path),
            "class_map": self._class_map_path,
            "splits": self._splits_path,
        }

    def _load(self, part: str, record: int) -> Array:
        where = f"{self._path}: image {record + 1}"
        if part == IMAGE:
            image = _read_slice(self._path, "images", record)
            if image.shape[2] != 3 or image.dtype != np.uint8:
                raise DataError(f"{where}: is {image.dtype} {image.shape}; expected uint8 (height, width, 3)")
            return image
        if part == "depth":
            return decode_depth(_read_slice(self._path, self._depth, record), where=where)
        labels = _read_slice(self._path, "labels", record)
        classes = self.info.targets[part].num_classes
        return decode_labels(labels, num_classes=classes, id_map=self._id_map, void=self._void, where=where)


def _beside(path: Path, names: tuple[str, ...], what: str, option: str) -> Path:
    found = next((path.parent / name for name in names if (path.parent / name).is_file()), None)
    if found is None:
        raise DataError(f"{path}: needs {what}; put {' or '.join(names)} beside it, or give its path as '{option}'")
    return found


def _count_images(path: Path, depth: str) -> int:
    """Number of images; checks that the variables that we need are there and agree."""
    with _open_hdf5(path) as file:
        shapes = {name: _variable(file, name, path).shape for name in ("images", depth, "labels")}
    counts = {shape[0] for shape in shapes.values()}
    if len(counts) != 1:
        raise DataError(f"{path}: its variables hold different numbers of images ({shapes})")
    return int(counts.pop())


def _read_slice(path: Path, name: str, index: int) -> Array:
    """Image ``index`` of a variable, ``(H, W)`` or ``(H, W, C)``: MATLAB's axes come out reversed.

    The file is opened for each read: an HDF5 handle must not cross into the worker processes of a loader.
    """
    return np.ascontiguousarray(_read_hdf5(path, name, index, f"image {index + 1} of '{name}'").transpose())


def _read_hdf5(path: Path, name: str, index: int | tuple[()], what: str) -> Array:
    """Return ``what``: a variable at an index, or all of it at ``()``."""
    with _open_hdf5(path) as file:
        variable = _variable(file, name, path)
        try:
            return np.asarray(variable[index])
        except Exception as cause:  # h5py raises OSError, RuntimeError, IndexError, ... on a damaged file
            raise DataError(f"{path}: {what} cannot be read ({brief(cause)})") from cause


def _open_hdf5(path: Path) -> Any:
    require_file(path)
    if not _is_hdf5(path):
        raise DataError(f"{path}: is no MATLAB 7.3 (HDF5) file; is the download complete?")
    try:
        h5py = import_module("h5py")
    except ImportError:
        raise ConfigError(f'{path}: needs h5py to be read; install it with: pip install "ednas[mat]"') from None
    try:
        return h5py.File(path, "r")
    except Exception as cause:  # as above
        raise DataError(f"{path}: cannot be read as HDF5 ({brief(cause)}); is the file truncated?") from cause


def _variable(file: Any, name: str, path: Path) -> Any:
    try:
        variable = file[name]
        fits = len(variable.shape) == _NDIM.get(name, len(variable.shape)) and variable.dtype.kind in "iuf"
    except Exception as cause:  # as above
        raise DataError(f"{path}: has no variable '{name}' that can be read ({brief(cause)})") from cause
    if not fits:
        raise DataError(f"{path}: '{name}' has shape {variable.shape} of {variable.dtype}, not NYUv2's")
    return variable


def _is_hdf5(path: Path) -> bool:
    """Whether the HDF5 signature is where HDF5 and MATLAB (after its own header of 512 bytes) put it."""
    try:
        with path.open("rb") as file:
            head = file.read(max(_HDF5_OFFSETS) + len(_HDF5_SIGNATURE))
    except OSError:
        return False
    return any(head[offset:].startswith(_HDF5_SIGNATURE) for offset in _HDF5_OFFSETS)


def _read_class_map(path: Path) -> list[int]:
    values = read_json(path, DataError) if path.suffix == ".json" else _read_mat_variable(path, "mapClass")
    numbers = _whole_numbers(values, path, "the class map")
    if max(numbers) < 1 or max(numbers) >= VOID or min(numbers) < 0:
        raise DataError(
            f"{path}: class map holds {min(numbers)} to {max(numbers)}; expected classes from 1, 0 for void"
        )
    return numbers


def _read_split(path: Path, split: str, count: int) -> list[int]:
    """Numbers of the images of a split, from 0."""
    if path.suffix == ".json":
        stored = read_json(path, DataError)
        keys = ("train",) if split == "train" else ("val", "test")
        key = next((key for key in keys if isinstance(stored, dict) and key in stored), None)
        if key is None:
            raise DataError(f"{path}: has no list '{keys[0]}'")
        values = stored[key]
    else:
        values = _read_mat_variable(path, "trainNdxs" if split == "train" else "testNdxs")
    numbers = _whole_numbers(values, path, f"split '{split}'")
    if min(numbers) < 1 or max(numbers) > count:
        raise DataError(
            f"{path}: split '{split}' holds {min(numbers)} to {max(numbers)}; there are images 1 to {count}"
        )
    return [number - 1 for number in numbers]


def _whole_numbers(values: Any, path: Path, what: str) -> list[int]:
    try:
        array = np.asarray(values, dtype=np.float64).ravel()
    except (ValueError, TypeError, OverflowError):
        raise DataError(f"{path}: {what} is no list of numbers") from None
    if array.size == 0 or not np.isfinite(array).all() or (array != np.rint(array)).any():
        raise DataError(f"{path}: {what} must be a list of whole numbers")
    return [int(number) for number in array]


def _read_mat_variable(path: Path, name: str) -> Any:
    """A numeric variable of a MATLAB file of any version."""
    require_file(path)
    if _is_hdf5(path):
        return _read_hdf5(path, name, (), f"'{name}'")
    try:
        scipy_io = import_module("scipy.io")
    except ImportError:
        raise ConfigError(
            f'{path}: is an old MATLAB file, which needs SciPy (pip install "ednas[mat]"); or give its numbers as JSON'
        ) from None
    try:
        stored = scipy_io.loadmat(path, variable_names=[name])
    except Exception as cause:  # SciPy raises almost anything on a damaged file
        raise DataError(f"{path}: cannot be read as a MATLAB file ({brief(cause)})") from cause
    if name not in stored:
        raise DataError(f"{path}: has no variable '{name}'")
    return stored[name]


def _find(path: Path) -> Path | None:
    if path.suffix == ".mat" and path.is_file():
        return path
    if not path.is_dir():
        return None
    if (path / FILE_NAME).is_file():
        return path / FILE_NAME
    others = sorted(file for file in path.glob("*.mat") if file.name not in (*CLASS_MAP_NAMES, *SPLITS_NAMES))
    return others[0] if len(others) == 1 else None


FORMAT = Format(
    name="nyuv2",
    looks_for=f"{FILE_NAME} (raw NYUv2)",
    find=_find,
    open=NYUv2,
    splits=lambda _: SPLITS,
)
