"""Losses for segmentation: per pixel, or per region of a class; and class weights by frequency."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ednas.data.sample import VOID
from ednas.exceptions import ConfigError, DataError
from ednas.tasks.losses import check_number, full_precision, weighted_mean


class MaskedCrossEntropy(nn.Module):
    """Cross-entropy over the pixels that have a class (label other than void, 255).

    As torch's: the mean is weighted by the weights of the pixels' classes, so that only their ratios count, and
    smoothing mixes the label with equal shares of all classes.

    Args:
        class_weights: One weight per class, at least 0; None = equal.
        label_smoothing: Share of the label that all classes get alike, in [0, 1).

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(self, class_weights: Sequence[float] | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__()
        for index, weight in enumerate(class_weights or ()):
            check_number(f"class_weights[{index}]", weight, lambda number: number >= 0, "of at least 0")
        if class_weights is not None and not any(class_weights):
            raise ConfigError("class_weights: every weight is 0, so nothing would be learned")
        check_number("label_smoothing", label_smoothing, lambda number: 0 <= number < 1, "from 0 to below 1")
        self.class_weights = class_weights
        self.label_smoothing = label_smoothing

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar.

        Args:
            prediction: Logits ``(N, C, H, W)``.
            target: Class ids, int64 ``(N, H, W)``, 255 = void.

        Raises:
            DataError: A label is neither a class nor void (noticed on CPU; a GPU stops with an error of its own).
        """
        return weighted_mean(*self._pixels(full_precision(prediction), target))

    def _pixels(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return every pixel's weighted cross-entropy and its weight, ``(N, H, W)``; both are 0 at void."""
        labels, valid = _known_labels(target, prediction.shape[1])
        weights = None if self.class_weights is None else prediction.new_tensor(self.class_weights)
        # On CUDA the reductions of cross_entropy itself add in random order, which would end exact resuming.
        each = F.cross_entropy(
            prediction, target, weights, ignore_index=VOID, reduction="none", label_smoothing=self.label_smoothing
        )
        return each, valid if weights is None else weights[labels] * valid


class FocalLoss(MaskedCrossEntropy):
    """Cross-entropy of every pixel times ``(1 - p)^gamma``, p the true class's probability (Lin et al. 2017).

    Args:
        gamma: How much less a pixel counts that is right already, at least 0; 0 gives the cross-entropy.
        class_weights: As for :class:`MaskedCrossEntropy` (the paper's alpha).
        label_smoothing: As for :class:`MaskedCrossEntropy`; of the cross-entropy alone.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(
        self, gamma: float = 2.0, class_weights: Sequence[float] | None = None, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(class_weights, label_smoothing)
        check_number("gamma", gamma, lambda number: number >= 0, "of at least 0")
        self.gamma = gamma

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar; arguments and errors as for :class:`MaskedCrossEntropy`."""
        prediction = full_precision(prediction)
        each, weights = self._pixels(prediction, target)
        missing = -torch.expm1(-_surprise(prediction, target))
        # The power has no finite slope at 0 where gamma is below 1, and void pixels are there, too.
        focus = missing.clamp(min=torch.finfo(missing.dtype).eps) ** self.gamma
        return weighted_mean(each * focus, weights)


class OhemCrossEntropy(MaskedCrossEntropy):
    """Cross-entropy over the hard pixels of a batch (online hard example mining, Shrivastava et al. 2016).

    A pixel is hard where its true class has a probability below ``threshold``, that is, where its unweighted
    cross-entropy is above ``-log(threshold)``. Of the pixels with a class, the share ``min_kept`` with the highest is
    kept in any case. The defaults are those of BiSeNet (Yu et al. 2018).

    Args:
        threshold: Probability of the true class from which on a pixel is easy, in (0, 1].
        min_kept: Least share of the pixels with a class to keep, in (0, 1].
        class_weights: As for :class:`MaskedCrossEntropy`.
        label_smoothing: As for :class:`MaskedCrossEntropy`.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(
        self,
        threshold: float = 0.7,
        min_kept: float = 1 / 16,
        class_weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(class_weights, label_smoothing)
        for name, value in (("threshold", threshold), ("min_kept", min_kept)):
            check_number(name, value, lambda number: 0 < number <= 1, "above 0 and at most 1")
        self.threshold = threshold
        self.min_kept = min_kept

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar; arguments and errors as for :class:`MaskedCrossEntropy`."""
        prediction = full_precision(prediction)
        each, weights = self._pixels(prediction, target)
        hard = self._hard(prediction.detach(), target)
        return weighted_mean(each * hard, weights * hard)

    def _hard(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the mask ``(N, H, W)`` of the pixels to keep; of pixels that are equally hard, all or none."""
        valid = target != VOID
        surprise = torch.where(valid, _surprise(prediction, target), -1.0)
        least = (self.min_kept * valid.sum()).ceil().long()
        # Not topk: its number is a Python int, for which a GPU would have to be waited for.
        last_kept = surprise.flatten().sort(descending=True).values.take((least - 1).clamp(min=0))
        return valid & ((surprise > -math.log(self.threshold)) | (surprise >= last_kept))


class RegionLoss(nn.Module, ABC):
    """A loss of the regions of every class in a batch: its mean over the classes that are there.

    Rare classes count as much as frequent ones, for which such a loss takes no class weights.
    """

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar in [0, 1].

        Args:
            prediction: Logits ``(N, C, H, W)``.
            target: Class ids, int64 ``(N, H, W)``, 255 = void.

        Raises:
            DataError: A label is neither a class nor void (noticed on CPU; a GPU stops with an error of its own).
        """
        probability = full_precision(prediction).softmax(1)
        labels, valid = _known_labels(target, prediction.shape[1])
        truth = torch.zeros_like(probability, dtype=torch.bool).scatter_(1, labels[:, None], valid[:, None])
        probability, truth = (values.movedim(1, 0).flatten(1) for values in (probability, truth))
        present = truth.any(1)
        return weighted_mean(self.class_losses(probability, truth, valid.flatten()) * present, present)

    @abstractmethod
    def class_losses(self, probability: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        """Return the loss of every class, ``(C,)``, finite also for classes that are not there.

        Args:
            probability: Of every class, ``(C, P)`` for P pixels.
            truth: Which pixels are of the class, bool ``(C, P)``; nowhere at void.
            valid: Which pixels have a class, bool ``(P,)``.
        """


class DiceLoss(RegionLoss):
    """One minus the soft Dice coefficient ``2 sum(p y) / (sum p + sum y)`` (after Milletari et al. 2016)."""

    def class_losses(self, probability: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        """Return the loss of every class, ``(C,)``."""
        overlap = (probability * truth).sum(1)
        size = (probability * valid).sum(1) + truth.sum(1).clamp(min=1)
        return 1 - 2 * overlap / size


class LovaszSoftmaxLoss(RegionLoss):
    """Lovász-Softmax, the convex extension of one minus the IoU of every class (Berman et al. 2018).

    The paper's variant over the classes that are there, for a batch as a whole.
    """

    def class_losses(self, probability: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        """Return the loss of every class, ``(C,)``."""
        errors = torch.where(truth, 1 - probability, probability) * valid
        # Class by class: sorting all at once would take several times the memory of the errors.
        return torch.stack(
            [(error * _jaccard_steps(error, own, valid)).sum() for error, own in zip(errors, truth, strict=True)]
        )


SEGMENTATION_LOSSES: Mapping[str, type[nn.Module]] = MappingProxyType(
    {
        "cross_entropy": MaskedCrossEntropy,
        "focal": FocalLoss,
        "ohem": OhemCrossEntropy,
        "dice": DiceLoss,
        "lovasz": LovaszSoftmaxLoss,
    }
)
"""The losses for segmentation by name."""


def frequency_weights(counts: Sequence[int]) -> list[float]:
    """Class weights that lift rare classes: ``1 / log(1.02 + share)``, from 1.42 to 50.5 (ENet, Paszke et al. 2016).

    Args:
        counts: Pixels of every class; a class without any gets 50.5.
    """
    total = max(1, sum(counts))
    return [1 / math.log(1.02 + count / total) for count in counts]


def sqrt_frequency_weights(counts: Sequence[int]) -> list[float]:
    """Square roots of :func:`frequency_weights`, from 1.19 to 7.1: rare classes gain less, frequent ones lose less."""
    return [math.sqrt(weight) for weight in frequency_weights(counts)]


COUNTED_WEIGHTS: Mapping[str, Callable[[Sequence[int]], list[float]]] = MappingProxyType(
    {"frequency": frequency_weights, "sqrt_frequency": sqrt_frequency_weights}
)
"""Class weights that a training makes of the pixels of every class in its own split, by name."""


def _known_labels(target: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Return labels with class 0 in place of void, and where they are valid.

    Raises:
        DataError: A label is neither a class nor void; not looked for on a GPU, which would have to be waited for.
    """
    valid = target != VOID
    labels = torch.where(valid, target, 0)
    if labels.device.type == "cpu":
        wrong = labels[(labels < 0) | (labels >= num_classes)]
        if len(wrong):
            raise DataError(f"label {int(wrong[0])} is neither one of the {num_classes} classes nor void ({VOID})")
    return labels, valid


def _surprise(prediction: Tensor, target: Tensor) -> Tensor:
    """Return minus the logarithm of the true class's probability, ``(N, H, W)``; 0 at void."""
    return F.cross_entropy(prediction, target, ignore_index=VOID, reduction="none")


@torch.no_grad()
def _jaccard_steps(error: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Return by how much each pixel ``(P,)`` lowers the IoU when pixels become wrong in the order of their errors.

    This is the gradient of the Lovász extension (Alg. 1), in a form that subtracts no nearly equal numbers: a pixel of
    the class takes 1 / union from the IoU; another one grows the union from U - 1 to U: intersection / (U (U - 1)).
    """
    order = torch.where(valid, error, -1.0).argsort(descending=True, stable=True)
    hit = truth[order].long()
    size = hit.sum()
    intersection = size - hit.cumsum(0)
    union = size + (1 - hit).cumsum(0)
    steps = torch.where(hit.bool(), 1.0, intersection / (union - 1).clamp(min=1)) / union
    return torch.zeros_like(error).scatter_(0, order, steps.to(error.dtype))
