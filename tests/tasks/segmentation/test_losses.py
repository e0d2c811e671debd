"""The losses of segmentation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from ednas.exceptions import ConfigError, DataError
from ednas.tasks.segmentation.losses import (
    SEGMENTATION_LOSSES,
    DiceLoss,
    FocalLoss,
    LovaszSoftmaxLoss,
    MaskedCrossEntropy,
    OhemCrossEntropy,
    frequency_weights,
    sqrt_frequency_weights,
)

SEEDS = st.integers(0, 2**31)
CLASSES = 5


def example(seed, spread=2.0, classes=CLASSES):
    """Logits ``(2, C, 3, 4)`` and labels with void; the last class is nowhere."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes - 1, (2, 3, 4))
    labels[rng.random(labels.shape) < 0.2] = 255
    labels[0, 0, 0] = 0
    return torch.from_numpy(rng.normal(0, spread, (2, classes, 3, 4))), torch.from_numpy(labels)


def each_pixel(logits, labels):
    """Yield the probabilities and the class of every pixel that has one."""
    probabilities = np.exp(logits.numpy())
    probabilities /= probabilities.sum(1, keepdims=True)
    for n, y, x in np.argwhere(labels.numpy() != 255):
        yield probabilities[n, :, y, x], int(labels[n, y, x])


class TestCrossEntropy:
    @given(seed=SEEDS, smoothing=st.floats(0, 0.9), weighted=st.booleans())
    def test_agrees_with_torch(self, seed, smoothing, weighted):
        logits, labels = example(seed)
        weights = [0.5, 2.0, 1.0, 0.0, 7.0] if weighted else None
        expected = F.cross_entropy(
            logits,
            labels,
            weight=None if weights is None else torch.tensor(weights).double(),
            ignore_index=255,
            label_smoothing=smoothing,
        )
        assert MaskedCrossEntropy(weights, smoothing)(logits, labels).item() == pytest.approx(expected.item())

    def test_only_ratios_of_weights_count(self):
        logits, labels = example(0)
        small, large = ([factor * w for w in (1, 2, 3, 4, 5)] for factor in (1e-3, 1e3))
        first, second = (MaskedCrossEntropy(weights)(logits, labels).item() for weights in (small, large))
        assert first == pytest.approx(second)

    def test_pixels_of_no_weight_alone_give_zero(self):
        logits = torch.randn(1, 2, 2, 2, requires_grad=True)
        loss = MaskedCrossEntropy([0.0, 1.0])(logits, torch.zeros(1, 2, 2, dtype=torch.int64))
        loss.backward()
        assert loss == 0
        assert (logits.grad == 0).all()


class TestFocal:
    @given(seed=SEEDS, gamma=st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]))
    def test_by_brute_force(self, seed, gamma):
        logits, labels = example(seed)
        terms = [-((1 - p[k]) ** gamma) * math.log(p[k]) for p, k in each_pixel(logits, labels)]
        assert FocalLoss(gamma)(logits, labels).item() == pytest.approx(sum(terms) / len(terms))

    def test_weights(self):
        logits, labels = example(3)
        weights = [0.5, 2.0, 1.0, 0.1, 7.0]
        pixels = list(each_pixel(logits, labels))
        terms = [-weights[k] * (1 - p[k]) ** 2 * math.log(p[k]) for p, k in pixels]
        expected = sum(terms) / sum(weights[k] for _, k in pixels)
        assert FocalLoss(class_weights=weights)(logits, labels).item() == pytest.approx(expected)

    def test_without_focus_it_is_the_cross_entropy(self):
        logits, labels = example(1)
        loss, other = FocalLoss(0.0, [1, 2, 3, 4, 5], 0.1), MaskedCrossEntropy([1, 2, 3, 4, 5], 0.1)
        assert loss(logits, labels).item() == pytest.approx(other(logits, labels).item())


