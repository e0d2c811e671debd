"""Reading pictures and arrays from disk: whatever is wrong with a file becomes one :class:`DataError` naming it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from ednas.exceptions import DataError

Array = npt.NDArray[Any]

SUFFIXES = (".png", ".jpg", ".jpeg", ".npy")
"""Kinds of files that can be read."""

JPEG_SUFFIXES = (".jpg", ".jpeg")
"""Those of them that blur."""

_COLOUR_MODES = ("RGB", "RGBA", "L", "LA", "P", "1", "CMYK")
_CHANNEL_MODES = ("L", "P", "1", "I", "F", "I;16", "I;16B", "I;16L")
_MEASURED_MODES = tuple(mode for mode in _CHANNEL_MODES if mode != "P")
_EXACT_MODES = ("RGB", "RGBA", "L", "LA", "P", "1")
_ROUNDING = 1e-3

MAX_PIXELS = 150_000_000
"""Of a picture. Decoded, so many take half a gigabyte, however small the file is."""


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Read a picture as RGB.

    An ``.npy`` file may hold ``uint8`` or floating point values in [0, 1]. Grey and palette pictures become RGB, an
    alpha channel is dropped, and the picture is turned as its EXIF orientation says: as labelling tools and viewers
    show it.

    Args:
        path: PNG, JPEG or NPY file.

    Returns:
        ``uint8`` ``(H, W, 3)``.

    Raises:
        DataError: The file is missing, corrupt, truncated, too large or no colour picture of 8 bits per channel.
    """
    if path.suffix.lower() == ".npy":
        return _image_from_array(read_npy(path), path)
    picture = _decode(path)
    if picture.mode not in _COLOUR_MODES:
        raise DataError(f"{path}: has pixels of mode {picture.mode}; an image needs 8 bits per channel")
    if _png_bits(path) == 16:
        # The upper 8 bits would be black where a camera fills the lower 12.
        raise DataError(
            f"{path}: has 16 bits per channel; an image needs 8: convert it, with its range spread over them"
        )
    return np.array(ImageOps.exif_transpose(picture).convert("RGB"))


def read_channel(path: Path) -> Array:
    """Read a map of one number per pixel: class ids, depth or disparity.

    A palette picture gives the palette indices, a 16-bit picture the 16-bit values.

    Args:
        path: PNG, JPEG or NPY file; an array ``(H, W)`` or ``(H, W, 1)``.

    Returns:
        Integers or floating point numbers ``(H, W)``, as stored.

    Raises:
        DataError: The file is missing, corrupt, truncated or has more than one channel.
    """
    if path.suffix.lower() == ".npy":
        values = read_npy(path)
        if values.ndim == 3 and values.shape[2] == 1:
            values = values[:, :, 0]
    else:
        picture = _decode(path)
        if picture.mode not in _CHANNEL_MODES:
            raise DataError(
                f"{path}: is a picture of mode {picture.mode}; a label map needs one channel, or "
                "'colors' in its dataset.yaml where classes are painted"
            )
        values = np.array(picture)
        if picture.mode == "L" and (bits := _png_bits(path)) in (2, 4):
            values //= 255 // (2**bits - 1)  # the decoder spreads grey values over 0 to 255
    if values.ndim != 2 or 0 in values.shape:
        raise DataError(f"{path}: has shape {values.shape}; a label map needs (height, width)")
    return values.astype(np.uint8) if values.dtype == bool else values


def read_measurements(path: Path) -> Array:
    """Read a map of one measurement per pixel, as :func:`read_channel` does; a palette's indices are none.

    Raises:
        DataError: As :func:`read_channel`, or the file is a colour or palette picture, or JPEG under another name.
    """
    if path.suffix.lower() == ".png" and is_jpeg(path):
        raise DataError(f"{path}: is JPEG, which blurs depth, whatever its name; store depth as PNG of 16 bits, or NPY")
    if path.suffix.lower() != ".npy" and (mode := _decode(path).mode) not in _MEASURED_MODES:
        what = "a palette picture" if mode == "P" else f"a picture of mode {mode}"
        raise DataError(f"{path}: is {what}, coloured for people; depth needs grey values or an NPY file")
    return read_channel(path)


def read_vectors(path: Path) -> Array:
    """Read a map of three numbers per pixel.

    Args:
        path: PNG, JPEG or NPY file; an array ``(H, W, 3)``.

    Returns:
        ``uint8`` from a picture, as stored from an array; ``(H, W, 3)``.

    Raises:
        DataError: The file is missing, corrupt, truncated or has not three channels.
    """
    if path.suffix.lower() == ".npy":
        values = read_npy(path)
    else:
        picture = _decode(path)
        if picture.mode not in ("RGB", "RGBA"):
            raise DataError(f"{path}: is a picture of mode {picture.mode}; a map of normals needs red, green and blue")
        values = np.array(picture.convert("RGB"))
    if values.ndim != 3 or values.shape[2] != 3 or 0 in values.shape:
        raise DataError(f"{path}: has shape {values.shape}; a map of normals needs (height, width, 3)")
    return values


def read_colours(path: Path) -> npt.NDArray[np.uint8]:
    """Read a map of one exact colour per pixel: labels that are painted. An alpha channel is dropped.

    Args:
        path: PNG or NPY file; an array ``uint8`` ``(H, W, 3)``.

    Returns:
        ``uint8`` ``(H, W, 3)``: of a palette picture the palette's colours, of a grey one the grey three times.

    Raises:
        DataError: The file is missing, corrupt, truncated or has no 8 bits per channel.
    """
    if path.suffix.lower() == ".npy":
        values = read_vectors(path)
        if values.dtype != np.uint8:
            raise DataError(f"{path}: holds {values.dtype}; colours need uint8")
        return values
    picture = _decode(path)
    if picture.mode not in _EXACT_MODES or _png_bits(path) == 16:
        raise DataError(f"{path}: is a picture of mode {picture.mode}; colours need 8 bits per channel")
    return np.array(picture.convert("RGBA").convert("RGB"))  # by way of RGBA a palette's transparency is no warning


