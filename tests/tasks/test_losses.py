from __future__ import annotations

import doctest
import math

import pytest
import torch
from torch.nn import functional as F

import ednas.tasks.losses
from ednas.exceptions import ConfigError, DataError
from ednas.tasks.losses import (
    LOSS_PRESETS,
    InverseCosineLoss,
    JAReDLoss,
    L1Loss,
    MaskedCrossEntropy,
    loss_preset,
    resize_target,
)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def unit(shape, dtype=torch.float32):
    return F.normalize(torch.randn(shape, dtype=dtype), dim=1)


class TestJARed:
    def test_equation_8_by_hand(self):
        label = torch.tensor([2.0, 4.0, 0.5, 0.0])
        prediction = torch.tensor([1.0, 5.0, 0.5, 9.0])
        # |y - p| = 1, 1, 0 and |y - p| / y = 0.5, 0.25, 0 over three valid pixels
        assert JAReDLoss(1.0, 0.4)(prediction, label).item() == pytest.approx(2 / 3 + 0.4 * 0.75 / 3)
        assert JAReDLoss(0.95, 0.05)(prediction, label).item() == pytest.approx(0.95 * 2 / 3 + 0.05 * 0.25)

    def test_largest_inverse(self):
        label, prediction = torch.tensor([1e-4, 1.0]), torch.tensor([1.0001, 2.0])
        assert JAReDLoss(0.0, 1.0)(prediction, label).item() == pytest.approx((1e4 + 1) / 2, rel=1e-3)
        assert JAReDLoss(0.0, 1.0, max_inverse=10)(prediction, label).item() == pytest.approx((10 + 1) / 2)

    def test_smallest_valid_label(self):
        label, prediction = torch.tensor([3e-5, 1.0]), torch.tensor([1.0, 2.0])
        assert JAReDLoss(1.0, 0.0, min_valid=3e-5)(prediction, label).item() == pytest.approx(1.0)

    def test_without_relative_term_it_is_l1(self):
        label, prediction = torch.rand(2, 1, 5, 7) + 0.1, torch.randn(2, 1, 5, 7)
        assert L1Loss()(prediction, label).item() == pytest.approx(F.l1_loss(prediction, label).item())

    def test_gradient(self):
        label = torch.rand(2, 1, 3, 4, dtype=torch.float64) + 0.2
        label[0, 0, 0] = 0.0
        prediction = (label + torch.randn_like(label)).requires_grad_()
        for loss in (JAReDLoss(0.95, 0.05), JAReDLoss(1.0, 0.3, max_inverse=2.0), L1Loss()):
            assert torch.autograd.gradcheck(lambda p, loss=loss: loss(p, label), prediction)

    def test_negative_output_still_learns(self):
        prediction = torch.full((1, 1, 2, 2), -3.0, requires_grad=True)
        L1Loss()(prediction, torch.ones(1, 1, 2, 2)).backward()
        assert (prediction.grad < 0).all()

    @pytest.mark.parametrize(
        "arguments",
        [
            {"abs_weight": -1.0},
            {"rel_weight": math.nan},
            {"abs_weight": 0.0, "rel_weight": 0.0},
            {"max_inverse": 0.0},
            {"min_valid": -1e-5},
            {"min_valid": math.inf},
        ],
    )
    def test_arguments_out_of_range(self, arguments):
        with pytest.raises(ConfigError):
            JAReDLoss(**arguments)

    def test_description(self):
        assert "rel_weight=0.05" in repr(JAReDLoss())


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


class TestCrossEntropy:
    def test_agrees_with_torch_where_labels_are_valid(self):
        logits, labels = torch.randn(2, 5, 4, 6), torch.randint(0, 5, (2, 4, 6))
        labels[0, 0] = 255
        expected = F.cross_entropy(logits, labels, ignore_index=255)
        assert MaskedCrossEntropy()(logits, labels).item() == pytest.approx(expected.item(), rel=1e-5)

    def test_wrong_label_is_named(self):
        with pytest.raises(DataError, match="5 classes"):
            MaskedCrossEntropy()(torch.randn(1, 5, 2, 2), torch.full((1, 2, 2), 5))


