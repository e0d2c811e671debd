from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from helpers.own_parts import known
from helpers.profiles import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from ednas.data.sample import TargetInfo
from ednas.exceptions import ConfigError
from ednas.tasks import (
    BerHuLoss,
    DiceLoss,
    FocalLoss,
    InverseCosineLoss,
    JAReDLoss,
    L1Loss,
    LovaszSoftmaxLoss,
    MaskedCrossEntropy,
    OhemCrossEntropy,
    SILogLoss,
    make_task,
    register_loss,
)
from ednas.tasks.depth import DEPTH_LOSSES
from ednas.tasks.losses import make_loss, resize_target

NOT_POSITIVE = (0.0, -1.0, math.nan, math.inf, -math.inf)
WEIGHTS = [1.0, 0.0, 3.0, 0.5]
# By name: the loss, the channels of its prediction, and what an invalid label may hold.
CASES = {
    "cross_entropy": (MaskedCrossEntropy(), 4, (255,)),
    "cross_entropy_weighted": (MaskedCrossEntropy(WEIGHTS, label_smoothing=0.2), 4, (255,)),
    "focal": (FocalLoss(), 4, (255,)),
    "focal_weighted": (FocalLoss(0.5, WEIGHTS, label_smoothing=0.2), 4, (255,)),
    "ohem": (OhemCrossEntropy(0.3, 0.5), 4, (255,)),
    "ohem_weighted": (OhemCrossEntropy(0.3, 0.5, WEIGHTS), 4, (255,)),
    "dice": (DiceLoss(), 4, (255,)),
    "lovasz": (LovaszSoftmaxLoss(), 4, (255,)),
    "l1": (L1Loss(), 1, NOT_POSITIVE),
    "jared": (JAReDLoss(), 1, NOT_POSITIVE),
    "jared_limited": (JAReDLoss(max_inverse=5.0), 1, NOT_POSITIVE),
    "silog": (SILogLoss(), 1, NOT_POSITIVE),
    "berhu": (BerHuLoss(), 1, NOT_POSITIVE),
    "cosine": (InverseCosineLoss(), 3, (0.0, math.nan, math.inf, -math.inf)),
}


def example(channels, seed, dtype=torch.float64):
    """A prediction ``(2, channels, 3, 5)`` and a valid label for it."""
    generator = torch.Generator().manual_seed(seed)
    prediction = 2 * torch.randn(2, channels, 3, 5, generator=generator, dtype=torch.float64)
    if channels == 4:
        return prediction.to(dtype), torch.randint(0, 4, (2, 3, 5), generator=generator)
    label = torch.rand(2, channels, 3, 5, generator=generator, dtype=torch.float64) + 0.1
    return prediction.to(dtype), (F.normalize(label, dim=1) if channels == 3 else label).to(dtype)


def pixels(values):
    """Bring ``(N, ..., H, W)`` to one image of one row."""
    return values.movedim(0, -3).flatten(-3)[None, ..., None, :]


def differentiated(loss, prediction, label):
    prediction = prediction.clone().requires_grad_()
    value = loss(prediction, label)
    value.backward()
    return value.detach(), prediction.grad


@pytest.mark.parametrize("name", CASES)
def test_no_valid_label_gives_zero_on_the_graph(name):
    loss, channels, invalid = CASES[name]
    for bad in invalid:
        prediction, label = example(channels, 0)
        value, gradient = differentiated(loss, prediction, torch.full_like(label, bad))
        assert value.shape == ()
        assert value == 0
        assert (gradient == 0).all()


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=examples(30))
@given(seed=st.integers(0, 2**31), share=st.floats(0, 1), data=st.data())
def test_a_loss_and_its_gradient_are_those_of_the_valid_pixels_alone(name, seed, share, data):
    loss, channels, invalid = CASES[name]
    prediction, label = example(channels, seed)
    valid = torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(seed + 1)) < share
    valid[0, 0, 0] = True
    value, gradient = differentiated(
        loss, pixels(prediction)[..., valid.flatten()], pixels(label)[..., valid.flatten()]
    )
    label.movedim(-3 if channels == 4 else 1, 0)[..., ~valid] = data.draw(st.sampled_from(invalid))
    found, found_gradient = differentiated(loss, prediction, label)
    assert found.item() == pytest.approx(value.item(), rel=1e-6, abs=1e-12)
    assert (found_gradient.movedim(1, 0)[:, ~valid] == 0).all()
    torch.testing.assert_close(pixels(found_gradient)[..., valid.flatten()], gradient, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=examples(30))
