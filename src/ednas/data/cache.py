"""Decoded samples on disk: every image is read and resized once, for all trials, workers and processes together.

A cached split is a folder::

    <dataset>-<split>-<H>x<W>-<key>/
      info.json              what the dataset is, the samples' names, a digest of all that they hold, and size and
                             checksum of every array
      image.npy              uint8   (N, H, W, 3)
      targets/<name>.npy     labels uint8 (N, H, W); distance, disparity float32 (N, H, W); normals float16 (N, H, W, 3)

The arrays are plain ``.npy`` files, memory-mapped when opened: processes that train on the same split share one copy
in the page cache. The key changes with the data (:meth:`DenseDataset.fingerprint`), the size and the format of the
cache, so a stale cache is never used; a cache folder may be deleted at any time.

**Resizing.** Images are resized by an antialiased bilinear filter; labels, depth and normals take the value of the
nearest pixel, so no class, no distance and no direction is ever invented between two surfaces, and void and invalid
pixels stay what they are. Where the aspect ratio changes the image is stretched. Depth and normals keep their values
under any resize: a resized image is what a camera with other pixel sizes (fx, fy scaled with the width, the height)
sees of the *same* scene, and depth and direction of a surface do not depend on the size of a pixel.

**Normals** are stored in half precision: the direction is off by less than 0.025 degrees.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import re
import shutil
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ednas.data.complaints import complain
from ednas.data.rasters import Array, resize_image, resize_nearest
from ednas.data.sample import VOID, DatasetInfo, DenseDataset, Sample, TargetInfo, TargetKind
from ednas.exceptions import ConfigError, DataError, EdnasError
from ednas.files import atomic_path, locked, read_json

FORMAT_VERSION = 4
"""Part of every cache's key; to be raised when the contents of the arrays change their meaning."""

Progress = Callable[[int, int], None]
"""Called with (samples done, samples in all)."""

_log = logging.getLogger(__name__)

_STORED: dict[TargetKind, tuple[type[np.generic], tuple[int, ...]]] = {
    "labels": (np.uint8, ()),
    "distance": (np.float32, ()),
    "disparity": (np.float32, ()),
    "normals": (np.float16, (3,)),
}
"""Type and trailing dimensions of a target on disk."""

_Layout = dict[str, tuple[np.dtype[np.generic], tuple[int, ...]]]

_CHECK_BLOCKS, _CHECK_BYTES = 64, 1 << 16

_PATIENCE = 20
"""How often, every 50 ms, to look for a cache that another builder is renaming into place."""


