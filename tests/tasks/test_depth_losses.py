from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

import ednas.tasks.depth_losses
from ednas.exceptions import ConfigError
from ednas.tasks import BerHuLoss, JAReDLoss, L1Loss, SILogLoss


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
    result = doctest.testmod(ednas.tasks.depth_losses)
    assert result.attempted
    assert not result.failed