@given(seed=st.integers(0, 2**31), scale=st.sampled_from([0.0, 1e-30, 1.0, 100.0]))
def test_gradients_are_finite_for_any_output(name, seed, scale):
    loss, channels, _ = CASES[name]
    prediction, label = example(channels, seed, torch.float32)
    value, gradient = differentiated(loss, scale * prediction, label)
    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", CASES)
def test_right_outputs_cost_nothing_and_have_finite_gradients(name):
    loss, channels, _ = CASES[name]
    _, label = example(channels, 0, torch.float32)
    right = 1e3 * F.one_hot(label, 4).movedim(-1, 1).float() if channels == 4 else label
    value, gradient = differentiated(loss, right, label)
    assert getattr(loss, "label_smoothing", 0.0) > 0 or value.item() == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_outputs_are_computed_on_in_float32(name, dtype):
    loss, channels, _ = CASES[name]
    prediction, label = example(channels, 0, torch.float32)
    value, gradient = differentiated(loss, prediction.to(dtype), label)
    assert value.dtype == torch.float32
    assert value == loss(prediction.to(dtype).float(), label)
    assert gradient.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_predictions_are_summed_in_float32(dtype):
    # 600 * 600 errors of 1 overflow float16 and stall bfloat16
    prediction = torch.zeros(1, 1, 600, 600, dtype=dtype)
    value = JAReDLoss(1.0, 1.0)(prediction, torch.ones(1, 1, 600, 600))
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(2.0)


class TestMakeLoss:
    def make(self, loss, **options):
        return make_loss("depth", DEPTH_LOSSES, loss, options)

    def test_options_reach_the_losses_that_take_them(self):
        prediction, label = example(1, 0)
        options = {"rel_weight": 0.5, "variance_focus": 0.9, "min_valid": 0.3}
        found = self.make({"jared": 2.0, "silog": 0.25}, **options)(prediction, label)
        jared, silog = JAReDLoss(rel_weight=0.5, min_valid=0.3), SILogLoss(0.9, min_valid=0.3)
        assert found.item() == pytest.approx(2 * jared(prediction, label).item() + silog(prediction, label).item() / 4)

    def test_one_loss_is_that_loss(self):
        prediction, label = example(1, 0)
        assert self.make("jared", rel_weight=None)(prediction, label) == JAReDLoss()(prediction, label)

    @pytest.mark.parametrize(
        ("loss", "options", "words"),
        [
            ("berhuu", {}, "task 'depth': unknown loss 'berhuu'; did you mean 'berhu'"),
            ({"l1": 1, "sillog": 1}, {}, "unknown loss 'sillog'; did you mean 'silog'"),
            (["l1"], {}, "unknown loss"),
            ({1: 1}, {}, "unknown loss '1'"),
            (None, {}, "unknown loss 'None'"),
            ({}, {}, "nothing would be learned"),
            ({"l1": 0}, {}, "nothing would be learned"),
            ({"l1": -1}, {}, "weight of loss 'l1' = -1 must be a finite number of at least 0"),
            ({"l1": "much"}, {}, "weight of loss 'l1' = 'much'"),
            ({"l1": 1, "berhu": 1}, {"max_inverse": 3.0}, "max_inverse belongs to loss 'jared', but .* 'l1 . berhu'"),
            ("silog", {"variance_focus": True}, "variance_focus = True must be a finite number from 0 to 1"),
        ],
    )
    def test_mistakes_are_one_line(self, loss, options, words):
        with pytest.raises(ConfigError, match=words) as caught:
            self.make(loss, **options)
        assert "\n" not in str(caught.value)