@dataclass(frozen=True)
class CachedSplit:
    """A split of a dataset, decoded, at one size, in memory-mapped arrays.

    Cheap to send to another process: it is pickled as its folder and opened again there.

    Attributes:
        folder: Where the arrays are.
        info: What the dataset is, targets included.
        split: ``train`` or ``val``.
        size: ``(H, W)`` of the images and the targets.
        image: RGB, ``uint8`` ``(M, H, W, 3)``, read-only.
        targets: Labels by target name, ``(M, H, W)`` or ``(M, H, W, 3)``, read-only: ``uint8`` class ids, ``float32``
            distances and disparities, ``float16`` normals.
        sources: Names of the M samples (:meth:`DenseDataset.source`).
        digest: Of the names and the decoded content of all M samples and of what they mean (kinds, units, classes),
            hexadecimal: the same wherever the files lie.
        rows: Which of the M samples belong to the split, ``(N,)``: all, but for what :meth:`select` returns.
        class_tables: For targets whose classes are numbered otherwise in the arrays: the number that each stored one
            stands for, ``uint8`` ``(256,)``; see :func:`ednas.data.matching.match_labels`.
    """

    folder: Path
    info: DatasetInfo
    split: str
    size: tuple[int, int]
    image: Array
    targets: Mapping[str, Array]
    sources: tuple[str, ...]
    digest: str
    rows: npt.NDArray[np.int64]
    class_tables: Mapping[str, npt.NDArray[np.uint8]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def __reduce__(self) -> tuple[Callable[..., CachedSplit], tuple[Any, ...]]:
        matched = {name: self.info.targets[name] for name in self.class_tables}
        return _reopen, (self.folder, self.split, self.rows, self.class_tables, matched)

    def select(self, chosen: npt.NDArray[np.bool_], split: str) -> CachedSplit:
        """Return the samples ``chosen`` ``(N,)`` as a split of another name; the arrays are shared."""
        return dataclasses.replace(self, split=split, rows=self.rows[chosen])


def _reopen(
    folder: Path, split: str, rows: Array, class_tables: Mapping[str, Array], matched: Mapping[str, TargetInfo]
) -> CachedSplit:
    cached = load_cache(folder)
    info = dataclasses.replace(cached.info, targets={**cached.info.targets, **matched})
    return dataclasses.replace(cached, info=info, split=split, rows=rows, class_tables=class_tables)


def cache_folder() -> Path:
    """Return the folder of all caches: ``$EDNAS_CACHE``, or ``~/.cache/ednas``."""
    return Path(os.environ.get("EDNAS_CACHE") or Path("~/.cache/ednas")).expanduser()


def open_cache(
    dataset: DenseDataset, size: tuple[int, int], folder: Path | None = None, progress: Progress | None = None
) -> CachedSplit:
    """Open the decoded samples of a split at a size; decode them first if nobody has.

    Several processes may ask for the same cache at the same time: one decodes, the others wait for it and use its work.
    A cache that is truncated or damaged is decoded again. (Damage is found by the size of every file and by a checksum
    over blocks spread over it: all of a file of up to 4 MiB.)

    Args:
        dataset: The split.
        size: ``(H, W)`` to resize to.
        folder: Where caches are; :func:`cache_folder` if ``None``.
        progress: Called for every sample that is decoded; not called when the cache is there already.

    Raises:
        ConfigError: ``size`` is not two positive numbers.
        DataError: The split is empty, or a sample is missing, corrupt or breaks the convention of
            :mod:`ednas.data.sample`; the message names it.
        EdnasError: The cache cannot be written (disk full, no permission); nothing is left behind.
    """
    path = _place(dataset, size, folder)
    cached = _load_if_sound(path)
    if cached is not None:
        return cached
    with _only_one(path):
        cached = _load_if_sound(path)  # somebody else may have finished while this process waited
        if cached is None:
            if path.exists():
                _log.warning("%s is damaged and is decoded again", path)
            cached = _build_or_use(dataset, size, path, progress)
    return cached


def find_cache(dataset: DenseDataset, size: tuple[int, int], folder: Path | None = None) -> CachedSplit | None:
    """Return what :func:`open_cache` decoded before, with the same arguments; None if it would have to decode now.

    Raises:
        ConfigError: ``size`` is not two positive numbers.
    """
    return _load_if_sound(_place(dataset, size, folder))


def _place(dataset: DenseDataset, size: tuple[int, int], folder: Path | None) -> Path:
    height, width = size
    if height < 1 or width < 1:
        raise ConfigError(f"input size {height}x{width}: height and width must be at least 1")
    parts = [FORMAT_VERSION, dataset.fingerprint(), dataset.split, *size, _describe(dataset.info)]
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    label = re.sub(r"[^A-Za-z0-9_.-]+", "_", f"{dataset.info.name[:60]}-{dataset.split}")
    return (cache_folder() if folder is None else folder) / f"{label}-{height}x{width}-{key}"


def _build_or_use(dataset: DenseDataset, size: tuple[int, int], path: Path, progress: Progress | None) -> CachedSplit:
    """Build a cache; where there are no locks, somebody else may be putting the same one in place right now."""
    failure: EdnasError | None = None
    try:
        _build(dataset, size, path, progress)
    except DataError:
        raise
    except EdnasError as error:
        failure = error
    for _ in range(_PATIENCE):
        cached = _load_if_sound(path)
        if cached is not None:
            return cached
        time.sleep(0.05)
    raise failure or DataError(f"{path}: damaged right after it was written; is another program changing it?")


def load_cache(folder: Path) -> CachedSplit:
    """Open a finished cache folder.

    Raises:
        DataError: The folder is missing, truncated or damaged.
    """
    content = read_json(folder / "info.json", DataError)
    try:
        if content["version"] != FORMAT_VERSION:
            raise DataError(f"{folder}: a cache of version {content['version']}, expected {FORMAT_VERSION}; delete it")
        height, width = content["size"]
        targets = {
            name: TargetInfo(**{**value, "class_names": tuple(value["class_names"])})
            for name, value in content["targets"].items()
        }
        info = DatasetInfo(content["name"], content["format"], targets)
        layout = _layout(info, content["length"], (height, width))
        arrays = {name: _map(folder / name, *layout[name], content["arrays"][name]) for name in layout}
        return CachedSplit(
            folder=folder,
            info=info,
            split=content["split"],
            size=(height, width),
            image=arrays["image.npy"],
            targets={name: arrays[_target_file(name)] for name in targets},
            sources=tuple(content["sources"]),
            digest=content["digest"],
            rows=np.arange(content["length"]),
        )
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as cause:
        raise DataError(f"{folder}: a damaged cache ({cause}); delete it") from cause


def _load_if_sound(path: Path) -> CachedSplit | None:
    try:
        return load_cache(path)
    except DataError:
        return None


def _describe(info: DatasetInfo) -> dict[str, Any]:
    targets = {name: dataclasses.asdict(target) for name, target in info.targets.items()}
    return {"name": info.name, "format": info.format, "targets": targets}


def _target_file(name: str) -> str:
    return f"targets/{name}.npy"


def _layout(info: DatasetInfo, length: int, size: tuple[int, int]) -> _Layout:
    """Type and shape of every array, by its path below the cache folder; the image comes first."""
    layout: _Layout = {"image.npy": (np.dtype(np.uint8), (length, *size, 3))}
    for name, target in info.targets.items():
        if name == "image" or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
            raise DataError(
                f"dataset {info.name}: a target cannot be called {name!r}; use letters, digits and _, and not 'image'"
            )
        dtype, trailing = _STORED[target.kind]
        layout[_target_file(name)] = (np.dtype(dtype), (length, *size, *trailing))
    return layout


def _map(file: Path, dtype: np.dtype[np.generic], shape: tuple[int, ...], facts: Mapping[str, Any]) -> Array:
    """Memory-map an array, after a check that the file is what was written."""
    if file.stat().st_size != facts["bytes"]:
        raise DataError(f"{file}: {file.stat().st_size} bytes, expected {facts['bytes']}; delete the cache")
    if _spot_checksum(file) != facts["checksum"]:
        raise DataError(f"{file}: its contents changed since it was written; delete the cache")
    array: Array = np.load(file, mmap_mode="r", allow_pickle=False)
    if array.dtype != dtype or array.shape != shape:
        raise DataError(f"{file}: {array.dtype} {array.shape}, expected {dtype} {shape}; delete the cache")
    return array


def _spot_checksum(file: Path) -> int:
    """Return the CRC-32 of blocks spread evenly over a file: of all of it if it is small.

    Reading all of a large file at every start of every trial would cost more than it protects from; blocks find what
    happens in practice: files cut off, or filled with zeros after a power failure.
    """
    size = file.stat().st_size
    last = max(size - _CHECK_BYTES, 0)
    count = min(_CHECK_BLOCKS, -(-size // _CHECK_BYTES))
    checksum = 0
    with file.open("rb") as stream:
        for block in range(count):
            stream.seek(last * block // max(count - 1, 1))
            checksum = zlib.crc32(stream.read(_CHECK_BYTES), checksum)
    return checksum


def _build(dataset: DenseDataset, size: tuple[int, int], path: Path, progress: Progress | None) -> None:
    length = len(dataset)
    if length == 0:
        raise DataError(f"dataset {dataset.info.name}: split {dataset.split} has no samples")
    layout = _layout(dataset.info, length, size)
    _check_space(path, sum(dtype.itemsize * int(np.prod(shape)) for dtype, shape in layout.values()))
    digest = hashlib.blake2b(json.dumps(_describe(dataset.info)["targets"], sort_keys=True).encode(), digest_size=16)
    with atomic_path(path) as temporary:
        (temporary / "targets").mkdir(parents=True)
        with ExitStack() as stack:
            # Plain sequential writes: a full disk is an error here, where a memory map would kill the process.
            streams = {name: stack.enter_context((temporary / name).open("wb")) for name in layout}
            for name, (dtype, shape) in layout.items():
                header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(streams[name], header)
            for index, sample in enumerate(_decode_in_order(dataset, size)):
                digest.update(dataset.source(index).encode(errors="surrogateescape"))
                for (name, (dtype, _)), array in zip(layout.items(), sample, strict=True):
                    values = np.ascontiguousarray(array.astype(dtype, copy=False)).data
                    digest.update(values)
                    _write(streams[name], values)
                if progress is not None:
                    progress(index + 1, length)
            for stream in streams.values():
                stream.flush()
                os.fsync(stream.fileno())  # a power failure after the renaming must not leave zeros
        content = {
            "version": FORMAT_VERSION,
            **_describe(dataset.info),
            "split": dataset.split,
            "size": list(size),
            "length": length,
            "digest": digest.hexdigest(),
            "sources": [dataset.source(index) for index in range(length)],
            "arrays": {
                name: {"bytes": (temporary / name).stat().st_size, "checksum": _spot_checksum(temporary / name)}
                for name in layout
            },
        }
        (temporary / "info.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _write(stream: IO[bytes], values: memoryview) -> None:
    stream.write(values)


def _check_space(path: Path, needed: int) -> None:
    """Refuse at once what would fail after minutes of decoding."""
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise EdnasError(
            f"cannot write {path}: the decoded samples need {needed / 1e6:.0f} MB and {free / 1e6:.0f} MB are free; "
            "free space or set EDNAS_CACHE to another folder"
        )


def _decode_in_order(dataset: DenseDataset, size: tuple[int, int]) -> Iterator[list[Array]]:
    """Decode samples in a few threads (decoders release the interpreter's lock), at most a few ahead."""
    workers = min(8, os.cpu_count() or 1)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="ednas-decode")
    pending: deque[Future[list[Array]]] = deque()
    index = 0
    try:
        for index in range(len(dataset)):
            pending.append(pool.submit(_decode, dataset, index, size))
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except DataError as error:
        raise complain(dataset, error, index - len(pending)) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _decode(dataset: DenseDataset, index: int, size: tuple[int, int]) -> list[Array]:
    """Read, check and resize one sample: the image, then the targets in the order of the dataset's info."""
    try:
        sample = dataset[index]
    except OSError as cause:
        # Here, and not in atomic_path, which would call it a failure to write the cache.
        raise DataError(f"{dataset.source(index)}: cannot be read ({cause})") from cause
    problem = _problem(sample, dataset.info)
    if problem is not None:
        raise DataError(f"{dataset.source(index)}: {problem}")
    return [resize_image(sample.image, size)] + [
        resize_nearest(np.asarray(sample.targets[name]), size) for name in dataset.info.targets
    ]


def _problem(sample: Sample, info: DatasetInfo) -> str | None:
    """Say how a sample breaks the convention, if it does: later this would be a loss that is not a number."""
    if sample.image.dtype != np.uint8 or sample.image.ndim != 3 or sample.image.shape[2] != 3:
        return f"the image is {sample.image.dtype} {sample.image.shape}, expected uint8 (H, W, 3)"
    height, width = sample.image.shape[:2]
    for name, target in info.targets.items():
        if name not in sample.targets:
            return f"target {name} is missing"
        array = np.asarray(sample.targets[name])
        shape = (height, width, *_STORED[target.kind][1])
        if array.shape != shape:
            return f"target {name} has shape {array.shape}, expected {shape} as the image"
        if target.kind == "labels":
            if array.dtype != np.uint8:
                return f"target {name} is {array.dtype}, expected uint8"
            classes = array[array != VOID]
            if classes.size and classes.max() >= target.num_classes:
                return f"target {name} has label {classes.max()}, expected 0..{target.num_classes - 1} or {VOID} (void)"
        elif not np.isfinite(array).all():
            return f"target {name} has values that are not finite; mark invalid pixels with 0"
        elif target.kind != "normals" and (array < 0).any():
            return f"target {name} has negative values; mark invalid pixels with 0"
    return None


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Let one process at a time build ``path``; the lock dies with its holder.

    Without file locks (some network file systems) processes may do the same work twice, and all use the result of one
    of them.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name(f".{path.name}.lock"), wait=True) as alone:
            if alone:
                for stale in path.parent.glob(f".{path.name}.*/"):  # of builders that were killed
                    shutil.rmtree(stale, ignore_errors=True)
            yield
    except OSError as cause:
        raise EdnasError(
            f"cannot write to the cache folder {path.parent} ({cause.strerror or cause}); "
            "set EDNAS_CACHE to a folder that can be written"
        ) from cause