class TestOhem:
    @given(seed=SEEDS, threshold=st.floats(0.05, 1), min_kept=st.floats(0.01, 1))
    def test_by_brute_force(self, seed, threshold, min_kept):
        logits, labels = example(seed)
        losses = sorted((-math.log(p[k]) for p, k in each_pixel(logits, labels)), reverse=True)
        kept = max(sum(loss > -math.log(threshold) for loss in losses), math.ceil(min_kept * len(losses) - 1e-6))
        assert OhemCrossEntropy(threshold, min_kept)(logits, labels).item() == pytest.approx(
            sum(losses[:kept]) / kept, rel=1e-6
        )

    def test_easy_pixels_have_no_gradient(self):
        logits = torch.tensor([[4.0, 3.0, 0.2, 2.0], [0.0, 0.0, 0.0, 0.0]]).reshape(1, 2, 1, 4).requires_grad_()
        OhemCrossEntropy(threshold=0.7, min_kept=0.25)(logits, torch.zeros(1, 1, 4, dtype=torch.int64)).backward()
        assert (logits.grad[0, 0, 0] != 0).tolist() == [False, False, True, False]

    def test_weights_are_those_of_the_kept_pixels_and_do_not_choose(self):
        logits, labels = torch.tensor([[0.0, 3.0], [0.5, 0.0]]).reshape(1, 2, 1, 2), torch.tensor([[[0, 0]]])
        weighted = OhemCrossEntropy(0.7, 0.5, class_weights=[1e-3, 1.0])(logits, labels)
        assert weighted.item() == pytest.approx(math.log(1 + math.exp(0.5)))


class TestDice:
    @given(seed=SEEDS)
    def test_by_counting_pixels_of_a_certain_network(self, seed):
        logits, labels = example(seed)
        predicted, valid = logits.argmax(1), labels != 255
        scores = []
        for k in labels[valid].unique():
            ours, theirs = (predicted == k) & valid, labels == k
            scores.append(2 * int((ours & theirs).sum()) / int(ours.sum() + theirs.sum()))
        certain = 1e4 * F.one_hot(predicted, CLASSES).movedim(-1, 1).double()
        assert DiceLoss()(certain, labels).item() == pytest.approx(1 - np.mean(scores))

    @given(seed=SEEDS)
    def test_of_probabilities(self, seed):
        logits, labels = example(seed)
        pixels = list(each_pixel(logits, labels))
        scores = []
        for k in {label for _, label in pixels}:
            overlap = sum(p[k] for p, label in pixels if label == k)
            scores.append(2 * overlap / (sum(p[k] for p, _ in pixels) + sum(label == k for _, label in pixels)))
        assert DiceLoss()(logits, labels).item() == pytest.approx(1 - np.mean(scores))


class TestLovaszSoftmax:
    def extension(self, errors, truth):
        """Lovász extension (Eq. 8) of the Jaccard loss as a set function of the wrong pixels (Eq. 6)."""

        def jaccard(wrong):
            own = {i for i, t in enumerate(truth) if t}
            return len(wrong) / len(own | wrong)

        order = sorted(range(len(errors)), key=lambda i: -errors[i])
        return sum(errors[i] * (jaccard({*order[: n + 1]}) - jaccard({*order[:n]})) for n, i in enumerate(order))

    @given(seed=SEEDS)
    def test_by_the_set_function(self, seed):
        logits, labels = example(seed)
        pixels = list(each_pixel(logits, labels))
        losses = []
        for k in {label for _, label in pixels}:
            errors = [1 - p[k] if label == k else p[k] for p, label in pixels]
            losses.append(self.extension(errors, [label == k for _, label in pixels]))
        assert LovaszSoftmaxLoss()(logits, labels).item() == pytest.approx(np.mean(losses), rel=1e-6)

    @given(seed=SEEDS)
    def test_of_a_certain_network_it_is_one_minus_the_iou(self, seed):
        logits, labels = example(seed)
        predicted, valid = logits.argmax(1), labels != 255
        ious = [
            int(((predicted == k) & (labels == k)).sum()) / int((((predicted == k) & valid) | (labels == k)).sum())
            for k in labels[valid].unique()
        ]
        certain = 1e4 * F.one_hot(predicted, CLASSES).movedim(-1, 1).double()
        assert LovaszSoftmaxLoss()(certain, labels).item() == pytest.approx(1 - np.mean(ious), rel=1e-6)

    @pytest.mark.slow
    def test_pixels_that_are_alike_have_equal_gradients_however_many_they_are(self):
        # One minus the IoU differs from pixel to pixel by less than float32 resolves near 1.
        labels = torch.zeros(1, 1000, 1000, dtype=torch.int64)
        labels[0, 0, 0] = 1
        logits = torch.zeros(1, 2, 1000, 1000, requires_grad=True)
        LovaszSoftmaxLoss()(logits, labels).backward()
        # A class is half of the loss; the slope of its probability of a half is a quarter.
        assert logits.grad[0, 0].flatten()[1:].numpy() == pytest.approx(-1e-6 / 2 / 4, rel=1e-4)


