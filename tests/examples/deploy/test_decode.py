"""The programs for the device: what they compute is what ednas computes, and they run without ednas."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers.deployed_models import (
    CHANNELS,
    COLORS,
    EXAMPLES,
    NORMALISATION,
    OUTPUT,
    SIZE,
    decode,
    interpolate,
    make_decoder,
    make_manifest,
    noise,
)
from helpers.small_training import TARGETS, small_architecture
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional as F

from ednas.data.colors import NO_DEPTH, SKY, color_scale, palette
from ednas.data.rasters import resize_image, resize_nearest
from ednas.data.sample import TargetInfo
from ednas.export.manifest import write_manifest
from ednas.tasks import make_task, make_tasks
from ednas.tasks.pictures import paint
from ednas.training import build_model, predict

# Resizing ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("old", "new"), [((480, 96), SIZE), (SIZE, (64, 41)), ((41, 333), (700, 333)), (SIZE, SIZE)])
def test_pictures_are_resized_as_for_training(old, new):
    picture = noise(*old, 3)
    assert np.array_equal(decode.resize_image(picture, new), resize_image(picture, new))


@given(st.tuples(*[st.integers(1, 90)] * 4), st.integers(0, 99))
def test_pictures_of_any_size_are_resized_as_for_training(sizes, seed):
    """To one level: versions of Pillow differ in the axis that comes first, and it rounds in between."""
    picture = noise(*sizes[:2], 3, seed=seed)
    expected = resize_image(picture, sizes[2:]).astype(int)
    assert np.abs(decode.resize_image(picture, sizes[2:]) - expected).max() <= 1


@given(st.tuples(*[st.integers(1, 90)] * 4), st.integers(0, 99))
def test_outputs_are_resized_as_by_torch(sizes, seed):
    values = np.random.default_rng(seed).standard_normal((*sizes[:2], 3)).astype(np.float32)
    expected = interpolate(values, sizes[2:])[0].permute(1, 2, 0).numpy()
    resized = decode.resize_bilinear(values, sizes[2:])
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, expected, rtol=0, atol=1e-6)


# Preparing -----------------------------------------------------------------------------------------------------------


def test_input_is_normalised():
    picture = noise(*SIZE, 3)
    expected = (picture / 255 - NORMALISATION.mean) / NORMALISATION.std
    tensor = make_decoder().prepare(picture)
    assert tensor.dtype == np.float32
    np.testing.assert_allclose(tensor, expected[None], atol=1e-6)


@pytest.mark.parametrize(("dtype", "zero_point", "limits"), [("int8", 3, (-128, 127)), ("uint8", 131, (0, 255))])
def test_input_is_quantised(dtype, zero_point, limits):
    picture = noise(90, SIZE[1], 3)
    real = (resize_image(picture, SIZE) / 255 - NORMALISATION.mean) / NORMALISATION.std
    tensor = make_decoder(dtype=dtype, scale=0.015, zero_point=zero_point).prepare(picture)
    assert tensor.dtype == dtype
    assert tensor.shape == (1, *SIZE, 3)
    # Half a step, and what lies beyond the range of the type is clipped.
    levels = real / 0.015 + zero_point
    assert np.abs(tensor[0] - np.clip(levels, *limits)).max() <= 0.5001
    assert {tensor.min(), tensor.max()} == set(limits)


def test_input_of_onnx_has_its_channels_first():
    picture = noise(*SIZE, 3)
    tensor = make_decoder(runtime="onnx").prepare(picture)
    assert tensor.flags.c_contiguous
    assert np.array_equal(tensor, np.moveaxis(make_decoder().prepare(picture), -1, 1))


@pytest.mark.parametrize("image", [noise(4, 4), noise(4, 4, 4), noise(0, 4, 3), np.zeros((4, 4, 3))])
def test_images_of_another_kind_are_refused(image):
    with pytest.raises(decode.DeployError, match=r"must be uint8 \(height, width, 3\)"):
        make_decoder().prepare(image)


# Decoding ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["image", "model"])
def test_predictions_are_those_of_ednas(tmp_path, size):
    """From the picture at the model's size to the prediction at its own, beside ``ednas.training.predict``."""
    picture = resize_image(noise(75, 141, 3), (150, 282))
    Image.fromarray(picture).save(tmp_path / "a.png")
    model = build_model(
        small_architecture(), tuple(CHANNELS), TARGETS, input_size=SIZE, normalisation=NORMALISATION, seed=2
    )
    expected = next(predict(model, [tmp_path / "a.png"], size=size))

    decoder = make_decoder()
    tensor = decoder.prepare(resize_image(picture, SIZE))
    with torch.inference_mode():
        image = torch.from_numpy(tensor).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        raw = {task: output.permute(0, 2, 3, 1).numpy() for task, output in model.network.predict_heads(image).items()}
    found = decoder.decode(raw, expected.image.shape[:2])

    assert len(np.unique(expected.values["segmentation"])) > 1
    assert np.array_equal(found["segmentation"], expected.values["segmentation"])
    for task in ("depth", "normals"):
        assert found[task].dtype == np.float32
        np.testing.assert_allclose(found[task], expected.values[task], rtol=1e-4, atol=1e-5)
    pictures = decoder.paint(found)
    for task, picture in expected.pictures.items():
        assert np.abs(pictures[task].astype(int) - picture).max() <= 2, task


