from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional as F
from torchmetrics import MeanSquaredError, MeanSquaredLogError
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassJaccardIndex

from ednas.data.sample import VOID
from ednas.exceptions import ConfigError, DataError, TrainingError
from ednas.metrics import METRICS
from ednas.tasks.base import PROTOCOLS
from ednas.tasks.metrics import (
    ANGLE_BIN,
    SMALLEST_RATIO,
    DepthMetrics,
    NormalMetrics,
    SegmentationMetrics,
    angle_histogram,
    angles_between,
    histogram_median,
    octant_vectors,
    unit_normals,
)


def logits(classes, num_classes):
    """Logits whose argmax is ``classes``."""
    return F.one_hot(torch.as_tensor(classes), num_classes).movedim(-1, 1).float()


def measure(metrics, *batches):
    for prediction, target in batches:
        metrics.update(prediction, target)
    return metrics.compute()


def vectors(*rows):
    """A row of pixels ``(1, 3, 1, W)``."""
    return torch.tensor(rows, dtype=torch.float32).T.reshape(1, 3, 1, len(rows))


def rotated(degrees):
    """A normal that faces the camera, turned about the y axis."""
    angle = math.radians(degrees)
    return (math.sin(angle), 0.0, -math.cos(angle))


class TestSegmentation:
    # Two images of four pixels, three classes; class 2 is in a label but never hit.
    LABELS = torch.tensor([[[0, 0, 1, 255]], [[0, 2, 255, 255]]])
    CLASSES = ([[0, 0, 0, 0]], [[0, 1, 1, 1]])

    def measure(self, protocol, **options):
        return measure(SegmentationMetrics(3, protocol, **options), (logits(self.CLASSES, 3), self.LABELS))

    def test_standard_by_hand(self):
        # Class 0: 3 hits, 1 false; class 1: missed once, wrong once; class 2: missed. 3 of 5 labelled pixels right.
        found = self.measure("standard")
        assert found["miou"] == pytest.approx(100 * (3 / 4 + 0 + 0) / 3)
        assert found["pixel_acc"] == pytest.approx(100 * 3 / 5)

    def test_adashare_drops_classes_without_a_hit_and_averages_images(self):
        found = self.measure("adashare")
        assert found["miou"] == pytest.approx(100 * 3 / 4)
        assert found["pixel_acc"] == pytest.approx(100 * (2 / 3 + 1 / 2) / 2)

    def test_adashare_may_count_void_as_wrong(self):
        found = self.measure("adashare", void_counts=True)
        assert found["miou"] == pytest.approx(100 * 3 / 4)
        assert found["pixel_acc"] == pytest.approx(100 * (2 / 4 + 1 / 4) / 2)

    def test_standard_never_counts_void(self):
        assert self.measure("standard", void_counts=True) == self.measure("standard")

    def test_an_image_without_labels_does_not_count(self):
        void = torch.full((1, 1, 4), 255)
        batch = (logits(self.CLASSES, 3), self.LABELS)
        found = measure(SegmentationMetrics(3, "adashare"), batch, (logits([[[0, 0, 0, 0]]], 3), void))
        assert found == self.measure("adashare")

    def test_adashare_without_a_single_hit_is_zero(self):
        batch = (logits([[[1, 1]]], 2), torch.zeros(1, 1, 2, dtype=torch.int64))
        assert set(measure(SegmentationMetrics(2, "adashare"), batch).values()) == {0.0}

    def test_mean_class_accuracy_is_over_classes_in_the_labels(self):
        # Class 0: 3 of 3; class 1: 0 of 1; class 2: 0 of 1; class 3 is predicted alone, on a pixel of class 1.
        classes = torch.tensor(self.CLASSES)
        classes[0, 0, 2] = 3
        found = measure(SegmentationMetrics(4), (logits(classes, 4), self.LABELS))
        assert found["mean_acc"] == pytest.approx(100 * (1 + 0 + 0) / 3)

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_values_by_class(self, protocol):
        metrics = SegmentationMetrics(4, protocol, class_names=("road", "car", "tree", "sky"), void_counts=True)
        metrics.update(logits(self.CLASSES, 4), self.LABELS)
        assert metrics.classes() == {
            "road": {"iou": pytest.approx(75), "acc": 100},
            "car": {"iou": 0, "acc": 0},
            "tree": {"iou": 0, "acc": 0},
            "sky": {"iou": None, "acc": None},
        }
        assert metrics.confusion() == [[3, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]

    def test_a_class_that_is_predicted_alone_has_no_accuracy(self):
        metrics = SegmentationMetrics(2)
        metrics.update(logits([[[0, 1]]], 2), torch.zeros(1, 1, 2, dtype=torch.int64))
        assert metrics.classes()["1"] == {"iou": 0, "acc": None}

    @pytest.mark.parametrize("names", [(), ("a", "b"), ("a", "b", "b"), ("a", "b", "c", "c")])
    def test_classes_without_distinct_names_have_their_ids(self, names):
        metrics = SegmentationMetrics(3, class_names=names)
        metrics.update(logits(self.CLASSES, 3), self.LABELS)
        assert list(metrics.classes()) == ["0", "1", "2"]

    @pytest.mark.parametrize("num_classes", [2, 7, 19, 40])
    @pytest.mark.parametrize("present", [2, 1000])
    def test_standard_agrees_with_torchmetrics(self, num_classes, present):
        generator = torch.Generator().manual_seed(num_classes)
        labels = torch.randint(0, min(num_classes, present), (3, 12, 16), generator=generator)
        classes = torch.randint(0, min(num_classes, present + 1), (3, 12, 16), generator=generator)
        classes = torch.where(torch.rand(classes.shape, generator=generator) < 0.5, labels, classes)
        labels[torch.rand(labels.shape, generator=generator) < 0.2] = 255
        # Predictions of a class that is nowhere else, on void alone, must not count as present.
        classes[labels == 255] = num_classes - 1
        found = measure(SegmentationMetrics(num_classes), (logits(classes, num_classes), labels))
        jaccard = MulticlassJaccardIndex(num_classes, average="macro", ignore_index=255)
        right = MulticlassAccuracy(num_classes, average="micro", ignore_index=255)
        assert found["miou"] == pytest.approx(100 * jaccard(classes, labels).item(), abs=1e-3)
        assert found["pixel_acc"] == pytest.approx(100 * right(classes, labels).item(), abs=1e-3)

    @pytest.mark.parametrize("num_classes", [2, 19])
    def test_classes_agree_with_torchmetrics(self, num_classes):
        generator = torch.Generator().manual_seed(num_classes)
        labels, classes = (torch.randint(0, num_classes, (3, 24, 32), generator=generator) for _ in range(2))
        labels[torch.rand(labels.shape, generator=generator) < 0.2] = 255
        metrics = SegmentationMetrics(num_classes)
        mean = measure(metrics, (logits(classes, num_classes), labels))["mean_acc"]
        options = {"num_classes": num_classes, "ignore_index": 255}
        ious = MulticlassJaccardIndex(average="none", **options)(classes, labels)
        recalls = MulticlassAccuracy(average="none", **options)(classes, labels)
        found = metrics.classes().values()
        assert [values["iou"] for values in found] == pytest.approx((100 * ious).tolist(), abs=1e-3)
        assert [values["acc"] for values in found] == pytest.approx((100 * recalls).tolist(), abs=1e-3)
        # Torchmetrics counts a class that is predicted alone as 0; here every class is in the labels.
        assert mean == pytest.approx(
            100 * MulticlassAccuracy(average="macro", **options)(classes, labels).item(), abs=1e-3
        )
        assert metrics.confusion() == MulticlassConfusionMatrix(**options)(classes, labels).tolist()

    @pytest.mark.parametrize("label", [3, 200, -1])
    def test_a_label_out_of_range_is_an_error(self, label):
        with pytest.raises(DataError, match=f"label {label} is neither"):
            SegmentationMetrics(3).update(torch.zeros(1, 3, 1, 2), torch.tensor([[[0, label]]]))

    def test_resizing(self):
        prediction = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.5]]]])
        labels = torch.tensor([[[0, 0, 0, 1, 1, 1, 1, 1]]])
        # Bilinear at t = 0, 0, 1/8, 3/8, ...: class 1 wins where 1.5 t > 1 - t, from t = 0.4 on. Nearest: from half on.
        standard = measure(SegmentationMetrics(2), (prediction, labels))
        assert standard["pixel_acc"] == pytest.approx(100 * 7 / 8)
        labels = torch.tensor([[[0, 0, 0, 0, 1, 1, 1, 1]]])
        prediction = torch.tensor([[[[1.0, 0.0]], [[0.0, 9.0]]]])
        assert measure(SegmentationMetrics(2), (prediction, labels))["pixel_acc"] < 100
        assert measure(SegmentationMetrics(2, "adashare"), (prediction, labels))["pixel_acc"] == 100

    @pytest.mark.parametrize(
        ("others", "labels", "remark"),
        [
            (0, [0, 1], "class 1 is predicted for 100.0 % of the labelled pixels"),
            (1, [0, 1], "class 1 is predicted for 99.5 % of the labelled pixels"),
            (2, [0, 1], ""),
            (0, [1, 1], ""),  # all labels are of the class, so it is right
        ],
    )
    def test_one_class_everywhere_is_remarked(self, others, labels, remark):
        metrics = SegmentationMetrics(3)
        classes = [0] * others + [1] * (200 - others)
        measure(metrics, (logits([[classes]], 3), torch.tensor([[labels * 100]])))
        measure(metrics, (logits([[classes]], 3), torch.full((1, 1, 200), VOID)))
        assert metrics.remark() == remark