@pytest.mark.parametrize(
    "loss", [DiceLoss(), LovaszSoftmaxLoss(), MaskedCrossEntropy([1, 2, 3, 4, 5], 0.1), FocalLoss()]
)
def test_gradient(loss):
    logits, labels = example(0)
    assert torch.autograd.gradcheck(lambda p: loss(p, labels), logits.requires_grad_(), atol=1e-4)


@pytest.mark.parametrize("name", SEGMENTATION_LOSSES)
@pytest.mark.parametrize("label", [5, -1, 254])
def test_wrong_label_is_named(name, label):
    with pytest.raises(DataError, match=f"label {label} is neither one of the 5 classes"):
        SEGMENTATION_LOSSES[name]()(torch.randn(1, 5, 2, 2), torch.full((1, 2, 2), label))


@pytest.mark.parametrize("name", SEGMENTATION_LOSSES)
def test_a_batch_is_one_set_of_pixels(name):
    logits, labels = example(4)
    loss = SEGMENTATION_LOSSES[name]()
    mirrored = loss(logits.flip(0, 3), labels.flip(0, 2))
    assert mirrored.item() == pytest.approx(loss(logits, labels).item())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MaskedCrossEntropy([1.0, -1.0]), r"class_weights\[1\] = -1.0"),
        (lambda: MaskedCrossEntropy([1.0, math.inf]), r"class_weights\[1\] = inf"),
        (lambda: MaskedCrossEntropy(["1"]), r"class_weights\[0\] = '1'"),
        (lambda: MaskedCrossEntropy([0.0, 0.0]), "nothing would be learned"),
        (lambda: MaskedCrossEntropy(label_smoothing=1.0), "label_smoothing = 1.0 must be .* from 0 to below 1"),
        (lambda: FocalLoss(-1.0), "gamma = -1.0"),
        (lambda: OhemCrossEntropy(threshold=0.0), "threshold = 0.0"),
        (lambda: OhemCrossEntropy(min_kept=1.5), "min_kept = 1.5"),
    ],
)
def test_arguments_out_of_range(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


class TestFrequencyWeights:
    def test_formula_of_enet(self):
        assert frequency_weights([75, 25]) == pytest.approx([1 / math.log(1.77), 1 / math.log(1.27)])
        assert sqrt_frequency_weights([75, 25]) == pytest.approx([math.log(1.77) ** -0.5, math.log(1.27) ** -0.5])

    @given(st.lists(st.integers(0, 10**12), min_size=1, max_size=255))
    def test_bounded_and_highest_for_the_rarest(self, counts):
        weights = frequency_weights(counts)
        assert all(1.4 < weight < 50.6 for weight in weights)
        assert weights[int(np.argmin(counts))] == max(weights)
