"""The metrics of segmentation."""

from __future__ import annotations

import pytest
import torch
from helpers.metric_batches import measure
from torch.nn import functional as F
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassJaccardIndex

from ednas.data.sample import VOID
from ednas.exceptions import DataError
from ednas.tasks import SegmentationMetrics
from ednas.tasks.base import PROTOCOLS


def logits(classes, num_classes):
    """Logits whose argmax is ``classes``."""
    return F.one_hot(torch.as_tensor(classes), num_classes).movedim(-1, 1).float()


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