CASES = {
    "cross_entropy": (MaskedCrossEntropy(), 4, lambda: torch.full((2, 3, 5), 255)),
    "l1": (L1Loss(), 1, lambda: torch.zeros(2, 1, 3, 5)),
    "jared": (JAReDLoss(), 1, lambda: torch.zeros(2, 1, 3, 5)),
    "jared_nan": (JAReDLoss(), 1, lambda: torch.full((2, 1, 3, 5), math.nan)),
    "jared_inf": (JAReDLoss(max_inverse=5.0), 1, lambda: torch.full((2, 1, 3, 5), math.inf)),
    "cosine": (InverseCosineLoss(), 3, lambda: torch.zeros(2, 3, 3, 5)),
    "cosine_nan": (InverseCosineLoss(), 3, lambda: torch.full((2, 3, 3, 5), math.nan)),
}


@pytest.mark.parametrize("case", CASES)
def test_no_valid_label_gives_zero_on_the_graph(case):
    loss, channels, invalid = CASES[case]
    prediction = torch.randn(2, channels, 3, 5, requires_grad=True)
    value = loss(prediction, invalid())
    value.backward()
    assert value.shape == ()
    assert value.item() == 0
    assert (prediction.grad == 0).all()


INVALID = [0.0, math.nan, math.inf, -math.inf]


@pytest.mark.parametrize(
    ("loss", "channels", "bad"),
    [(loss, 1, bad) for loss in (JAReDLoss(), L1Loss()) for bad in (*INVALID, -1.0)]
    + [(InverseCosineLoss(), 3, bad) for bad in INVALID],
)
def test_invalid_pixels_change_nothing(loss, channels, bad):
    label = unit((2, 3, 4, 5)) if channels == 3 else torch.rand(2, 1, 4, 5) + 0.1
    prediction = torch.randn(2, channels, 4, 5, requires_grad=True)
    expected = loss(prediction[:, :, 1:], label[:, :, 1:])
    label[:, :, 0] = bad
    found = loss(prediction, label)
    found.backward()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert torch.isfinite(prediction.grad).all()
    assert (prediction.grad[:, :, 0] == 0).all()
    assert (prediction.grad[:, :, 1:] != 0).any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_predictions_are_summed_in_float32(dtype):
    # 600 * 600 errors of 1 overflow float16 and stall bfloat16
    prediction = torch.zeros(1, 1, 600, 600, dtype=dtype)
    value = JAReDLoss(1.0, 1.0)(prediction, torch.ones(1, 1, 600, 600))
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(2.0)


def test_labels_are_resized_by_nearest_neighbour():
    labels = torch.tensor([[[1, 1, 2, 2], [1, 1, 2, 2], [255, 255, 3, 3], [255, 255, 3, 3]]])
    assert resize_target(labels, (2, 2)).tolist() == [[[1, 2], [255, 3]]]
    assert resize_target(labels, (2, 2)).dtype == torch.int64
    assert resize_target(labels, (4, 4)) is labels
    depth = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert resize_target(depth, (2, 2)).tolist() == [[[[0, 2], [8, 10]]]]


class TestPresets:
    # Table 8: CE, L1, RE, ICS
    TABLE_8 = (
        ("cityscapes_mt", (0.4, 1.0, 0.0, None)),
        ("cityscapes_ednas", (0.4, 1.0, 0.0, None)),
        ("cityscapes_jared", (0.5, 0.95, 0.05, None)),
        ("nyuv2_mt", (1.0, 1.0, 0.0, 40.0)),
        ("nyuv2_ednas", (1.0, 1.0, 0.0, 50.0)),
        ("nyuv2_jared", (1.0, 0.999, 0.001, 60.0)),
    )

    @pytest.mark.parametrize(("name", "row"), TABLE_8)
    def test_table_8(self, name, row):
        preset = loss_preset(name)
        weights = preset.task_weights
        assert (weights["segmentation"], preset.abs_weight, preset.rel_weight, weights.get("normals")) == row
        assert weights["depth"] == 1.0

    def test_table_9_has_the_last_row_twice(self):
        rows = [(p.abs_weight, p.rel_weight) for name, p in LOSS_PRESETS.items() if name.startswith("table9")]
        assert rows == [(1.0, 0.0), (0.999, 0.001), (0.99, 0.01), (0.95, 0.05), (0.9, 0.01), (0.9, 0.1)]

    def test_unknown_name(self):
        with pytest.raises(ConfigError, match="did you mean 'cityscapes_jared'"):
            loss_preset("cityscapes_jaret")


def test_examples_in_docstrings():
    result = doctest.testmod(ednas.tasks.losses)
    assert result.attempted
    assert not result.failed