def read_instances(path: Path) -> Array:
    """Read a map of ids of instances: as :func:`read_channel`, or from a colour picture as COCO paints them.

    Returns:
        Integers or floating point numbers ``(H, W)``; of a colour picture R + 256 G + 65536 B.

    Raises:
        DataError: As :func:`read_channel`.
    """
    if path.suffix.lower() == ".npy" or _decode(path).mode not in ("RGB", "RGBA"):
        return read_channel(path)
    return pack_colours(read_colours(path)[:, :, ::-1])


def pack_colours(colours: Array) -> npt.NDArray[np.int32]:
    """Write ``uint8`` colours ``(..., 3)`` as numbers ``(...)``: 65536 R + 256 G + B."""
    red, green, blue = np.moveaxis(colours.astype(np.int32), -1, 0)
    packed: npt.NDArray[np.int32] = (red << 16) | (green << 8) | blue
    return packed


def resize_image(image: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Resize an image ``(H, W, 3)`` by a bilinear filter, antialiased when it shrinks; its aspect ratio may change."""
    if image.shape[:2] == size:
        return image
    picture = Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(picture, dtype=np.uint8)


def resize_nearest(array: Array, size: tuple[int, int]) -> Array:
    """Resize a map ``(H, W, ...)`` by taking, for every new pixel, the old pixel that its centre falls in."""
    if array.shape[:2] == size:
        return array
    rows, columns = (
        ((2 * np.arange(new) + 1) * old) // (2 * new) for new, old in zip(size, array.shape[:2], strict=True)
    )
    resized: Array = array[rows[:, None], columns]
    return resized


def is_jpeg(path: Path) -> bool:
    """Whether a file's content is JPEG, whatever its name ends in.

    Raises:
        DataError: The file is missing, empty or out of reach.
    """
    require_file(path)
    return _head(path).startswith(b"\xff\xd8\xff")


def read_npy(path: Path) -> Array:
    """Read an ``.npy`` file of numbers; never unpickles.

    Raises:
        DataError: The file is missing, truncated, not NPY, or holds anything but numbers.
    """
    require_file(path)
    try:
        # Mapping compares the header with the file's size first, so that a hostile shape allocates nothing.
        try:
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        except SystemError:  # of Python 3.11, where two threads parse headers at once; the file is not to blame
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as cause:  # numpy parses the header as Python text: almost any exception can come out
        raise DataError(f"{path}: cannot be read as NPY ({brief(cause)}); is the file truncated?") from cause
    if not isinstance(mapped, np.ndarray) or mapped.dtype.kind not in "biuf":
        kind = mapped.dtype if isinstance(mapped, np.ndarray) else "an archive"
        raise DataError(f"{path}: holds {kind}; expected an array of numbers")
    native = mapped.dtype.newbyteorder("=")
    return np.array(mapped, dtype=native, order="C", subok=False)


def require_file(path: Path) -> None:
    """Check that ``path`` is a file with something in it.

    Raises:
        DataError: It is missing, a folder, empty or out of reach.
    """
    try:
        size = path.stat().st_size
        folder = path.is_dir()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError) as cause:
        raise DataError(f"{path}: cannot be read ({brief(cause)})") from cause
    if folder:
        raise DataError(f"{path}: is a folder, expected a file")
    if size == 0:
        raise DataError(f"{path}: is empty (0 bytes)")


def brief(cause: BaseException) -> str:
    """One short line saying what went wrong inside a library."""
    text = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    lines = text.splitlines()
    return lines[0][:120] if lines else type(cause).__name__


def _decode(path: Path) -> Image.Image:
    require_file(path)
    too_large = f"{path}: has more than {MAX_PIXELS / 1e6:.0f} million pixels; cut it into parts"
    try:
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
            opened = Image.open(path, formats=("PNG", "JPEG"))
        with opened as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise DataError(too_large)
            picture.load()
            return picture
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise DataError(too_large) from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: is not a PNG or JPEG picture, or its header is damaged") from None
    except Exception as cause:  # the decoders raise OSError, SyntaxError, struct.error, ... on damaged input
        raise DataError(f"{path}: cannot be decoded ({brief(cause)}); is the file truncated?") from cause


def _png_bits(path: Path) -> int:
    """Return the bits per channel of a PNG; 0 for other files."""
    head = _head(path)
    return head[24] if head.startswith(b"\x89PNG") else 0


def _head(path: Path) -> bytes:
    """Return what a file begins with: of a PNG, all that comes before the kind of its colours."""
    try:
        with path.open("rb") as file:
            return file.read(25)
    except OSError as cause:
        raise DataError(f"{path}: cannot be read ({brief(cause)})") from cause


def _image_from_array(values: Array, path: Path) -> npt.NDArray[np.uint8]:
    if values.ndim != 3 or values.shape[2] != 3 or 0 in values.shape:
        raise DataError(f"{path}: has shape {values.shape}; an image needs (height, width, 3)")
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind != "f":
        raise DataError(f"{path}: holds {values.dtype}; an image needs uint8, or floating point values in [0, 1]")
    low, high = float(values.min()), float(values.max())
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):  # written so that NaN fails too
        raise DataError(f"{path}: holds values from {low:g} to {high:g}; a floating point image needs [0, 1]")
    rounded: npt.NDArray[np.uint8] = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return rounded