@pytest.mark.parametrize(("dtype", "zero_point"), [("int8", -7), ("uint8", 121)])
def test_quantised_outputs_are_decoded_as_real_ones(dtype, zero_point):
    limits = np.iinfo(dtype)
    random = np.random.default_rng(0)
    outputs = {
        task: random.integers(limits.min, limits.max + 1, (1, *OUTPUT, count)).astype(dtype)
        for task, count in CHANNELS.items()
    }
    found = make_decoder(dtype=dtype, scale=0.031, zero_point=zero_point).decode(outputs, (100, 130))
    for task, output in outputs.items():
        real = np.float32(0.031) * (output[0].astype(np.float32) - zero_point)
        resized = interpolate(real, SIZE)
        raw = F.interpolate(resized, size=(100, 130), mode="bilinear", align_corners=False)
        expected = make_task(task, TARGETS[task]).decode(raw)[0].numpy()
        if task == "segmentation":
            # Whole numbers often tie; which class of equals it is, rounding decides.
            first, second = raw[0].topk(2, dim=0).values.numpy()
            assert np.array_equal(found[task][first > second + 1e-5], expected[first > second + 1e-5])
        else:
            np.testing.assert_allclose(
                found[task], expected[0] if task == "depth" else np.moveaxis(expected, 0, -1), atol=1e-5
            )


def test_outputs_without_direction_face_the_camera():
    outputs = {"normals": np.zeros((1, *OUTPUT, 3), np.float32)}
    normals = make_decoder({"normals": 3}).decode(outputs)["normals"]
    assert np.array_equal(normals, np.broadcast_to(np.float32([0, 0, -1]), (*SIZE, 3)))


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_normals_of_any_length_become_unit_vectors(scale):
    outputs = {
        "normals": np.random.default_rng(0).standard_normal((1, *OUTPUT, 3)).astype(np.float32) * np.float32(scale)
    }
    normals = make_decoder({"normals": 3}).decode(outputs)["normals"]
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
@pytest.mark.parametrize("size", [None, (100, 130), (9, 9)])
def test_class_ids_are_never_mixed(dtype, size):
    ids = np.random.default_rng(0).integers(0, 4, (1, *OUTPUT)).astype(dtype)
    decoder = make_decoder({"segmentation": 4}, kinds={"segmentation": "class_ids"})
    found = decoder.decode({"segmentation": ids}, size)["segmentation"]
    assert found.dtype == np.uint8
    assert np.array_equal(found, resize_nearest(ids[0], size or SIZE))
    assert np.array_equal(decoder.paint({"segmentation": found})["segmentation"], palette(4)[found])


def test_channels_of_onnx_come_first():
    outputs = {
        task: np.random.default_rng(0).standard_normal((1, *OUTPUT, n)).astype(np.float32)
        for task, n in CHANNELS.items()
    }
    expected = make_decoder().decode(outputs)
    found = make_decoder(runtime="onnx").decode({task: np.moveaxis(output, -1, 1) for task, output in outputs.items()})
    for task in CHANNELS:
        assert np.array_equal(found[task], expected[task])


