from __future__ import annotations

import io
import pickle
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers.profiles import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ednas.data.rasters import (
    read_channel,
    read_image,
    read_measurements,
    read_npy,
    read_vectors,
    resize_image,
    resize_nearest,
)
from ednas.exceptions import DataError

READERS = (read_image, read_channel, read_vectors)
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (5, 7, 3)).astype(np.uint8)


def save(path: Path, values: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        Image.fromarray(values).save(path)
    return path


def test_pictures_of_every_usual_mode_become_rgb(tmp_path):
    np.testing.assert_array_equal(read_image(save(tmp_path / "rgb.png", RGB)), RGB)
    grey = save(tmp_path / "grey.png", RGB[..., 0])
    np.testing.assert_array_equal(read_image(grey), np.repeat(RGB[..., :1], 3, axis=2))
    rgba = save(tmp_path / "rgba.png", np.dstack([RGB, RGB[..., :1]]))
    np.testing.assert_array_equal(read_image(rgba), RGB)
    Image.fromarray(RGB).quantize(64).save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_image(tmp_path / "palette.png"), RGB)
    jpeg = read_image(save(tmp_path / "photo.jpg", np.full((16, 16, 3), 90, np.uint8)))
    assert np.abs(jpeg.astype(int) - 90).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_picture_is_turned_as_its_exif_orientation_says(tmp_path, orientation, suffix):
    stored = np.zeros((16, 32, 3), np.uint8)
    stored[:8, :8] = 255  # the corner that says how it lies
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(stored).save(path, exif=exif)
    # The definition of TIFF 6.0: where row 0 and column 0 of what is stored are when it is looked at.
    row_0, column_0 = {
        1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"),
        5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom"),
    }[orientation]  # fmt: skip
    seen = read_image(path)
    assert seen.shape[:2] == ((16, 32) if orientation < 5 else (32, 16))
    rows = slice(None, 8) if "top" in (row_0, column_0) else slice(-8, None)
    columns = slice(None, 8) if "left" in (row_0, column_0) else slice(-8, None)
    assert seen[rows, columns].min() > 200
    assert (seen > 128).sum() == pytest.approx(3 * 64, abs=12)