def test_labels_are_resized_by_nearest_neighbour():
    labels = torch.tensor([[[1, 1, 2, 2], [1, 1, 2, 2], [255, 255, 3, 3], [255, 255, 3, 3]]])
    assert resize_target(labels, (2, 2)).tolist() == [[[1, 2], [255, 3]]]
    assert resize_target(labels, (2, 2)).dtype == torch.int64
    assert resize_target(labels, (4, 4)) is labels
    depth = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert resize_target(depth, (2, 2)).tolist() == [[[[0, 2], [8, 10]]]]


INFOS = {
    "segmentation": TargetInfo("labels", 3, ("a", "b", "c")),
    "depth": TargetInfo("distance"),
    "normals": TargetInfo("normals"),
}


TARGETS = {
    "segmentation": torch.zeros(2, 8, 8, dtype=torch.int64),
    "depth": torch.ones(2, 1, 8, 8),
    "normals": torch.ones(2, 3, 8, 8) / 3**0.5,
}


@pytest.fixture(autouse=True)
def _known() -> Iterator[None]:
    with known():
        yield


def scaled(prediction: Tensor, target: Tensor, factor: float = 1.0) -> Tensor:
    assert prediction.shape[-2:] == target.shape[-2:]
    return factor * prediction.mean()


class Scaled(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        return scaled(prediction, target, self.factor)


@pytest.mark.parametrize("loss", [scaled, Scaled])
@pytest.mark.parametrize("name", INFOS)
def test_functions_and_classes_of_modules_with_options(name: str, loss: object) -> None:
    register_loss(name, "mine", loss)
    task = make_task(name, INFOS[name], loss="mine", loss_options={"factor": 3.0})
    prediction = torch.ones(2, task.channels, 4, 4, requires_grad=True)
    value = task.loss(prediction, TARGETS[name])
    assert value.item() == pytest.approx(3.0)
    value.backward()
    assert prediction.grad is not None


def test_a_weighted_sum_with_a_built_in_loss() -> None:
    register_loss("depth", "mine", scaled)
    task = make_task("depth", INFOS["depth"], loss={"l1": 1, "mine": 0.5})
    assert task.loss(torch.full((2, 1, 8, 8), 2.0), TARGETS["depth"]).item() == pytest.approx(1 + 0.5 * 2)


def test_options_of_the_task_reach_a_loss_that_takes_them() -> None:
    seen = []

    def weighted(prediction: Tensor, target: Tensor, *, class_weights: list[float]) -> Tensor:
        seen.append(class_weights)
        return prediction.sum()

    register_loss("segmentation", "weighted", weighted)
    task = make_task("segmentation", INFOS["segmentation"], loss="weighted", class_weights={"b": 2})
    task.loss(torch.zeros(2, 3, 8, 8), TARGETS["segmentation"])
    assert seen == [[1.0, 2, 1.0]]


def test_mistakes_are_one_line() -> None:
    register_loss("depth", "mine", Scaled)
    cases = [
        (lambda: register_loss("dpth", "mine", scaled), "task 'dpth' takes no registered losses; did you mean 'depth'"),
        (lambda: register_loss("edges", "mine", scaled), "task 'edges' takes no registered losses"),
        (lambda: register_loss("depth", "mine", scaled), "a loss 'mine' exists already"),
        (lambda: make_task("depth", INFOS["depth"], loss="mien"), "unknown loss 'mien'; did you mean 'mine'"),
        (lambda: make_task("depth", INFOS["depth"], loss="mine"), "loss 'mine': missing a required argument: 'factor'"),
        (
            lambda: make_task("depth", INFOS["depth"], loss="mine", loss_options={"factor": 1, "fctor": 2}),
            "fctor belongs to no loss",
        ),
    ]
    for make, said in cases:
        with pytest.raises(ConfigError, match=said) as error:
            make()
        assert "\n" not in str(error.value)
    register_loss("depth", "l1", scaled)
    with pytest.raises(ConfigError, match="loss 'l1' is built in"):
        make_task("depth", INFOS["depth"], loss="l1")
