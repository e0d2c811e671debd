"""Normals: the task, its metrics and its loss."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from helpers.metric_batches import measure, random_batch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional as F

from ednas.data.sample import TargetInfo
from ednas.tasks import InverseCosineLoss, NormalMetrics, make_task
from ednas.tasks.base import PROTOCOLS
from ednas.tasks.normals import (
    ANGLE_BIN,
    angle_histogram,
    angles_between,
    histogram_median,
    octant_vectors,
    unit_normals,
)

NORMALS = TargetInfo("normals")


def vectors(*rows):
    """A row of pixels ``(1, 3, 1, W)``."""
    return torch.tensor(rows, dtype=torch.float32).T.reshape(1, 3, 1, len(rows))


def rotated(degrees):
    """A normal that faces the camera, turned about the y axis."""
    angle = math.radians(degrees)
    return (math.sin(angle), 0.0, -math.cos(angle))


class TestNormalsTask:
    def test_decode_gives_unit_vectors(self):
        found = make_task("normals", NORMALS).decode(torch.randn(2, 3, 4, 5) * 7)
        assert found.norm(dim=1) == pytest.approx(torch.ones(2, 4, 5), abs=1e-5)

    def test_picture_of_predictions_and_labels(self):
        task = make_task("normals", NORMALS)
        label = np.zeros((2, 4, 3), dtype=np.float32)
        label[0, 0] = (0, 0, -1)
        label[1, 3] = (1, 0, 0)
        picture = task.picture(label)
        assert picture[0, 0].tolist() == [128, 128, 0]
        assert picture[1, 3].tolist() == [255, 128, 128]
        assert picture.sum() == 256 + 511
        assert (task.picture(np.moveaxis(label, -1, 0)) == picture).all()


class TestMetrics:
    def test_standard_angles_and_thresholds(self):
        angles = (0.0, 5.0, 11.0, 12.0, 22.0, 23.0, 29.0, 31.0, 90.0, 180.0)
        label = vectors(*[rotated(0)] * len(angles))
        prediction = 3 * vectors(*[rotated(angle) for angle in angles])
        found = measure(NormalMetrics(), (prediction, label))
        assert found["mean_angle"] == pytest.approx(sum(angles) / len(angles), abs=1e-3)
        assert [found[f"within_{t}"] for t in (11, 22, 30)] == pytest.approx([30, 50, 70])

    def test_small_angles_are_exact(self):
        found = measure(NormalMetrics(), (vectors(rotated(0.001)), vectors(rotated(0))))
        assert found["mean_angle"] == pytest.approx(0.001, rel=1e-3)

    def test_invalid_pixels_do_not_count(self):
        label = vectors(rotated(0), (0, 0, 0), (math.nan, 0, 0))
        for protocol in PROTOCOLS:
            found = measure(NormalMetrics(protocol), (vectors(rotated(0), rotated(90), rotated(90)), label))
            assert found["mean_angle"] == pytest.approx(0, abs=1e-3)

    def test_adashare_compares_encoded_vectors(self):
        # Label (0, 0, -1) is stored as x 0.5, into the scene 0, up 0.5; prediction (1, 0, 0) as 1, 0.5, 0.5.
        label, prediction = (0.5, 0.0, 0.5), (1.0, 0.5, 0.5)
        cosine = np.dot(label, prediction) / np.linalg.norm(label) / np.linalg.norm(prediction)
        found = measure(NormalMetrics("adashare"), (vectors((2.0, 0, 0)), vectors((0, 0, -1.0))))
        assert found["mean_angle"] == pytest.approx(math.degrees(math.acos(cosine)), abs=1e-3)
        assert measure(NormalMetrics(), (vectors((2.0, 0, 0)), vectors((0, 0, -1.0))))["mean_angle"] == pytest.approx(
            90
        )

    def test_adashare_up_is_minus_y(self):
        # A floor, (0, -1, 0) here, is stored as up = 1.
        assert octant_vectors(torch.tensor([0.0, -1.0, 0.0])).tolist() == pytest.approx(
            (np.array([0.5, 0.5, 1.0]) / math.sqrt(1.5)).tolist()
        )

    def test_adashare_halves_angles(self):
        generator = torch.Generator().manual_seed(0)
        label = unit_normals(torch.randn(4000, 3, generator=generator) - torch.tensor([0.0, 0.0, 2.0]))
        axis = F.normalize(torch.linalg.cross(label, torch.randn(4000, 3, generator=generator)), dim=1)
        for true, low, high in ((25.0, 11, 14), (30.0, 13, 17)):
            angle = math.radians(true)
            turned = label * math.cos(angle) + torch.linalg.cross(axis, label) * math.sin(angle)
            batch = [field.T.reshape(1, 3, 1, -1) for field in (turned, label)]
            assert measure(NormalMetrics(), batch)["mean_angle"] == pytest.approx(true, abs=1e-3)
            assert low < measure(NormalMetrics("adashare"), batch)["mean_angle"] < high

    def test_adashare_encoding_equals_its_files(self, shared_data):
        folder = shared_data / "nyuv2_adashare"
        files = sorted(
            {entry[2] for split in json.loads((folder / "nyu_v2_3task.json").read_text()).values() for entry in split}
        )
        file = next(folder / name for name in files if (folder / name).is_file())
        stored = np.asarray(Image.open(file).convert("RGB")).reshape(-1, 3).astype(np.float32)
        stored = stored[(stored.max(1) < 255) & (np.abs(stored - 127.5).max(1) > 1)]
        right, into, up = (stored / 127.5 - 1).T
        decoded = unit_normals(torch.from_numpy(np.stack([right, -up, into], axis=1)))
        raw = F.normalize(torch.from_numpy(stored), dim=1)
        assert angles_between(octant_vectors(decoded), raw).max() < 0.7, "rounding to 8 bits moves vectors that much"

    def test_thresholds_include_the_limit_in_adashare_alone(self, monkeypatch):
        monkeypatch.setattr("ednas.tasks.normals.angles_between", lambda first, second: torch.full((1,), 22.5).double())
        batch = (vectors(rotated(1)), vectors(rotated(0)))
        assert measure(NormalMetrics(), batch)["within_22"] == 0
        assert measure(NormalMetrics("adashare"), batch)["within_22"] == 100

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_the_median_is_numpys_of_true_angles(self, protocol):
        prediction, label = random_batch("normals", 5, size=(12, 16))
        found = measure(NormalMetrics(protocol), (prediction, label))
        p, y = (values.movedim(1, -1).double().numpy()[label.numpy().any(1)] for values in (prediction, label))
        cosine = (p * y).sum(1) / np.linalg.norm(p, axis=1) / np.linalg.norm(y, axis=1)
        assert found["median_angle"] == pytest.approx(np.median(np.degrees(np.arccos(cosine))), abs=ANGLE_BIN)

    @given(st.lists(st.floats(0, 180), min_size=1, max_size=9))
    def test_a_median_is_less_than_a_bin_off(self, angles):
        histogram = angle_histogram(torch.tensor(angles, dtype=torch.float64))
        assert histogram.sum() == len(angles)
        assert ANGLE_BIN * histogram_median(histogram) == pytest.approx(np.median(angles), abs=ANGLE_BIN)

    def test_within_a_bin_values_count_as_even(self):
        assert histogram_median(torch.tensor([0, 4, 0])) == pytest.approx(1.5)
        assert histogram_median(torch.tensor([1, 4])) == pytest.approx(1 + 1.5 / 4)
        assert histogram_median(torch.tensor([1, 0, 0, 1])) == pytest.approx((0.5 + 3.5) / 2)

    def test_output_of_zero_faces_the_camera(self):
        assert unit_normals(torch.zeros(2, 3)).tolist() == [[0, 0, -1], [0, 0, -1]]
        found = measure(NormalMetrics(), (torch.zeros(1, 3, 1, 1), vectors((1.0, 0, 0))))
        assert found["mean_angle"] == pytest.approx(90)

    @given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=3, max_size=3))
    def test_unit_normals_have_length_one(self, vector):
        length = unit_normals(torch.tensor(vector)).norm().item()
        assert length == pytest.approx(1, abs=1e-5)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def unit(shape, dtype=torch.float32):
    return F.normalize(torch.randn(shape, dtype=dtype), dim=1)


class TestInverseCosine:
    def test_known_angles(self):
        label = torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1)
        for vector, expected in (([2.0, 0, 0], 0), ([0, 5.0, 0], 1), ([-0.1, 0, 0], 2), ([1.0, 1.0, 0], 1 - 0.5**0.5)):
            prediction = torch.tensor(vector).reshape(1, 3, 1, 1)
            assert InverseCosineLoss()(prediction, label).item() == pytest.approx(expected, abs=1e-5)

    def test_mean_over_valid_pixels_as_torch_has_it(self):
        label, prediction = unit((2, 3, 4, 5)), torch.randn(2, 3, 4, 5)
        label[:, :, :2] = 0
        expected = 1 - F.cosine_similarity(prediction[:, :, 2:], label[:, :, 2:], dim=1).mean()
        assert InverseCosineLoss()(prediction, label).item() == pytest.approx(expected.item(), abs=1e-5)

    def test_gradient(self):
        label = unit((2, 3, 3, 2), torch.float64)
        label[0, :, 0, 0] = 0
        prediction = torch.randn(2, 3, 3, 2, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda p: InverseCosineLoss()(p, label), prediction)

    def test_output_of_zero_has_a_finite_gradient(self):
        prediction = torch.zeros(1, 3, 2, 2, requires_grad=True)
        InverseCosineLoss()(prediction, unit((1, 3, 2, 2))).backward()
        assert torch.isfinite(prediction.grad).all()
        assert prediction.grad.abs().sum() > 0