class TestDepth:
    def test_standard_pools_pixels(self):
        label = torch.tensor([[[[2.0, 4.0, 0.0]]], [[[1.0, 0.0, 0.0]]]])
        prediction = torch.tensor([[[[1.0, 4.0, 7.0]]], [[[3.0, 7.0, 7.0]]]])
        found = measure(DepthMetrics(), (prediction, label))
        assert found["abs_err"] == pytest.approx((1 + 0 + 2) / 3)
        assert found["rel_err"] == pytest.approx((0.5 + 0 + 2) / 3)

    def test_adashare_averages_images(self):
        label = torch.tensor([[[[2.0, 4.0, 0.0]]], [[[1.0, 0.0, 0.0]]], [[[0.0, 0.0, 0.0]]]])
        prediction = torch.tensor([[[[1.0, 4.0, 7.0]]], [[[3.0, 7.0, 7.0]]], [[[3.0, 7.0, 7.0]]]])
        found = measure(DepthMetrics("adashare"), (prediction, label))
        assert found["abs_err"] == pytest.approx((0.5 + 2) / 2)
        assert found["rel_err"] == pytest.approx((0.25 + 2) / 2)

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_metrics_of_the_field_agree_with_numpy(self, protocol):
        prediction, label = random_batch("depth", 5, size=(12, 16))
        label[4] = 0  # an image without labels
        found = measure(DepthMetrics(protocol), (prediction, label))
        p, y = (values.double().numpy()[label.numpy() > 0] for values in (prediction.clamp(min=0), label))
        assert (p == 0).any()
        assert found["rmse"] == pytest.approx(np.sqrt(np.mean((p - y) ** 2)), rel=1e-9)
        logs = np.log(np.maximum(p, SMALLEST_RATIO * y)) - np.log(y)
        assert found["log_rmse"] == pytest.approx(np.sqrt(np.mean(logs**2)), rel=1e-9)
        for power in (1, 2, 3):
            within = [q > 0 and max(q / t, t / q) < 1.25**power for q, t in zip(p, y, strict=True)]
            assert found[f"delta_{power}"] == pytest.approx(100 * np.mean(within), rel=1e-9)

    def test_errors_agree_with_torchmetrics(self):
        prediction, label = random_batch("depth", 3)
        prediction, label = prediction.abs() + 0.1, label + 0.1
        found = measure(DepthMetrics(), (prediction, label))
        assert found["rmse"] == pytest.approx(MeanSquaredError(squared=False)(prediction, label).item(), rel=1e-5)
        # Theirs is of log(1 + x).
        logs = MeanSquaredLogError()(prediction - 1, label - 1)
        assert found["log_rmse"] == pytest.approx(math.sqrt(logs.item()), rel=1e-5)

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_predictions_that_are_not_positive_are_misses(self, protocol):
        label = torch.full((1, 1, 1, 4), 2.0)
        found = measure(DepthMetrics(protocol), (torch.tensor([[[[0.0, -5.0, 2.0, 2.0]]]]), label))
        assert [found[f"delta_{power}"] for power in (1, 2, 3)] == [50, 50, 50]
        assert found["rmse"] == pytest.approx(math.sqrt((4 + 4) / 4))
        assert found["log_rmse"] == pytest.approx(math.log(1000) / math.sqrt(2))

    def test_a_threshold_itself_is_a_miss(self):
        prediction, label = torch.tensor([[[[5.0, 4.0, 4.9]]]]), torch.tensor([[[[4.0, 5.0, 4.0]]]])
        assert measure(DepthMetrics(), (prediction, label))["delta_1"] == pytest.approx(100 / 3)

    @given(st.floats(1e-3, 1e3))
    def test_only_errors_in_the_labels_unit_depend_on_it(self, unit):
        prediction, label = random_batch("depth", 2)
        one = measure(DepthMetrics(), (prediction.double(), label.double()))
        other = measure(DepthMetrics(), (unit * prediction.double(), unit * label.double()))
        scales = {"abs_err": unit, "rmse": unit}
        assert other == pytest.approx({name: scales.get(name, 1) * value for name, value in one.items()}, rel=1e-6)
        assert set(DepthMetrics(unit="m").units) == set(scales)
        assert DepthMetrics().units == {}

    def test_valid_labels_differ(self):
        label, prediction = torch.tensor([[[[2e-5, 1.0]]]]), torch.tensor([[[[1.0, 1.5]]]])
        assert measure(DepthMetrics(), (prediction, label))["abs_err"] == pytest.approx(0.75, abs=1e-4)
        assert measure(DepthMetrics("adashare"), (prediction, label))["abs_err"] == pytest.approx(0.5)
        assert measure(DepthMetrics(min_valid=0.1), (prediction, label))["abs_err"] == pytest.approx(0.5)

    def test_adashare_keeps_negative_outputs(self):
        label, prediction = torch.full((1, 1, 1, 2), 1.0), torch.full((1, 1, 1, 2), -1.0)
        assert measure(DepthMetrics(), (prediction, label))["abs_err"] == pytest.approx(1.0)
        assert measure(DepthMetrics("adashare"), (prediction, label))["abs_err"] == pytest.approx(2.0)

    def test_invalid_labels_may_hold_anything(self):
        label = torch.tensor([[[[math.nan, math.inf, -1.0, 2.0]]]])
        for protocol in PROTOCOLS:
            found = measure(DepthMetrics(protocol), (torch.ones(1, 1, 1, 4), label))
            assert (found["abs_err"], found["rel_err"], found["rmse"]) == pytest.approx((1.0, 0.5, 1.0))

    def test_resizing(self):
        prediction, label = torch.tensor([[[[0.0, 4.0]]]]), torch.tensor([[[[1.0, 1.0, 3.0, 3.0]]]])
        assert measure(DepthMetrics(), (prediction, label))["abs_err"] == pytest.approx((1 + 0 + 0 + 1) / 4)
        assert measure(DepthMetrics("adashare"), (prediction, label))["abs_err"] == pytest.approx(1.0)


