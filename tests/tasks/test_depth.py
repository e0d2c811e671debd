"""Depth: the task, its metrics and its losses."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
import torch
from helpers.metric_batches import measure, random_batch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F
from torchmetrics import MeanSquaredError, MeanSquaredLogError

import ednas.tasks.depth
from ednas.data.colors import NO_DEPTH, color_scale
from ednas.data.sample import TargetInfo
from ednas.exceptions import ConfigError
from ednas.tasks import BerHuLoss, DepthMetrics, JAReDLoss, L1Loss, SILogLoss, make_task
from ednas.tasks.base import PROTOCOLS
from ednas.tasks.depth import SMALLEST_RATIO

METRES = TargetInfo("distance", unit="m")
DISPARITY = TargetInfo("disparity", unit="p/65535")


class TestDepthTask:
    def test_decode_is_not_negative(self):
        task = make_task("depth", METRES)
        assert task.decode(torch.tensor([-1.0, 2.0]).reshape(1, 1, 1, 2)).flatten().tolist() == [0, 2]

    def test_smallest_valid_label_reaches_loss_and_metrics(self):
        task = make_task("depth", METRES, min_valid=1.0)
        prediction, label = torch.tensor([[[[9.0, 3.0]]]]), torch.tensor([[[[0.5, 2.0]]]])
        assert task.loss(prediction, label).item() == pytest.approx(1.0)
        metrics = task.metrics()
        metrics.update(prediction, label)
        assert metrics.compute()["abs_err"] == pytest.approx(1.0)

    @pytest.mark.parametrize(("info", "near"), [(METRES, 1.0), (DISPARITY, 5.0)])
    def test_picture_paints_near_bright_and_no_depth_grey(self, info, near):
        far = 6.0 - near
        picture = make_task("depth", info).picture(np.array([[[near, far, 0.0, math.nan]]], dtype=np.float32))
        assert picture.shape == (1, 4, 3)
        assert picture[0, 0].sum() > picture[0, 1].sum() > 0
        assert (picture[0, 2:] == NO_DEPTH).all()

    @pytest.mark.parametrize("info", [METRES, DISPARITY])
    def test_the_legend_has_the_scale_of_the_picture(self, info):
        task = make_task("depth", info)
        depth = np.array([[[1.0, 3.0, 5.0]]], dtype=np.float32)
        legend = task.legend(depth)
        near, far = legend.scale
        assert sorted((near, far)) == pytest.approx((1.08, 4.92))
        assert legend.unit == info.unit
        ends = task.picture(np.array([[near, far]]), (min(near, far), max(near, far)))
        assert (ends == color_scale(np.array([[1.0, 0.0]]))).all()
        assert task.legend(depth, (0.0, 10.0)).scale in ((0.0, 10.0), (10.0, 0.0))

    def test_picture_with_a_given_range(self):
        task = make_task("depth", METRES)
        wide = task.picture(np.array([[2.0, 4.0]]), value_range=(0.0, 10.0))
        assert (wide[0, 0] == task.picture(np.array([[2.0]]), value_range=(0.0, 10.0))[0, 0]).all()
        assert (wide != task.picture(np.array([[2.0, 4.0]]))).any()

    @pytest.mark.parametrize("value", [0.0, 3.0, math.nan])
    def test_picture_of_a_constant(self, value):
        picture = make_task("depth", METRES).picture(np.full((1, 2, 2), value, dtype=np.float32))
        assert (picture == picture[0, 0]).all()

    @pytest.mark.parametrize(("info", "units"), [(METRES, {"abs_err": "m", "rmse": "m"}), (DISPARITY, {})])
    def test_errors_are_in_the_labels_unit_which_a_disparity_has_not(self, info, units):
        assert make_task("depth", info).metrics().units == units

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"los": "l1"}, "no option 'los'; did you mean 'loss'"),
            ({"loss": "jarde"}, "unknown loss 'jarde'; did you mean 'jared'"),
            ({"rel_weight": 0.1}, "rel_weight belongs to loss 'jared'"),
            ({"loss": "jared", "rel_weight": -0.1}, "rel_weight = -0.1"),
            (
                {"loss": "jared", "variance_focus": 0.5},
                "variance_focus belongs to loss 'silog', but the loss is 'jared'",
            ),
        ],
    )
    def test_wrong_options(self, options, words):
        with pytest.raises(ConfigError, match=words):
            make_task("depth", METRES, **options)


class TestMetrics:
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


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


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
            {"abs_weight": "1"},
        ],
    )
    def test_arguments_out_of_range(self, arguments):
        with pytest.raises(ConfigError):
            JAReDLoss(**arguments)

    def test_description(self):
        assert "rel_weight=0.05" in repr(JAReDLoss())


class TestSILog:
    def reference(self, prediction, label, variance_focus):
        """Eq. 4 of Eigen et al. (2014) over the valid pixels."""
        valid = label > 0
        d = np.log(prediction[valid]) - np.log(label[valid])
        return np.mean(d**2) - variance_focus * np.mean(d) ** 2

    @given(seed=st.integers(0, 2**31), variance_focus=st.floats(0, 1))
    def test_formula(self, seed, variance_focus):
        rng = np.random.default_rng(seed)
        label = rng.uniform(0.1, 10, (2, 1, 4, 5)) * (rng.random((2, 1, 4, 5)) < 0.7)
        label[0, 0, 0, 0] = 1.0
        prediction = rng.uniform(0.2, 10, label.shape)
        found = SILogLoss(variance_focus)(torch.from_numpy(prediction), torch.from_numpy(label))
        assert found.item() == pytest.approx(self.reference(prediction, label, variance_focus), rel=1e-9, abs=1e-12)

    def test_a_common_factor_is_forgiven_as_far_as_asked(self):
        label = torch.rand(1, 1, 3, 4, dtype=torch.float64) + 0.5
        for variance_focus in (0.0, 0.85, 1.0):
            expected = (1 - variance_focus) * math.log(3) ** 2
            assert SILogLoss(variance_focus)(3 * label, label).item() == pytest.approx(expected, abs=1e-12)

    def test_the_unit_does_not_matter(self):
        label, prediction = torch.rand(1, 1, 3, 4).double() + 0.5, torch.randn(1, 1, 3, 4).double()
        millimetres = SILogLoss()(1000 * prediction, 1000 * label).item()
        assert millimetres == pytest.approx(SILogLoss()(prediction, label).item())

    @pytest.mark.parametrize("output", [0.0099, 0.0, -3.0])
    def test_outputs_without_a_logarithm_are_lifted(self, output):
        prediction = torch.full((1, 1, 2, 2), output, requires_grad=True)
        loss = SILogLoss()(prediction, torch.ones(1, 1, 2, 2))
        loss.backward()
        assert (prediction.grad < 0).all()
        assert loss > SILogLoss()(prediction.detach() + 0.1, torch.ones(1, 1, 2, 2))

    def test_gradient(self):
        label = torch.rand(2, 1, 3, 4, dtype=torch.float64) + 0.2
        label[0, 0, 0] = 0.0
        prediction = torch.randn_like(label, requires_grad=True)
        assert torch.autograd.gradcheck(lambda p: SILogLoss(0.85)(p, label), prediction)

    def test_never_below_zero(self):
        label = torch.rand(1, 1, 50, 50) + 0.5
        assert SILogLoss(1.0)(1e4 * label, label) >= 0

    @pytest.mark.parametrize("variance_focus", [-0.1, 1.1, math.nan, "0.5"])
    def test_variance_focus_out_of_range(self, variance_focus):
        with pytest.raises(ConfigError, match="variance_focus"):
            SILogLoss(variance_focus)


class TestBerHu:
    def reference(self, prediction, label):
        """Eq. 2 of Laina et al. (2016), pixel by pixel."""
        errors = [abs(p - y) for p, y in zip(prediction, label, strict=True) if y > 0]
        c = max(errors) / 5
        return sum(e if e <= c else (e**2 + c**2) / (2 * c) for e in errors) / len(errors)

    @given(seed=st.integers(0, 2**31))
    def test_formula(self, seed):
        rng = np.random.default_rng(seed)
        label = rng.uniform(0.1, 10, 20) * (rng.random(20) < 0.7)
        label[0] = 1.0
        prediction = label + rng.normal(0, 1, 20) ** 3
        found = BerHuLoss()(torch.from_numpy(prediction), torch.from_numpy(label))
        assert found.item() == pytest.approx(self.reference(prediction, label), rel=1e-9)

    def test_gradient_takes_the_border_as_constant(self):
        label = torch.tensor([5.0, 5.0, 5.0])
        prediction = torch.tensor([15.0, 6.0, 1.0], requires_grad=True)  # errors 10, 1, 4; border 2
        BerHuLoss()(prediction, label).backward()
        assert prediction.grad.tolist() == pytest.approx([10 / 2 / 3, 1 / 3, -4 / 2 / 3])

    def test_an_invalid_pixel_does_not_move_the_border(self):
        label, prediction = torch.tensor([5.0, 5.0, 0.0]), torch.tensor([6.0, 5.1, 1e6])
        assert BerHuLoss()(prediction, label) == BerHuLoss()(prediction[:2], label[:2])


def test_examples_in_docstrings():
    result = doctest.testmod(ednas.tasks.depth)
    assert result.attempted
    assert not result.failed
