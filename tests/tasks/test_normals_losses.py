from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from ednas.tasks import InverseCosineLoss


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
