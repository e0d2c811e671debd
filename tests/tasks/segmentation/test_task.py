"""The task of segmentation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.nn import functional as F

from ednas.data.colors import palette
from ednas.data.sample import VOID, TargetInfo
from ednas.exceptions import ConfigError
from ednas.tasks import make_task

LABELS = TargetInfo("labels", 19)
NAMED = TargetInfo("labels", 3, ("road", "car", "sky"))


class TestTask:
    def test_loss_takes_smaller_outputs(self):
        task = make_task("segmentation", TargetInfo("labels", 3))
        labels = torch.tensor([[[0, 0, 1, 1], [0, 0, 1, 1]]])
        prediction = torch.randn(1, 3, 1, 2)
        expected = F.cross_entropy(prediction, torch.tensor([[[0, 1]]]))
        assert task.loss(prediction, labels).item() == pytest.approx(expected.item(), rel=1e-5)

    def test_class_weights_by_name_or_in_order(self):
        prediction, labels = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
        expected = F.cross_entropy(prediction, labels, torch.tensor([1.0, 5.0, 0.5])).item()
        for weights in ([1, 5, 0.5], {"sky": 0.5, "car": 5}):
            task = make_task("segmentation", NAMED, class_weights=weights)
            assert task.loss(prediction, labels).item() == pytest.approx(expected)

    def test_region_loss_beside_cross_entropy(self):
        prediction, labels = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
        alone, other, both = (
            make_task("segmentation", NAMED, loss=loss).loss(prediction, labels).item()
            for loss in ("cross_entropy", "lovasz", {"cross_entropy": 1, "lovasz": 0.5})
        )
        assert both == pytest.approx(alone + other / 2)

    def test_decode(self):
        task = make_task("segmentation", TargetInfo("labels", 3))
        found = task.decode(torch.tensor([0.1, 0.9, 0.3]).reshape(1, 3, 1, 1))
        assert found.dtype == torch.int64
        assert found.tolist() == [[[1]]]

    def test_void_option_reaches_the_metrics(self):
        task = make_task("segmentation", TargetInfo("labels", 2), void_counts=True)
        metrics = task.metrics("adashare")
        metrics.update(torch.tensor([[[[1.0, 1.0]], [[0.0, 0.0]]]]), torch.tensor([[[0, 255]]]))
        assert metrics.compute()["pixel_acc"] == 50

    def test_class_names_reach_the_metrics(self):
        metrics = make_task("segmentation", TargetInfo("labels", 2, ("road", "sky"))).metrics()
        metrics.update(torch.tensor([[[[1.0]], [[0.0]]]]), torch.tensor([[[0]]]))
        assert list(metrics.classes()) == ["road", "sky"]

    def test_picture(self):
        picture = make_task("segmentation", LABELS).picture(np.array([[0, 13], [255, 18]], dtype=np.uint8))
        assert picture.dtype == np.uint8
        assert picture.tolist() == [[[128, 64, 128], [0, 0, 142]], [[0, 0, 0], [119, 11, 32]]]

    @pytest.mark.parametrize("num_classes", [0, 256])
    def test_number_of_classes_out_of_range(self, num_classes):
        with pytest.raises(ConfigError, match="1 to 255 classes"):
            make_task("segmentation", TargetInfo("labels", num_classes))

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"loss": "lovas"}, "unknown loss 'lovas'; did you mean 'lovasz'"),
            ({"gamma": 2}, "gamma belongs to loss 'focal', but the loss is 'cross_entropy'"),
            ({"loss": "focal", "threshold": 0.5}, "threshold belongs to loss 'ohem', but the loss is 'focal'"),
            (
                {"loss": {"dice": 1, "lovasz": 1}, "class_weights": [1, 1, 1]},
                "class_weights belongs to loss 'cross_entropy' or 'focal' or 'ohem', but the loss is 'dice . lovasz'",
            ),
            ({"class_weights": [1, 2]}, "class_weights: 2 weights for 3 classes"),
            ({"class_weights": [1, 2, -3]}, r"class_weights\[2\] = -3"),
            ({"class_weights": {"cra": 2}}, "class_weights: unknown class 'cra'; did you mean 'car'"),
            ({"class_weights": {"car": math.nan}}, r"class_weights\[1\] = nan"),
            ({"class_weights": "frequency"}, "class_weights = 'frequency': .* are for the configuration of a training"),
            ({"class_weights": 3}, "class_weights = 3: give a number per class"),
            ({"label_smoothing": 1}, "label_smoothing = 1"),
        ],
    )
    def test_wrong_options(self, options, words):
        with pytest.raises(ConfigError, match=words) as caught:
            make_task("segmentation", NAMED, **options)
        assert "\n" not in str(caught.value)


class TestPictures:
    @pytest.mark.parametrize("num_classes", [1, 7, 13, 19, 40, 255])
    def test_colours_are_distinct_and_void_alone_is_black(self, num_classes):
        colours = palette(num_classes)
        assert len({tuple(colour) for colour in colours[:num_classes].tolist()}) == num_classes
        assert (colours[:num_classes].max(axis=1) > 0).all()
        assert (colours[num_classes:] == 0).all()

    def test_few_classes_are_far_apart(self):
        colours = palette(40)[:40].astype(int)
        distance = np.abs(colours[:, None] - colours[None]).sum(-1) + 1000 * np.eye(40, dtype=int)
        assert distance.min() > 30


HEIGHT, WIDTH, CLASSES = 2, 3, 4


labels = arrays(np.uint8, st.tuples(st.integers(1, 7), st.just(HEIGHT), st.just(WIDTH)), elements=st.sampled_from(
    [0, 1, 2, 3, VOID]
))  # fmt: skip


def batches(array, size=2):
    return iter(torch.as_tensor(array).split(size))


@given(labels)
def test_the_most_frequent_class_of_each_pixel_else_of_all(array):
    logits = make_task("segmentation", TargetInfo("labels", CLASSES)).trivial(batches(array.astype(np.int64)))
    if (array == VOID).all():
        assert logits is None
        return
    assert logits.shape == (1, CLASSES, HEIGHT, WIDTH)
    assert torch.isfinite(logits).all()
    everywhere = np.bincount(array[array != VOID], minlength=CLASSES)
    for place in np.ndindex(HEIGHT, WIDTH):
        column = array[(slice(None), *place)]
        counts = np.bincount(column[column != VOID], minlength=CLASSES)
        expected = counts if counts.any() else everywhere
        np.testing.assert_allclose(logits[(0, slice(None), *place)], np.log(1 + expected), rtol=1e-6)
