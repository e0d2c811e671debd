"""Losses by name, and what those of the built-in tasks share.

Every loss looks at the pixels with a valid label alone. Where there is none it is 0 and still attached to the graph,
so that a batch without labels trains nothing instead of breaking the run, and an invalid label never reaches a
gradient, whatever it holds (NaN included). Half-precision predictions are computed on in float32. On CUDA nothing is
added up in random order, which would end exact resuming.

Where only k of a batch's N samples have a label, the mean is over those k, not over N: two samples with depth weigh
as much as sixteen. So the balance of the tasks stays what the loss weights say; a mean over N would scale a task's
weight by its share of labels, and starve the task that has the fewest. The price is noise: the task's gradient is as
noisy as that of a batch of k, which a larger batch makes up for.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ednas.exceptions import ConfigError, hint
from ednas.tasks.base import takes_losses, task_names

Loss = Callable[..., Tensor] | type[nn.Module]
"""A function of prediction and target, with options by keyword; or a class that options make such a module of."""

_registry: dict[str, dict[str, Callable[..., nn.Module]]] = {}


class WeightedSum(nn.Module):
    """Weighted sum of losses, at the resolution of the prediction.

    Args:
        losses: The losses and their weights.
    """

    def __init__(self, losses: Mapping[nn.Module, float]) -> None:
        super().__init__()
        self.losses = nn.ModuleList(losses)
        self.weights = tuple(losses.values())

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the sum, a scalar."""
        target = resize_target(target, prediction.shape[-2:])
        values = [w * loss(prediction, target) for w, loss in zip(self.weights, self.losses, strict=True)]
        return torch.stack(values).sum()


class FunctionLoss(nn.Module):
    """A function as a loss.

    Args:
        function: Called as ``function(prediction, target, **options)``.
        options: By keyword.
    """

    def __init__(self, function: Callable[..., Tensor], options: Mapping[str, Any]) -> None:
        super().__init__()
        self._call = partial(function, **options)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar."""
        return self._call(prediction, target)


def register_loss(task: str, name: str, loss: Loss, *, replace: bool = False) -> None:
    """Make a loss of a task known, for ``task_options: {TASK: {loss: NAME}}``.

    Args:
        task: ``segmentation``, ``depth``, ``normals``, or one of the user's own whose option ``loss`` is the loss that
            it makes by :func:`make_loss`.
        name: The name; may stand in a weighted sum, as that of a built-in loss.
        loss: Called as ``loss(prediction, target, **options)`` with the raw output ``(N, C, h, w)`` and the target at
            the same height and width, class ids ``(N, h, w)`` or values ``(N, C, h, w)``, in which some pixels are
            invalid (255; 0; the zero vector). Returns a scalar, that is still attached to the graph where no pixel is
            valid. Or a class of modules that do so, made with the options. Options come from ``loss_options``.
        replace: Allow the name to be registered already (in a notebook, where a cell runs twice).

    Raises:
        ConfigError: The task takes no losses, or the name is taken.
    """
    if task not in task_names() or not takes_losses(task):
        known = [name for name in task_names() if takes_losses(name)]
        raise ConfigError(f"task '{task}' takes no registered losses; {hint(task, known)}")
    if name in _registry.get(task, {}) and not replace:
        raise ConfigError(f"task '{task}': a loss '{name}' exists already; choose another name, or pass replace=True")
    _registry.setdefault(task, {})[name] = loss if isinstance(loss, type) else _as_factory(loss)


def make_loss(
    task: str,
    known: Mapping[str, Callable[..., nn.Module]],
    loss: str | Mapping[str, float],
    options: Mapping[str, Any],
) -> WeightedSum:
    """Make a task's loss from its options.

    Args:
        task: Name of the task, for errors.
        known: The task's built-in losses by name; registered ones are known too.
        loss: Name of one, or weights by name for a weighted sum.
        options: Arguments of the losses; each goes to the losses that take it; None = not given.

    Raises:
        ConfigError: Unknown loss (with the nearest known name), a weight or an argument is out of range, none of the
            losses takes an argument that is given, or a registered one lacks an argument or has a built-in one's name.
    """
    registered = _registry.get(task, {})
    if both := known.keys() & registered.keys():
        raise ConfigError(f"task '{task}': loss '{min(both)}' is built in; register yours under another name")
    known = {**known, **registered}
    chosen = loss.items() if isinstance(loss, Mapping) else [(loss, 1.0)]
    weights = {str(name): weight for name, weight in chosen}
    given = {name: value for name, value in options.items() if value is not None}
    takes = {name: inspect.signature(make).parameters for name, make in known.items()}
    for name, weight in weights.items():
        if name not in known:
            raise ConfigError(f"task '{task}': unknown loss '{name}'; {hint(name, known)}")
        check_number(f"task '{task}': weight of loss '{name}'", weight, lambda value: value >= 0, "of at least 0")
    if not any(weights.values()):
        raise ConfigError(f"task '{task}': no loss has a weight above 0, so nothing would be learned")
    for option in given:
        if not any(option in takes[name] for name in weights):
            owners = " or ".join(f"'{name}'" for name in known if option in takes[name])
            names = " + ".join(weights)
            raise ConfigError(
                f"task '{task}': {option} belongs to {f'loss {owners}' if owners else 'no loss'}, "
                f"but the loss is '{names}'"
            )
    own = {name: {key: value for key, value in given.items() if key in takes[name]} for name in weights}
    for name, arguments in own.items():
        try:
            inspect.signature(known[name]).bind(**arguments)
        except TypeError as error:
            raise ConfigError(f"task '{task}': loss '{name}': {error}; give it in loss_options") from None
    return WeightedSum({known[name](**own[name]): weight for name, weight in weights.items()})


def _as_factory(function: Callable[..., Tensor]) -> Callable[..., nn.Module]:
    """Return what makes a loss of a function, and takes the options that the function takes."""

    def make(**options: Any) -> nn.Module:
        return FunctionLoss(function, options)

    own = [p for p in inspect.signature(function).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD][2:]
    own += [p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    make.__signature__ = inspect.Signature([p.replace(kind=p.KEYWORD_ONLY) for p in own])  # type: ignore[attr-defined]
    return make


def check_number(name: str, value: Any, allowed: Callable[[float], bool], words: str) -> None:
    """Check an argument.

    Args:
        name: Of the argument.
        value: The argument.
        allowed: Whether a finite number is in range.
        words: The range, after "must be a finite number".

    Raises:
        ConfigError: It is no finite number in range.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not allowed(value):
        raise ConfigError(f"{name} = {value!r} must be a finite number {words}")


def full_precision(prediction: Tensor) -> Tensor:
    """Return a prediction in float32, or in float64 if it is."""
    return prediction if prediction.dtype == torch.float64 else prediction.float()


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Sum of ``values``, divided by the sum of ``weights`` (or the number of pixels of a mask) unless that is 0."""
    total = weights.sum()
    return values.sum() / (total + (total == 0))


def resize_target(target: Tensor, size: Sequence[int]) -> Tensor:
    """Bring labels to the resolution of a prediction by nearest neighbour; free where it fits already.

    Args:
        target: Class ids ``(N, H, W)``, or values ``(N, C, H, W)``.
        size: Wanted height and width.
    """
    if tuple(target.shape[-2:]) == tuple(size):
        return target
    if target.dim() == 3:
        return F.interpolate(target[:, None].float(), size=list(size), mode="nearest")[:, 0].to(target.dtype)
    return F.interpolate(target, size=list(size), mode="nearest")