class TestNormals:
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
        monkeypatch.setattr("ednas.tasks.metrics.angles_between", lambda first, second: torch.full((1,), 22.5).double())
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


def random_batch(name, images, size=(4, 6), seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (images, 1, *size)
    if name == "segmentation":
        labels = torch.randint(0, 5, (images, *size), generator=generator)
        labels[torch.rand(labels.shape, generator=generator) < 0.3] = 255
        labels[0, 0, 0] = 1
        return torch.randn(images, 5, *size, generator=generator), labels
    valid = torch.rand(shape, generator=generator) < 0.7
    valid[0, 0, 0, 0] = True
    if name == "depth":
        label = torch.rand(shape, generator=generator) * 5 + 0.1
        return torch.randn(shape, generator=generator) + 2, label * valid
    label = unit_normals(torch.randn(images, 3, *size, generator=generator), dim=1)
    return torch.randn(images, 3, *size, generator=generator), label * valid


MAKERS = {
    "segmentation": lambda protocol="standard": SegmentationMetrics(5, protocol),
    "depth": DepthMetrics,
    "normals": NormalMetrics,
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
class TestEveryMetric:
    @settings(max_examples=25, deadline=None)
    @given(data=st.data())
    def test_batches_of_any_size_give_the_same(self, name, protocol, data):
        images = data.draw(st.integers(1, 7))
        cuts = sorted(data.draw(st.sets(st.integers(1, max(1, images - 1)))))
        size = data.draw(st.sampled_from([(4, 6), (2, 3), (3, 4)]))
        prediction, target = random_batch(name, images, seed=data.draw(st.integers(0, 99)))
        prediction = F.interpolate(prediction, size=size)
        whole = measure(MAKERS[name](protocol), (prediction, target))
        bounds = list(zip([0, *cuts], [*cuts, images], strict=True))
        parts = [(prediction[a:b], target[a:b]) for a, b in bounds if b > a]
        metrics = MAKERS[name](protocol)
        assert measure(metrics, *parts) == pytest.approx(whole, rel=1e-9)
        again = MAKERS[name](protocol)
        again.update(prediction, target)
        assert (metrics.classes(), metrics.confusion()) == (again.classes(), again.confusion())

    def test_sums_of_two_processes_add_up(self, name, protocol):
        prediction, target = random_batch(name, 6)
        first, second, both = (MAKERS[name](protocol) for _ in range(3))
        first.update(prediction[:2], target[:2])
        second.update(prediction[2:], target[2:])
        both.sums = {key: first.sums[key] + second.sums[key] for key in first.sums}
        assert both.compute() == pytest.approx(measure(MAKERS[name](protocol), (prediction, target)))
        assert {value.dtype for value in both.sums.values()} <= {torch.int64, torch.float64}

    def test_reset_forgets(self, name, protocol):
        metrics = MAKERS[name](protocol)
        metrics.update(*random_batch(name, 2, seed=1))
        metrics.reset()
        batch = random_batch(name, 3, seed=2)
        assert measure(metrics, batch) == measure(MAKERS[name](protocol), batch)

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    def test_predictions_that_are_not_finite_are_an_error(self, name, protocol, bad):
        prediction, target = random_batch(name, 2)
        prediction[1, 0, 2, 3] = bad
        with pytest.raises(TrainingError, match=f"{name}: 1 of "):
            MAKERS[name](protocol).update(prediction, target)

    def test_huge_predictions_are_finite(self, name, protocol):
        prediction, target = random_batch(name, 2)
        found = measure(MAKERS[name](protocol), (torch.full_like(prediction, 3e38), target))
        assert all(not math.isnan(value) for value in found.values())

    def test_nothing_valid_is_an_error(self, name, protocol):
        metrics = MAKERS[name](protocol)
        with pytest.raises(DataError, match="no valid label"):
            metrics.compute()
        prediction, target = random_batch(name, 2)
        metrics.update(prediction, torch.full_like(target, 255 if name == "segmentation" else 0))
        with pytest.raises(DataError, match="no valid label"):
            metrics.compute()

    def test_wrong_shapes_are_errors(self, name, protocol):
        prediction, target = random_batch(name, 2)
        with pytest.raises(TrainingError, match="expected"):
            MAKERS[name](protocol).update(prediction[:, :0], target)
        with pytest.raises(DataError, match="1 labels for 2"):
            MAKERS[name](protocol).update(prediction, target[:1])
        with pytest.raises(DataError, match="expected"):
            MAKERS[name](protocol).update(prediction, target[0])

    def test_directions_and_names_agree_with_scoring(self, name, protocol):
        metrics = MAKERS[name](protocol)
        found = measure(metrics, random_batch(name, 2))
        assert list(found) == list(metrics.higher_is_better)
        assert metrics.higher_is_better == {key: METRICS[key].higher_is_better for key in found}
        assert all(isinstance(value, float) and math.isfinite(value) for value in found.values())

    def test_half_precision_output(self, name, protocol):
        prediction, target = random_batch(name, 3)
        found = measure(MAKERS[name](protocol), (prediction.bfloat16(), target))
        assert found == measure(MAKERS[name](protocol), (prediction.bfloat16().float(), target))

    def test_gathers_no_gradient(self, name, protocol):
        prediction, target = random_batch(name, 2)
        metrics = MAKERS[name](protocol)
        metrics.update(prediction.requires_grad_(), target)
        assert not any(value.requires_grad for value in metrics.sums.values())

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    def test_cuda_equals_cpu(self, name, protocol):
        prediction, target = random_batch(name, 4)
        on_gpu = MAKERS[name](protocol)
        on_gpu.update(prediction.cuda(), target.cuda())
        assert on_gpu.compute() == pytest.approx(measure(MAKERS[name](protocol), (prediction, target)), rel=1e-5)


@pytest.mark.parametrize("name", MAKERS)
def test_unknown_protocol(name):
    with pytest.raises(ConfigError, match="did you mean 'adashare'"):
        MAKERS[name]("adashar")