def write_png(path: Path, values: np.ndarray, bits: int, colour: int) -> Path:
    """Write a PNG by the specification, with channels of 2, 4 or 16 bits; rows of whole bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = values.shape[:2]
    digits = (values.reshape(height, -1, 1) >> np.arange(bits)[::-1]) & 1
    rows = np.packbits(digits.reshape(height, -1).astype(np.uint8), axis=1)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_grey_labels_of_few_bits_are_read_as_stored(tmp_path, bits):
    values = RNG.integers(0, 2**bits, (5, 16))
    assert (read_channel(write_png(tmp_path / "x.png", values, bits, colour=0)) == values).all()


def test_colours_of_16_bits_are_refused(tmp_path):
    values = np.full((4, 6, 3), 220 * 16)  # as a camera of 12 bits stores them: the upper 8 bits are 13
    for channels, colour in ((3, 2), (4, 6)):
        path = write_png(tmp_path / "x.png", np.resize(values, (4, 6, channels)), 16, colour)
        with pytest.raises(DataError, match="has 16 bits per channel; an image needs 8"):
            read_image(path)


@pytest.mark.parametrize("side", [13_000, 20_000])
def test_a_small_file_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path, side):
    path = tmp_path / "x.png"
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + b"\0" * 8)
    for read in (read_image, read_channel):
        with warnings.catch_warnings(action="error"), pytest.raises(DataError, match="more than 150 million pixels"):
            read(path)


def test_indices_of_a_palette_are_labels_but_no_measurements(tmp_path):
    Image.fromarray(RGB).quantize(8).save(tmp_path / "x.png")
    assert read_channel(tmp_path / "x.png").max() < 8
    Image.fromarray(RGB).save(tmp_path / "colour.png")
    with pytest.raises(
        DataError, match=r"colour\.png: is a picture of mode RGB, coloured for people; depth needs grey"
    ):
        read_measurements(tmp_path / "colour.png")
    Image.fromarray(RGB[..., 0]).save(tmp_path / "blurred.png", "JPEG")
    with pytest.raises(DataError, match=r"blurred\.png: is JPEG, which blurs depth, whatever its name"):
        read_measurements(tmp_path / "blurred.png")
    with pytest.raises(DataError, match="is a palette picture, coloured for people"):
        read_measurements(tmp_path / "x.png")
    depth = np.arange(35).reshape(5, 7)
    for suffix, dtype in (("png", np.uint16), ("npy", np.float32)):
        assert (read_measurements(save(tmp_path / f"d.{suffix}", depth.astype(dtype))) == depth).all()


def test_image_arrays_are_bytes_or_fractions(tmp_path):
    np.testing.assert_array_equal(read_image(save(tmp_path / "u8.npy", RGB)), RGB)
    for dtype in (np.float32, np.float64, ">f4"):
        np.testing.assert_array_equal(read_image(save(tmp_path / "f.npy", (RGB / 255).astype(dtype))), RGB)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (RGB.astype(np.float32), r"values from 0 to 255|values from .* needs \[0, 1\]"),
        (np.full((4, 4, 3), np.nan), "nan"),
        (RGB.astype(np.int32), "int32"),
        (RGB[..., 0], "shape"),
        (np.zeros((0, 4, 3), np.uint8), "NPY|shape"),
        (np.zeros((4, 4, 4), np.uint8), "shape"),
    ],
)
def test_other_image_arrays_are_refused(tmp_path, values, message):
    with pytest.raises(DataError, match=message):
        read_image(save(tmp_path / "x.npy", values))


def test_sixteen_bit_pictures_are_no_images_but_channels(tmp_path):
    values = RNG.integers(0, 65536, (5, 7)).astype(np.uint16)
    path = save(tmp_path / "deep.png", values)
    np.testing.assert_array_equal(read_channel(path), values)
    with pytest.raises(DataError, match="8 bits per channel"):
        read_image(path)


def test_palette_labels_give_the_indices(tmp_path):
    ids = RNG.integers(0, 4, (5, 7)).astype(np.uint8)
    picture = Image.fromarray(ids, mode="L").convert("P")
    picture.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    picture.putdata(ids.ravel().tolist())
    picture.save(tmp_path / "ids.png")
    np.testing.assert_array_equal(read_channel(tmp_path / "ids.png"), ids)


def test_a_channel_may_be_an_array_with_one_channel_or_of_bits(tmp_path):
    values = RNG.normal(size=(5, 7, 1)).astype(np.float32)
    np.testing.assert_array_equal(read_channel(save(tmp_path / "x.npy", values)), values[..., 0])
    bits = read_channel(save(tmp_path / "b.npy", values[..., 0] > 0))
    assert bits.dtype == np.uint8
    assert set(np.unique(bits)) == {0, 1}


def test_a_colour_picture_is_no_label_map(tmp_path):
    with pytest.raises(DataError, match="mode RGB; a label map needs one channel"):
        read_channel(save(tmp_path / "x.png", RGB))
    with pytest.raises(DataError, match="shape"):
        read_channel(save(tmp_path / "x.npy", RGB))


def test_normals_need_three_channels(tmp_path):
    np.testing.assert_array_equal(read_vectors(save(tmp_path / "x.png", RGB)), RGB)
    with pytest.raises(DataError, match="mode L; a map of normals needs red, green and blue"):
        read_vectors(save(tmp_path / "grey.png", RGB[..., 0]))
    with pytest.raises(DataError, match="shape"):
        read_vectors(save(tmp_path / "x.npy", RGB[..., :2]))


def test_a_pickle_is_never_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.write_text, (tmp_path / "exploded", "x"))

    path = tmp_path / "x.npy"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DataError):
        read_npy(path)
    np.save(path, np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(DataError):
        read_npy(path)
    assert not (tmp_path / "exploded").exists()


def test_an_archive_and_text_are_no_arrays(tmp_path):
    with (tmp_path / "x.npy").open("wb") as file:
        np.savez(file, a=RGB)
    with pytest.raises(DataError, match="archive"):
        read_npy(tmp_path / "x.npy")
    with pytest.raises(DataError, match="expected an array of numbers"):
        read_npy(save(tmp_path / "t.npy", np.array(["a", "b"])))


def test_a_header_that_claims_a_huge_array_allocates_nothing(tmp_path):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**9)})
    path = tmp_path / "x.npy"
    path.write_bytes(buffer.getvalue() + b"\0" * 64)
    with pytest.raises(DataError, match="cannot be read as NPY"):
        read_npy(path)


def test_another_kind_of_picture_is_refused(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "x.bmp")
    (tmp_path / "x.bmp").rename(tmp_path / "x.png")
    with pytest.raises(DataError, match="not a PNG or JPEG"):
        read_image(tmp_path / "x.png")


@pytest.mark.parametrize("reader", READERS)
def test_missing_empty_and_folder(tmp_path, reader):
    with pytest.raises(DataError, match=r"x\.png: no such file"):
        reader(tmp_path / "x.png")
    (tmp_path / "x.npy").touch()
    with pytest.raises(DataError, match=r"x\.npy: is empty"):
        reader(tmp_path / "x.npy")
    with pytest.raises(DataError, match="is a folder"):
        reader(tmp_path)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".npy"])
@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.binary(min_size=1, max_size=300), keep=st.floats(0, 1), at=st.floats(0, 1))
def test_damaged_files_are_data_errors(tmp_path, reader, suffix, junk, keep, at):
    path = save(tmp_path / f"x{suffix}", RGB)
    content = path.read_bytes()
    start = int(at * len(content))
    for damaged in (
        junk,
        content[: int(keep * len(content))],
        content[:start] + junk + content[start + len(junk) :],
        content[:16] + junk,
    ):
        path.write_bytes(damaged)
        try:
            values = reader(path)
        except DataError as error:
            message = str(error)
        else:
            message = str(path)
            assert values.ndim in (2, 3)
            assert values.size > 0
        assert str(path) in message
        assert "\n" not in message


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".npy"])
def test_half_a_file_is_never_read_as_a_whole(tmp_path, suffix):
    values = RNG.integers(0, 256, (64, 64, 3)).astype(np.uint8)
    path = save(tmp_path / f"x{suffix}", values)
    content = path.read_bytes()
    for share in (0.2, 0.5, 0.8, 0.95):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(DataError, match="truncated"):
            read_image(path)


def test_images_are_antialiased() -> None:
    stripes = np.zeros((32, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    small = resize_image(stripes, (8, 16))
    assert small.shape == (8, 16, 3)
    assert np.abs(small[:, 1:-1].astype(int) - 127).max() < 20


@given(
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(1, 30),
)
def test_nearest_takes_the_pixel_under_the_centre(height: int, width: int, new_height: int, new_width: int) -> None:
    ids = np.arange(height * width).reshape(height, width)
    resized = resize_nearest(ids, (new_height, new_width))
    for i in range(new_height):
        for j in range(new_width):
            row = int((i + 0.5) * height / new_height + 1e-9)
            column = int((j + 0.5) * width / new_width + 1e-9)
            assert resized[i, j] == ids[row, column]


def test_threads_that_parse_at_once_do_not_blame_the_file(tmp_path, monkeypatch):
    """Python 3.11 raises SystemError then, whatever the file."""
    np.save(tmp_path / "a.npy", np.arange(4.0))
    load, calls = np.load, []

    def confused(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 1:
            raise SystemError("AST constructor recursion depth mismatch (before=48, after=50)")
        return load(*arguments, **options)

    monkeypatch.setattr(np, "load", confused)
    assert read_npy(tmp_path / "a.npy").tolist() == [0.0, 1.0, 2.0, 3.0]