@pytest.mark.parametrize(("channels", "shape"), [(1, SIZE), (2, (*SIZE, 2))])
def test_tasks_of_ones_own_stay_raw(channels, shape):
    output = np.random.default_rng(0).standard_normal((1, *OUTPUT, channels)).astype(np.float32)
    decoder = make_decoder({"edges": channels})
    found = decoder.decode({"edges": output})
    assert found["edges"].shape == shape
    assert found["edges"].min() < 0
    assert decoder.paint(found)["edges"].shape == (*SIZE, 3)


@pytest.mark.parametrize("outputs", [{}, {"depth": np.zeros((1, 8, 24, 1))}])
def test_outputs_of_another_model_are_refused(outputs):
    with pytest.raises(decode.DeployError, match="output depth .* is of another model"):
        make_decoder({"depth": 1}).decode(outputs)


# Painting ------------------------------------------------------------------------------------------------------------


def test_colours_are_those_of_ednas():
    nearness = np.linspace(0, 1, 256)[None]
    assert np.abs(decode.paint_scale(nearness, 1, 0).astype(int) - color_scale(nearness)).max() <= 1
    assert (decode._NO_DEPTH, decode._SKY) == (NO_DEPTH, SKY)


@pytest.mark.parametrize("kind", ["distance", "disparity"])
def test_legends_are_those_of_ednas(kind):
    targets = {**TARGETS, "depth": TargetInfo(kind, unit="m")}
    classes = np.random.default_rng(0).integers(0, 4, SIZE).astype(np.uint8)
    found = {"segmentation": classes, "depth": np.random.default_rng(1).random(SIZE, np.float32) * 9}
    expected, legends = paint(make_tasks(tuple(found), targets), found, {})
    decoder = make_decoder({"segmentation": 4, "depth": 1}, targets=targets)
    for task, picture in decoder.paint(found).items():
        assert np.abs(picture.astype(int) - expected[task]).max() <= 2
    own = decoder.legends(found)
    assert [(name, tuple(color)) for name, color in own["segmentation"].colors] == list(
        legends["segmentation"].seen_in([expected["segmentation"]]).colors
    )
    assert tuple(own["depth"].colors) == legends["depth"].colors
    assert own["depth"].scale == pytest.approx(legends["depth"].scale, rel=1e-5)
    assert own["depth"].unit == "m"


@pytest.mark.parametrize("kind", ["distance", "disparity"])
def test_near_is_bright(kind):
    targets = {"depth": TargetInfo(kind)}
    depth = np.random.default_rng(0).random(SIZE, np.float32) * 10
    depth[:3] = 0
    picture = make_decoder({"depth": 1}, targets=targets).paint({"depth": depth})["depth"]
    expected = make_task("depth", targets["depth"]).picture(depth)
    assert np.abs(picture.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("value", [0, 3])
def test_a_flat_depth_is_painted(value):
    depth = np.full(SIZE, value, np.float32)
    picture = make_decoder({"depth": 1}).paint({"depth": depth})["depth"]
    assert np.abs(picture.astype(int) - make_task("depth", TARGETS["depth"]).picture(depth)).max() <= 2


def test_void_is_black():
    ids = np.array([[0, 255]], np.uint8)
    picture = make_decoder().paint({"segmentation": ids})["segmentation"]
    assert picture[0].tolist() == [list(COLORS[0]), [0, 0, 0]]


# The manifest --------------------------------------------------------------------------------------------------------


def test_the_manifest_beside_a_model_is_read(tmp_path):
    write_manifest(tmp_path / "model.json", make_manifest())
    assert decode.read_manifest(tmp_path / "model.tflite") == decode.read_manifest(str(tmp_path / "model.json"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "no such file"),
        ("{", "cannot be read"),
        ("\xff", "cannot be read"),
        ("[]", "no manifest"),
        ("{}", "no manifest"),
        (json.dumps({**dict.fromkeys(decode._KEYS), "format": 2}), "format 2"),
    ],
)
def test_a_wrong_manifest_is_one_line(tmp_path, text, problem):
    if text is not None:
        (tmp_path / "model.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(decode.DeployError, match=problem) as caught:
        decode.read_manifest(tmp_path / "model.tflite")
    assert "\n" not in str(caught.value)
    assert "model.json" in str(caught.value)


def test_decoding_needs_numpy_only():
    """In a Python that finds nothing else."""
    code = (
        "import sys; before = set(sys.modules); import decode;"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names);"
        "print(sorted(new))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=EXAMPLES, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['decode', 'numpy']"
