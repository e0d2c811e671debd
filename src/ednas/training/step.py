"""One step of training: forward, weighted sum of the losses, backward, the optimizer, the average of the weights."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ednas.exceptions import ConfigError
from ednas.mtl.gradients import TaskGradients
from ednas.mtl.weighting import GradientWeighting, LossWeighting
from ednas.mtl.weighting.base import Taken
from ednas.mtl.weighting.fixed import Fixed
from ednas.nn import MultiTaskNetwork
from ednas.nn.heads import resize_bilinear
from ednas.nn.sharing import LearnedSharing
from ednas.tasks import Task
from ednas.training.config import Normalisation
from ednas.training.model import normalise
from ednas.training.recipe import Recipe
from ednas.training.teacher import Teacher

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from lightning.fabric.wrappers import _FabricOptimizer


UNITS = "encoder.units."
"""Beginning of the names of what joins tasks (:class:`ednas.nn.sharing.Sharing`)."""

_NARROW = 64


class TrainingStep:
    """Trains a network by one batch per call.

    Args:
        network: Maps a normalised image to raw outputs by task; moved to Fabric's device and to ``channels_last``, in
            place.
        tasks: By name, as the network's outputs.
        recipe: Optimizer, learning rate and loss weights.
        fabric: Device, precision and, with several processes, the averaging of gradients.
        normalisation: What happens to an image before the network.
        teacher: Whose outputs the network learns to imitate too; on Fabric's device.
        compiled: Whether the first step compiles the network (``torch.compile``, on CUDA with CUDA graphs): minutes
            once, for shorter steps.
        seed: Of what the recipe's weighting draws.
        parts: In how many parts a batch passes, one after the other, for want of memory; their gradients are added,
            each by its share of the samples. Losses are means, so that this is the whole batch's gradient where every
            part has as many labels; batch normalisation sees a part at a time, and so does a weighting by losses.

    Attributes:
        network: As given.
        optimizer: Over its parameters.
        averaged: Moving average of the network; None where the recipe has none.
        weights: Weight of each task's loss, by the recipe.
        weighting: What each counts beside that.
        counted: Both together, in the last step, ``(T,)``.

    Raises:
        ConfigError: The loss weights do not fit the tasks or the weighting; the optimizer or the weighting is unknown
            or refuses its options; or gradients of single tasks cannot be had.
    """

    def __init__(
        self,
        network: nn.Module,
        tasks: Mapping[str, Task],
        recipe: Recipe,
        fabric: Fabric,
        normalisation: Normalisation,
        teacher: Teacher | None = None,
        *,
        compiled: bool = False,
        parts: int = 1,
        seed: int = 0,
    ) -> None:
        self.weights = recipe.task_weights(tasks)
        self.weighting = _make_weighting(recipe, self.weights, fabric, compiled, seed)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._tasks = tasks
        self._recipe = recipe
        self._fabric = fabric
        self._normalisation = normalisation
        self._teacher = teacher
        self._parts = parts
        self._module = fabric.setup_module(_compile(self.network, fabric) if compiled else self.network)
        self.optimizer = _make_optimizer(self.network, recipe, fabric)
        self.averaged = None if recipe.ema_decay is None else _average(self.network, recipe.ema_decay)
        self._stepper = cast("_FabricOptimizer", fabric.setup_optimizers(self.optimizer))
        self._module.train()
        self._fixed = torch.tensor([*self.weights.values()], device=fabric.device)
        self._gradients = TaskGradients(self.network, len(tasks))
        self._sharing = network.sharing if isinstance(network, MultiTaskNetwork) else None
        self._seed = seed
        self.counted = self._fixed

    @property
    def is_fixed(self) -> bool:
        """Whether every loss counts as the recipe says."""
        return isinstance(self.weighting, Fixed)

    def __call__(self, batch: Mapping[str, Tensor], step: int) -> Tensor:
        """Train by a batch.

        Args:
            batch: As :class:`ednas.data.loader.BatchLoader` yields it.
            step: Number of the step, from 0, which sets the learning rate.

        Returns:
            The losses before the step, not weighted, one per task, ``(T,)``, detached, on the device; where there is a
            teacher, with its share of them.

        Raises:
            ConfigError: In bfloat16 on a CPU, the images are too narrow for PyTorch's kernels.
        """
        _check_kernels(batch["image"], self._recipe, self._fabric)
        self._stepper.zero_grad(set_to_none=True)  # first, so that old gradients take no memory beside activations
        if (learned := self._learned_sharing) is not None:
            learned.begin_step(step, self._recipe.steps, self._seed)
        for group in self.optimizer.param_groups:
            group["lr"] = self._recipe.learning_rate_at(step) * group["rate"]
        losses = torch.stack(
            [self._add_gradients(part, share, step) for part, share in _split(batch, self._parts)]
        ).sum(0)
        if isinstance(self.weighting, GradientWeighting):
            self._combine_gradients(self.weighting, losses, step)
        if learned is not None:
            self._keep_gradients(of_units=learned.moves_units(step, self._recipe.steps))
        if self._recipe.grad_clip is not None:
            self._fabric.clip_gradients(
                self._module, self._stepper, max_norm=self._recipe.grad_clip, error_if_nonfinite=False
            )
        self._stepper.step()
        self.weighting.update(Taken(step, self._over_all(losses), lambda: self._look(batch)))
        if self.averaged is not None:
            self.averaged.update_parameters(self.network)
        return losses

    def _add_gradients(self, batch: Mapping[str, Tensor], share: float, step: int) -> Tensor:
        """Add a part's share of the gradient to what is there; return its share of the losses, ``(T,)``, detached."""
        losses = self._losses(batch)
        detached = torch.stack([loss.detach() for loss in losses])
        if isinstance(self.weighting, LossWeighting):
            self.counted = self._fixed * self.weighting.weigh(self._over_all(detached), step)
            total = (self.counted * torch.stack(losses)).sum()
            penalty = self._penalty(detached)
            self._fabric.backward(share * (total if penalty is None else total + penalty))
        else:
            scaled = [share * weight * loss for weight, loss in zip(self.weights.values(), losses, strict=True)]
            self._gradients.add(scaled, self._fabric.backward)
        return share * detached

    def _combine_gradients(self, weighting: GradientWeighting, losses: Tensor, step: int) -> None:
        scaler = getattr(self._fabric._precision, "scaler", None)
        gramian = self._gradients.gramian() / (1.0 if scaler is None else scaler.get_scale() ** 2)
        if bool(gramian.isfinite().all()):
            weights = weighting.weigh(gramian, self._over_all(losses), step)
        else:  # the step is not taken, in float16; elsewhere it is seen that the losses are no longer finite
            weights = torch.full_like(losses, torch.nan)
        self.counted = self._fixed * weights
        self._gradients.combine(weights)
        if (penalty := self._penalty(losses)) is not None:
            self._fabric.backward(penalty)

    def _penalty(self, losses: Tensor) -> Tensor | None:
        """What the way to share adds to the loss."""
        return None if self._sharing is None else self._sharing.penalty(self.counted * losses)

    @property
    def _learned_sharing(self) -> LearnedSharing | None:
        """The way to share where its pattern is being learned."""
        sharing = self._sharing
        return sharing if isinstance(sharing, LearnedSharing) and not sharing.is_settled else None

    def _keep_gradients(self, of_units: bool) -> None:
        """Forget the others, so that the optimizer leaves alone what they are of."""
        for name, parameter in self.network.named_parameters():
            if name.startswith(UNITS) != of_units:
                parameter.grad = None

    def _over_all(self, losses: Tensor) -> Tensor:
        """Return the losses that the weighting sees: weighed by the recipe, and averaged over all processes."""
        weighed = self._fixed * losses
        if self.is_fixed:
            return weighed
        if self._fabric.world_size > 1:
            weighed = cast("Tensor", self._fabric.all_reduce(weighed))
        return self.weighting.remember(weighed)

    @torch.no_grad()
    def _look(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Measure a batch's losses anew, ``(T,)``."""
        shares = [share * torch.stack(self._losses(part)) for part, share in _split(batch, self._parts)]
        return self._over_all(torch.stack(shares).sum(0))

    def _losses(self, batch: Mapping[str, Tensor]) -> list[Tensor]:
        """The losses alone: outputs that no loss needs for its gradient are freed before the backward pass."""
        taught = self._ask_teacher(batch["image"])
        outputs = self._module(normalise(batch["image"], self._normalisation))
        return [
            self._loss(task, outputs.pop(name), batch[task.target], taught.pop(name, None))
            for name, task in self._tasks.items()
        ]

    def _loss(self, task: Task, output: Tensor, target: Tensor, taught: Tensor | None) -> Tensor:
        loss = task.loss(output, target)
        if taught is None:
            return loss
        imitation = task.imitation(output, resize_bilinear(taught, output.shape[2:]), self._recipe.temperature)
        share = self._recipe.teacher_weight
        return (1 - share) * loss + share * imitation

    def _ask_teacher(self, image: Tensor) -> dict[str, Tensor]:
        """What the teacher says, in the precision of the training; nothing without a teacher."""
        if self._teacher is None:
            return {}
        with torch.no_grad(), self._fabric.autocast():
            return self._teacher(image)

    def train(self) -> None:
        """Return to training mode, after an evaluation in between."""
        self._module.train()

    def restart(self) -> None:
        """Start again from what was learned so far: with a new state of the optimizer, and a new average."""
        if self.averaged is not None and self._recipe.ema_decay is not None:
            self.network.load_state_dict(self.averaged.module.state_dict())
            self.averaged = _average(self.network, self._recipe.ema_decay)
        self.optimizer.state.clear()

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What a resumed run needs, by name."""
        others = {"average": self.averaged, "weighting": None if self.is_fixed else self.weighting}
        return {"network": self.network} | {name: module for name, module in others.items() if module is not None}

    @property
    def learned(self) -> nn.Module:
        """The network to measure and to keep: the average where there is one."""
        return self.network if self.averaged is None else self.averaged.module


def _check_kernels(images: Tensor, recipe: Recipe, fabric: Fabric) -> None:
    """Refuse what PyTorch gets wrong without a word.

    Where a stride-2 convolution meets features that are one pixel wide, its bfloat16 kernels for CPUs leave part of the
    weights' gradient unwritten: whatever was in memory. P6 is that narrow when the image is at most 64 pixels wide.
    """
    if recipe.precision == "bf16-mixed" and fabric.device.type == "cpu" and images.shape[-1] <= _NARROW:
        raise ConfigError(
            f"precision bf16-mixed: on a CPU, images must be more than {_NARROW} pixels wide, not {images.shape[-1]} "
            "(PyTorch's gradients are wrong below that); use 32-true"
        )


def _split(batch: Mapping[str, Tensor], parts: int) -> Iterator[tuple[Mapping[str, Tensor], float]]:
    """Yield parts of a batch, as even as can be, in order, each with its share of the samples."""
    samples = len(batch["image"])
    columns = [values.tensor_split(min(parts, samples)) for values in batch.values()]
    for rows in zip(*columns, strict=True):
        yield dict(zip(batch, rows, strict=True)), len(rows[0]) / samples


def _make_weighting(
    recipe: Recipe, weights: Mapping[str, float], fabric: Fabric, compiled: bool, seed: int
) -> LossWeighting | GradientWeighting:
    """Return a recipe's weighting, on Fabric's device.

    Raises:
        ConfigError: It is unknown, lacks something, or cannot work in this training.
    """
    name = recipe.weighting.name
    weighting = recipe.weighting.make(len(weights), seed)
    if not isinstance(weighting, LossWeighting | GradientWeighting):
        raise ConfigError(f"weighting '{name}': must be a LossWeighting or a GradientWeighting")
    if not isinstance(weighting, Fixed):
        for task, weight in weights.items():
            if weight == 0:
                raise ConfigError(f"weighting '{name}': the loss of {task} weighs 0; leave it out of the tasks instead")
    if isinstance(weighting, GradientWeighting) and fabric.world_size > 1:
        raise ConfigError(f"weighting '{name}': takes one backward pass a task; train on one device")
    if isinstance(weighting, GradientWeighting) and compiled:
        raise ConfigError(f"weighting '{name}': takes one backward pass a task; train without --compile")
    return weighting.to(fabric.device)


def _compile(network: nn.Module, fabric: Fabric) -> nn.Module:
    """Return the network compiled; both have the same weights.

    With a CUDA graph, a pass is one launch: at small sizes a GPU waits for the launches of single kernels.
    """
    mode = "reduce-overhead" if fabric.device.type == "cuda" else None
    return cast("nn.Module", torch.compile(network, mode=mode))


def _average(network: nn.Module, decay: float) -> AveragedModel:
    """Return a moving average of a network's weights and buffers that forgets the first steps.

    The decay of update n is ``(1 + n) / (10 + n)`` until that exceeds ``decay``, as in TensorFlow's moving averages.
    """

    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        weight = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        with torch.no_grad():
            for old, new in zip(averaged, current, strict=True):
                old.lerp_(new, weight) if old.is_floating_point() else old.copy_(new)

    return AveragedModel(network, multi_avg_fn=update, use_buffers=True)


def _make_optimizer(network: nn.Module, recipe: Recipe, fabric: Fabric) -> torch.optim.Optimizer:
    kind = getattr(torch.optim, recipe.optimizer)
    # The fused step unscales float16 gradients by itself, too late for them to be clipped.
    clips_float16 = recipe.grad_clip is not None and fabric._precision.precision == "16-mixed"
    can_fuse = "fused" in inspect.signature(kind).parameters and not clips_float16
    fused = {"fused": True} if can_fuse and fabric.device.type in ("cpu", "cuda") else {}
    try:
        optimizer: torch.optim.Optimizer = kind(
            _groups(network, recipe), lr=recipe.learning_rate_at(0), **fused, **recipe.optimizer_options
        )
    except (TypeError, ValueError, RuntimeError) as cause:
        reason = " ".join(str(cause).split())
        raise ConfigError(f"optimizer {recipe.optimizer}: {reason}; see torch.optim.{recipe.optimizer}") from None
    return optimizer


def _groups(network: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Sort the parameters by their share of the learning rate and by whether they decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    sharing = network.sharing if isinstance(network, MultiTaskNetwork) else None
    for name, parameter in network.named_parameters():
        rate = recipe.encoder_rate if name.startswith("encoder.") else 1.0
        decay = recipe.weight_decay if recipe.decay_all or parameter.dim() > 1 else 0.0
        if sharing is not None and name.startswith(UNITS):
            rate, decay = rate * sharing.unit_rate, 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": parameters, "rate": rate, "weight_decay": decay} for (rate, decay), parameters in groups.items()]
